/* The module `_rows`: what Python calls, and one compilation of `_losses.h` for each set of instructions. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "_lanes.h"

/* ---- one compilation for each set of instructions ----------------------------------------------------------------- */

typedef struct {
    void (*losses)(const Job *, const Scratch *);
    double (*sum)(const double *, int64_t, int, int, double *);
    void (*piece)(const Piece *);
    void (*slab)(const Job *, const SlabRows *, int64_t *, int64_t *, char *);
    void (*convert)(const void *, int, int64_t, void *, int);
    void (*sums)(const void *, int, int64_t, int64_t, void *);
} Variant;

#define VARIANT baseline
#define TARGET
#define WIDTH 2 /* doubles in a vector */
#include "_losses.h"
#include "_slabs.h"
#include "_convert.h"
#if defined(__x86_64__)
#undef VARIANT
#undef TARGET
#undef WIDTH
#define VARIANT avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 4
#include "_losses.h"
#include "_slabs.h"
#include "_convert.h"
#undef VARIANT
#undef TARGET
#undef WIDTH
#define VARIANT avx512
#if defined(__clang__) /* takes vectors as they are written, and drops all of a target that names what it does not know */
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#else
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#endif
#define WIDTH 8
#include "_losses.h"
#include "_slabs.h"
#include "_convert.h"
#endif
#undef VARIANT
#undef TARGET
#undef WIDTH

static Variant variant_of(const char *name) { /* of NULL if this machine does not have it */
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return (Variant){all_rows_avx512, exact_parts_avx512, all_of_piece_avx512, all_of_slab_avx512, convert_all_avx512, all_in_turn_avx512};
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (Variant){all_rows_avx2, exact_parts_avx2, all_of_piece_avx2, all_of_slab_avx2, convert_all_avx2, all_in_turn_avx2};
#elif defined(__aarch64__)
    /* Fused multiply-add is an instruction there. */
    if (strcmp(name, "neon") == 0) return (Variant){all_rows_baseline, exact_parts_baseline, all_of_piece_baseline, all_of_slab_baseline, convert_all_baseline, all_in_turn_baseline};
#endif
    if (strcmp(name, "baseline") == 0) return (Variant){all_rows_baseline, exact_parts_baseline, all_of_piece_baseline, all_of_slab_baseline, convert_all_baseline, all_in_turn_baseline};
    return (Variant){NULL, NULL, NULL, NULL, NULL, NULL};
}

/* A library built with -ffast-math may have set this thread to flush subnormal numbers to zero. */
#if defined(__x86_64__)
typedef unsigned Rounding;
INLINE Rounding plain_rounding(void) {
    Rounding before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80);
    return before;
}
INLINE void restore_rounding(Rounding before) { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t Rounding;
INLINE Rounding plain_rounding(void) {
    Rounding before, plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
    return before;
}
INLINE void restore_rounding(Rounding before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
typedef int Rounding;
INLINE Rounding plain_rounding(void) { return 0; }
INLINE void restore_rounding(Rounding before) { (void)before; }
#endif

/* ---- arrays whose class axis is not the last ------------------------------------------------------------------------ */

enum { LINE = 64 }; /* bytes */

/* Writes a line past the cache: it is not read soon, and memory need not be read before all of it is overwritten. */
INLINE void put_line(char *to, const char *line) {
#if defined(__x86_64__)
    if (((uintptr_t)to & 15) == 0) {
        for (int b = 0; b < LINE; b += 16) _mm_stream_si128((__m128i *)(to + b), _mm_load_si128((const __m128i *)(line + b)));
        return;
    }
#endif
    memcpy(to, line, LINE);
}

typedef struct { const char *from; char *to; int64_t n, k, from_class, to_row; } Turn; /* the last two in bytes */

/* Copies [k, n] as [n, k], a line of each of four rows at a time. */
#define TURNED(name, Value)                                                                                            \
    static void name(const Turn *turn) {                                                                               \
        enum { WIDTH = LINE / sizeof(Value), ROWS = 4 };                                                               \
        for (int64_t i = 0; i < turn->n; i += ROWS)                                                                    \
            for (int64_t j = 0; j < turn->k; j += WIDTH) {                                                             \
                int64_t rows = turn->n - i < ROWS ? turn->n - i : ROWS, width = turn->k - j < WIDTH ? turn->k - j : WIDTH; \
                const char *from = turn->from + j * turn->from_class + i * (int64_t)sizeof(Value);                     \
                char *to = turn->to + i * turn->to_row + j * (int64_t)sizeof(Value);                                   \
                _Alignas(LINE) Value line[ROWS][WIDTH];                                                                \
                if (rows == ROWS && width == WIDTH) {                                                                  \
                    for (int y = 0; y < WIDTH; y++) {                                                                  \
                        Value values[ROWS];                                                                            \
                        memcpy(values, from + y * turn->from_class, sizeof values);                                    \
                        for (int x = 0; x < ROWS; x++) line[x][y] = values[x];                                         \
                    }                                                                                                  \
                    for (int x = 0; x < ROWS; x++) put_line(to + x * turn->to_row, (const char *)line[x]);             \
                } else                                                                                                 \
                    for (int64_t y = 0; y < width; y++)                                                                \
                        for (int64_t x = 0; x < rows; x++)                                                             \
                            memcpy(to + x * turn->to_row + y * (int64_t)sizeof(Value),                                 \
                                   from + y * turn->from_class + x * (int64_t)sizeof(Value), sizeof(Value));           \
            }                                                                                                          \
    }

TURNED(turn_2, uint16_t)
TURNED(turn_4, uint32_t)
TURNED(turn_8, uint64_t)

/* ---- the module --------------------------------------------------------------------------------------------------- */

/* Arrays are checked by `compiled.py`, the only caller; only the sizes that memory depends on are checked again here. */
static int get(PyObject *array, Py_buffer *view, int writable, int ndim) {
    if (array == Py_None) return 0;
    if (PyObject_GetBuffer(array, view, (writable ? PyBUF_WRITABLE : 0) | PyBUF_STRIDES) < 0) return -1;
    if (view->ndim == ndim) return 0;
    PyErr_Format(PyExc_ValueError, "%d axes, expected %d", view->ndim, ndim);
    return -1;
}

static int fits(const Py_buffer *view, int64_t n, Py_ssize_t itemsize, const char *name) {
    if (view->buf == NULL || (view->shape[0] == n && view->itemsize == itemsize && view->strides[0] == itemsize)) return 0;
    PyErr_Format(PyExc_ValueError, "%s: not %lld contiguous values of %zd bytes", name, (long long)n, itemsize);
    return -1;
}

static int are_labels(const int64_t *labels, int64_t n, int64_t k) {
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= k) {
            PyErr_Format(PyExc_ValueError, "label %lld of %lld classes", (long long)labels[i], (long long)k);
            return -1;
        }
    return 0;
}

static PyObject *rows(PyObject *self, PyObject *args) {
    (void)self;
    enum { FIRST, SECOND, CLASS_WEIGHT, SCALE, LOSS, MAXIMUM, OTHERS, KL, GRADIENT, ARRAYS };
    const char *name;
    PyObject *object[ARRAYS], *result = NULL;
    Py_buffer view[ARRAYS] = {{0}};
    Job job = {0};
    Scratch scratch = {0};
    double *memory = NULL;
    int gradient_kind;
    if (!PyArg_ParseTuple(args, "sOiiOiiiidddOOOOOOOi", &name, &object[FIRST], &job.first.kind, &job.first.holds,
                          &object[SECOND], &job.second.kind, &job.second.holds, &job.form, &job.normal, &job.smoothing,
                          &job.temperature, &job.teacher_temperature, &object[CLASS_WEIGHT], &object[SCALE], &object[LOSS], &object[MAXIMUM],
                          &object[OTHERS], &object[KL], &object[GRADIENT], &gradient_kind))
        return NULL;
    Variant variant = variant_of(name);
    if (variant.losses == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    for (int b = 0; b < ARRAYS; b++)
        if (get(object[b], &view[b], b >= LOSS, b == FIRST || b == GRADIENT || (b == SECOND && job.form != SPARSE) ? 2 : 1) < 0) goto done;
    job.n = view[FIRST].shape[0];
    job.k = view[FIRST].shape[1];
    if (fits(&view[CLASS_WEIGHT], job.k, 8, "class_weight") < 0) goto done;
    for (int b = SCALE; b <= KL; b++)
        if (fits(&view[b], job.n, 8, "values of rows") < 0) goto done;
    if (job.form == SPARSE && fits(&view[SECOND], job.n, 8, "labels") < 0) goto done;
    if (job.form != SPARSE && (view[SECOND].shape[0] != job.n || view[SECOND].shape[1] != job.k)) {
        PyErr_SetString(PyExc_ValueError, "labels of another shape than the logits");
        goto done;
    }
    if (view[GRADIENT].buf != NULL && (view[GRADIENT].shape[0] != job.n || view[GRADIENT].shape[1] != job.k ||
                                       view[GRADIENT].strides[1] != view[GRADIENT].itemsize ||
                                       view[GRADIENT].strides[0] != job.k * view[GRADIENT].itemsize)) {
        PyErr_SetString(PyExc_ValueError, "a gradient that is not contiguous, or of another shape than the logits");
        goto done;
    }
    job.first.data = view[FIRST].buf;
    job.first.row = view[FIRST].strides[0];
    job.first.step = view[FIRST].strides[1];
    if (job.form == SPARSE) job.labels = view[SECOND].buf;
    else {
        job.second.data = view[SECOND].buf;
        job.second.row = view[SECOND].strides[0];
        job.second.step = view[SECOND].strides[1];
    }
    job.class_weight = view[CLASS_WEIGHT].buf;
    job.scale = view[SCALE].buf;
    job.loss = view[LOSS].buf;
    job.maximum = view[MAXIMUM].buf;
    job.others = view[OTHERS].buf;
    job.kl = view[KL].buf;
    job.gradient = view[GRADIENT].buf;
    job.gradient_wide = gradient_kind == FLOAT64;
    if (job.form == SPARSE && are_labels(job.labels, job.n, job.k) < 0) goto done;
    job.few = job.k <= FEW_CLASSES;
    job.steps = job.few ? job.k : (job.k + LANES - 1) / LANES;
    size_t panel = (size_t)(job.steps + DEPTH) * LANES;
    memory = malloc(8 * (7 * panel + DEPTH));
    if (memory == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    double *aligned = (double *)(((uintptr_t)memory + 63) & ~(uintptr_t)63); /* vectors then lie in one line of the cache */
    scratch = (Scratch){aligned, aligned + panel, aligned + 2 * panel, aligned + 3 * panel, aligned + 4 * panel};
    if (job.form != TEACHER && (job.smoothing != 0.0 || (job.form == DENSE && job.class_weight != NULL))) {
        job.kept = aligned + 5 * panel;
        job.uniform = aligned + 6 * panel;
        spread(&job, 1.0 - job.smoothing, job.kept);
        spread(&job, job.smoothing / (double)job.k, job.uniform);
        if (job.form == SPARSE && job.class_weight == NULL) job.even = job.smoothing / (double)job.k;
    }
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant.losses(&job, &scratch);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    free(memory);
    for (int b = 0; b < ARRAYS; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

/* What is kept of n rows while pieces of their classes pass by, in bytes. */
static size_t room_of_rows(int64_t n) { return sizeof(SlabRows) * (size_t)((n + LANES - 1) / LANES); }

static PyObject *see_piece(PyObject *self, PyObject *args) {
    (void)self;
    enum { LABELS, ROOM, PIECE, ARRAYS };
    const char *name;
    PyObject *object[ARRAYS], *result = NULL;
    Py_buffer view[ARRAYS] = {{0}};
    Job job = {.form = SPARSE};
    Piece piece = {.job = &job};
    long long first, k;
    if (!PyArg_ParseTuple(args, "sOOOiLLdii", &name, &object[LABELS], &object[ROOM], &object[PIECE], &job.first.kind, &first, &k,
                          &job.temperature, &piece.second, &piece.ranks))
        return NULL;
    Variant variant = variant_of(name);
    if (variant.piece == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    for (int b = 0; b < ARRAYS; b++)
        if (get(object[b], &view[b], b == ROOM, b == PIECE ? 2 : 1) < 0) goto done;
    job.n = view[LABELS].shape[0], job.k = k, job.steps = (k + LANES - 1) / LANES, job.labels = view[LABELS].buf;
    piece.from = view[PIECE].buf, piece.from_class = view[PIECE].strides[0], piece.rows = view[ROOM].buf;
    piece.first = first, piece.count = view[PIECE].shape[0];
    if (fits(&view[LABELS], job.n, 8, "labels") < 0 || are_labels(job.labels, job.n, k) < 0) goto done;
    if (view[PIECE].shape[1] != job.n || view[PIECE].strides[1] != view[PIECE].itemsize ||
        view[PIECE].itemsize != (job.first.kind == FLOAT64 ? 8 : job.first.kind == FLOAT32 ? 4 : 2) || k <= FEW_CLASSES || first < 0 ||
        piece.count > k - first || first % STRIP || (piece.count % STRIP && piece.count != k - first)) {
        PyErr_SetString(PyExc_ValueError, "not whole strips of the classes of all rows");
        goto done;
    }
    if (fits(&view[ROOM], (int64_t)room_of_rows(job.n), 1, "room") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant.piece(&piece);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    for (int b = 0; b < ARRAYS; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

static PyObject *slab_losses(PyObject *self, PyObject *args) {
    (void)self;
    enum { LABELS, ROOM, CLASS_WEIGHT, LOSS, MAXIMUM, OTHERS, PEAK, AHEAD, AGAIN, ARRAYS };
    const char *name;
    PyObject *object[ARRAYS], *result = NULL;
    Py_buffer view[ARRAYS] = {{0}};
    Job job = {.form = SPARSE};
    long long k;
    if (!PyArg_ParseTuple(args, "sOOOiLdOOOOOO", &name, &object[LABELS], &object[ROOM], &object[CLASS_WEIGHT], &job.first.kind, &k,
                          &job.temperature, &object[LOSS], &object[MAXIMUM], &object[OTHERS], &object[PEAK], &object[AHEAD], &object[AGAIN]))
        return NULL;
    Variant variant = variant_of(name);
    if (variant.slab == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    for (int b = 0; b < ARRAYS; b++)
        if (get(object[b], &view[b], b >= LOSS, 1) < 0) goto done;
    job.n = view[LABELS].shape[0], job.k = k, job.labels = view[LABELS].buf, job.class_weight = view[CLASS_WEIGHT].buf;
    job.loss = view[LOSS].buf, job.maximum = view[MAXIMUM].buf, job.others = view[OTHERS].buf;
    if (fits(&view[LABELS], job.n, 8, "labels") < 0 || are_labels(job.labels, job.n, k) < 0) goto done;
    if (fits(&view[ROOM], (int64_t)room_of_rows(job.n), 1, "room") < 0 || fits(&view[CLASS_WEIGHT], k, 8, "class_weight") < 0) goto done;
    for (int b = LOSS; b <= AGAIN; b++)
        if (fits(&view[b], job.n, b == AGAIN ? 1 : 8, "values of rows") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant.slab(&job, view[ROOM].buf, view[PEAK].buf, view[AHEAD].buf, view[AGAIN].buf);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    for (int b = 0; b < ARRAYS; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

static PyObject *convert(PyObject *self, PyObject *args) {
    (void)self;
    const char *name;
    PyObject *object[2], *result = NULL;
    Py_buffer view[2] = {{0}};
    int kind[2];
    if (!PyArg_ParseTuple(args, "sOiOi", &name, &object[0], &kind[0], &object[1], &kind[1])) return NULL;
    Variant variant = variant_of(name);
    if (variant.convert == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    if ((kind[0] == FLOAT32) == (kind[1] == FLOAT32) || kind[0] == FLOAT64 || kind[1] == FLOAT64)
        return PyErr_Format(PyExc_ValueError, "no conversion from %d to %d", kind[0], kind[1]);
    for (int b = 0; b < 2; b++)
        if (get(object[b], &view[b], b, 1) < 0 || fits(&view[b], view[0].shape[0], kind[b] == FLOAT32 ? 4 : 2, "values") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant.convert(view[0].buf, kind[0], view[0].shape[0], view[1].buf, kind[1]);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    for (int b = 0; b < 2; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

static PyObject *sum_in_turn(PyObject *self, PyObject *args) {
    (void)self;
    const char *name;
    PyObject *object[2], *result = NULL;
    Py_buffer view[2] = {{0}};
    int kind;
    if (!PyArg_ParseTuple(args, "sOiO", &name, &object[0], &kind, &object[1])) return NULL;
    Variant variant = variant_of(name);
    if (variant.sums == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    for (int b = 0; b < 2; b++)
        if (get(object[b], &view[b], b, b ? 1 : 2) < 0) goto done;
    Py_ssize_t size = kind == FLOAT64 ? 8 : kind == FLOAT32 ? 4 : 2;
    if (view[0].itemsize != size || view[0].strides[1] != size || view[0].strides[0] != size * view[0].shape[1]) {
        PyErr_SetString(PyExc_ValueError, "terms that are not contiguous");
        goto done;
    }
    if (fits(&view[1], view[0].shape[0], kind == FLOAT64 ? 8 : 4, "sums") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant.sums(view[0].buf, kind, view[0].shape[0], view[0].shape[1], view[1].buf);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    for (int b = 0; b < 2; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

static PyObject *slab_room(PyObject *self, PyObject *args) {
    (void)self;
    long long n;
    return PyArg_ParseTuple(args, "L", &n) ? PyLong_FromSize_t(room_of_rows(n)) : NULL;
}

static PyObject *turn(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *object[2]; /* [k, n] and [n, k] */
    Py_buffer view[2] = {{0}};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "OO", &object[0], &object[1])) return NULL;
    for (int b = 0; b < 2; b++)
        if (get(object[b], &view[b], b, 2) < 0) goto done;
    Py_ssize_t size = view[0].itemsize;
    void (*turned)(const Turn *) = size == 2 ? turn_2 : size == 4 ? turn_4 : size == 8 ? turn_8 : NULL;
    if (turned == NULL || view[1].itemsize != size || view[0].strides[1] != size || view[1].strides[1] != size ||
        view[0].shape[0] != view[1].shape[1] || view[0].shape[1] != view[1].shape[0]) {
        PyErr_SetString(PyExc_ValueError, "not [k, n] and [n, k] of values of 2, 4 or 8 bytes");
        goto done;
    }
    Turn job = {view[0].buf, view[1].buf, view[1].shape[0], view[1].shape[1], view[0].strides[0], view[1].strides[0]};
    Py_BEGIN_ALLOW_THREADS
    turned(&job);
#if defined(__x86_64__)
    _mm_sfence(); /* what was written past the cache is there for other threads too */
#endif
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    for (int b = 0; b < 2; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
}

/* Numbers that add up to the sum of `values`, or of their squares, without a rounding; None if that takes other means. */
static PyObject *exact_sum(PyObject *self, PyObject *args) {
    (void)self;
    const char *name;
    PyObject *values, *result = NULL;
    Py_buffer view = {0};
    int squares, exponent = 0, possible = 1;
    double *parts = NULL, most = 0.0, least = INFINITY;
    if (!PyArg_ParseTuple(args, "sOi", &name, &values, &squares)) return NULL;
    Variant variant = variant_of(name);
    if (variant.sum == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    if (get(values, &view, 0, 1) < 0 || fits(&view, view.shape[0], 8, "values") < 0) goto done;
    int64_t n = view.shape[0], chunks = (n + MOST_EXACT - 1) / MOST_EXACT;
    const double *x = view.buf;
    parts = malloc(8 * ROUNDS * (size_t)(chunks + 1));
    if (parts == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(x[i]);
        most = size > most ? size : most;
        least = size > 0.0 && size < least ? size : least;
    }
    possible = most < 0x1p450 && (most == 0.0 || least > 0x1p-450); /* squares and their errors are normal numbers */
    frexp(most, &exponent);
    for (int64_t c = 0; possible && c < chunks; c++) {
        int64_t first = c * MOST_EXACT, some = n - first < MOST_EXACT ? n - first : MOST_EXACT;
        possible = variant.sum(x + first, some, squares, squares ? 2 * exponent : exponent, parts + ROUNDS * c) == 0.0;
    }
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    if (!possible) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    result = PyList_New(0);
    for (int64_t p = 0; result != NULL && p < ROUNDS * chunks; p++) {
        if (parts[p] == 0.0) continue;
        PyObject *part = PyFloat_FromDouble(parts[p]);
        if (part == NULL || PyList_Append(result, part) < 0) Py_CLEAR(result);
        Py_XDECREF(part);
    }
done:
    free(parts);
    if (view.obj != NULL) PyBuffer_Release(&view);
    return result;
}

static PyObject *variants(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    PyObject *names = PyList_New(0);
    const char *all[] = {"avx512", "avx2", "neon", "baseline"}; /* the fastest first */
    for (size_t i = 0; names != NULL && i < sizeof all / sizeof *all; i++) {
        if (variant_of(all[i]).losses == NULL) continue;
        PyObject *name = PyUnicode_FromString(all[i]);
        if (name == NULL || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "" /* compiled without setup.py */
#endif

static PyObject *source_digest(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return PyUnicode_FromString(SOURCE_DIGEST);
}

/* What the functions take and return, as a number; raised here and in variants.py whenever that changes. */
enum { INTERFACE = 3 };

static int number_interface(PyObject *self) { return PyModule_AddIntConstant(self, "INTERFACE", INTERFACE); }

static PyMethodDef methods[] = {
    {"rows", rows, METH_VARARGS, "See compiled.py."},
    {"exact_sum", exact_sum, METH_VARARGS, "See exact_sum.py."},
    {"see_piece", see_piece, METH_VARARGS, "See streamed_logits.py."},
    {"slab_losses", slab_losses, METH_VARARGS, "See streamed_logits.py."},
    {"slab_room", slab_room, METH_VARARGS, "See streamed_logits.py."},
    {"sum_in_turn", sum_in_turn, METH_VARARGS, "See conversions.py."},
    {"convert", convert, METH_VARARGS, "See conversions.py."},
    {"source_digest", source_digest, METH_NOARGS, "SHA-256 of the source that this was compiled from, or an empty text."},
    {"turn", turn, METH_VARARGS, "See turned.py."},
    {"variants", variants, METH_NOARGS, "Names of what this machine can run, the fastest first."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, number_interface}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_rows", .m_size = 0, .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit__rows(void) { return PyModuleDef_Init(&module); }
