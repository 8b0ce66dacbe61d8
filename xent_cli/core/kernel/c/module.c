/* The module `_rows`: what Python calls. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "kernel.h"

static const Kernel *kernel_of(const char *name) { /* NULL if this machine does not have it */
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return &kernel_avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kernel_avx2;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return &kernel_baseline; /* fused multiply-add is an instruction there */
#endif
    return strcmp(name, "baseline") == 0 ? &kernel_baseline : NULL;
}

/* A library built with -ffast-math may have set this thread to flush subnormal numbers to zero. */
#if defined(__x86_64__)
typedef unsigned Rounding;
static Rounding plain_rounding(void) {
    Rounding before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80);
    return before;
}
static void restore_rounding(Rounding before) { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t Rounding;
static Rounding plain_rounding(void) {
    Rounding before, plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
    return before;
}
static void restore_rounding(Rounding before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
typedef int Rounding;
static Rounding plain_rounding(void) { return 0; }
static void restore_rounding(Rounding before) { (void)before; }
#endif

/* A function of the module, whose body is given `args` and `view`, a place for the arrays among them. They are let go
   wherever it returns. */
enum { MOST_ARRAYS = 9 };
#define METHOD(name)                                                                                                   \
    static PyObject *name##_given(PyObject *args, Py_buffer *view);                                                    \
    static PyObject *name(PyObject *self, PyObject *args) {                                                            \
        (void)self;                                                                                                    \
        Py_buffer view[MOST_ARRAYS] = {{0}};                                                                           \
        PyObject *result = name##_given(args, view);                                                                   \
        for (int b = 0; b < MOST_ARRAYS; b++) PyBuffer_Release(&view[b]);                                              \
        return result;                                                                                                 \
    }                                                                                                                  \
    static PyObject *name##_given(PyObject *args, Py_buffer *view)

/* What takes time is done without the interpreter's lock. */
#define COMPUTE(call)                                                                                                  \
    do {                                                                                                               \
        Py_BEGIN_ALLOW_THREADS                                                                                         \
        Rounding before = plain_rounding();                                                                            \
        call;                                                                                                          \
        restore_rounding(before);                                                                                      \
        Py_END_ALLOW_THREADS                                                                                           \
    } while (0)

/* Converters for PyArg_ParseTuple. */
static int named(PyObject *name, void *to) {
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL) return 0;
    const Kernel *kernel = kernel_of(text);
    if (kernel == NULL) PyErr_Format(PyExc_ValueError, "this machine has no %s", text);
    *(const Kernel **)to = kernel;
    return kernel != NULL;
}

/* Arrays are checked by the Python files that call; only the sizes that memory depends on are checked again here. */
static int get(PyObject *array, Py_buffer *view, int flags, int ndim) {
    if (PyObject_GetBuffer(array, view, PyBUF_STRIDES | flags) < 0) return 0;
    if (view->ndim != ndim) PyErr_Format(PyExc_ValueError, "%d axes, expected %d", view->ndim, ndim);
    return view->ndim == ndim;
}

static int vector(PyObject *array, void *view) { return get(array, view, 0, 1); }
static int matrix(PyObject *array, void *view) { return get(array, view, 0, 2); }
static int new_vector(PyObject *array, void *view) { return get(array, view, PyBUF_WRITABLE, 1); }
static int vector_or_none(PyObject *array, void *view) { return array == Py_None || vector(array, view); }
static int new_vector_or_none(PyObject *array, void *view) { return array == Py_None || new_vector(array, view); }
static int new_matrix(PyObject *array, void *view) { return get(array, view, PyBUF_WRITABLE, 2); }
static int new_matrix_or_none(PyObject *array, void *view) { return array == Py_None || new_matrix(array, view); }

static int fits(const Py_buffer *view, int64_t n, Py_ssize_t itemsize, const char *name) {
    if (view->buf == NULL || (view->shape[0] == n && view->itemsize == itemsize && view->strides[0] == itemsize)) return 1;
    PyErr_Format(PyExc_ValueError, "%s: not %lld contiguous values of %zd bytes", name, (long long)n, itemsize);
    return 0;
}

static int are_labels(const Py_buffer *view, int64_t n, int64_t k) {
    if (!fits(view, n, 8, "labels")) return 0;
    const int64_t *labels = view->buf;
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= k) {
            PyErr_Format(PyExc_ValueError, "label %lld of %lld classes", (long long)labels[i], (long long)k);
            return 0;
        }
    return 1;
}

static int is_contiguous(const Py_buffer *view) {
    return view->strides[1] == view->itemsize && view->strides[0] == view->itemsize * view->shape[1];
}

static Array array_of(const Py_buffer *view, Array array) { /* which knows its kind and what it holds */
    array.data = view->buf, array.row = view->strides[0], array.step = view->strides[1];
    return array;
}

METHOD(rows) {
    enum { FIRST, SECOND, CLASS_WEIGHT, SCALE, LOSS, MAXIMUM, OTHERS, KL, GRADIENT };
    const Kernel *kernel;
    PyObject *second;
    Job job = {0};
    int gradient_kind;
    if (!PyArg_ParseTuple(args, "O&O&iiOiiiidddO&O&O&O&O&O&O&i", named, &kernel, matrix, &view[FIRST], &job.first.kind,
                          &job.first.holds, &second, &job.second.kind, &job.second.holds, &job.form, &job.normal, &job.smoothing,
                          &job.temperature, &job.teacher_temperature, vector_or_none, &view[CLASS_WEIGHT], vector_or_none,
                          &view[SCALE], new_vector, &view[LOSS], new_vector, &view[MAXIMUM], new_vector, &view[OTHERS],
                          new_vector_or_none, &view[KL], new_matrix_or_none, &view[GRADIENT], &gradient_kind) ||
        !get(second, &view[SECOND], 0, job.form == SPARSE ? 1 : 2))
        return NULL;
    job.n = view[FIRST].shape[0], job.k = view[FIRST].shape[1];
    if (!fits(&view[CLASS_WEIGHT], job.k, 8, "class_weight")) return NULL;
    for (int b = SCALE; b <= KL; b++)
        if (!fits(&view[b], job.n, 8, "values of rows")) return NULL;
    if (job.form == SPARSE) {
        if (!are_labels(&view[SECOND], job.n, job.k)) return NULL;
        job.labels = view[SECOND].buf;
    } else {
        if (view[SECOND].shape[0] != job.n || view[SECOND].shape[1] != job.k)
            return PyErr_Format(PyExc_ValueError, "labels of another shape than the logits");
        job.second = array_of(&view[SECOND], job.second);
    }
    if (view[GRADIENT].buf != NULL &&
        (view[GRADIENT].shape[0] != job.n || view[GRADIENT].shape[1] != job.k || !is_contiguous(&view[GRADIENT])))
        return PyErr_Format(PyExc_ValueError, "a gradient that is not contiguous, or of another shape than the logits");
    if (view[FIRST].itemsize != size_of(job.first.kind) || (job.form != SPARSE && view[SECOND].itemsize != size_of(job.second.kind)) ||
        (view[GRADIENT].buf != NULL && view[GRADIENT].itemsize != size_of(gradient_kind)))
        return PyErr_Format(PyExc_ValueError, "values of another size than their dtype has");
    if (job.n > 0 && job.k < 1) return PyErr_Format(PyExc_ValueError, "no classes");
    if (job.form == TEACHER && view[KL].buf == NULL) return PyErr_Format(PyExc_ValueError, "no place for the divergence");
    job.first = array_of(&view[FIRST], job.first);
    job.class_weight = view[CLASS_WEIGHT].buf, job.scale = view[SCALE].buf;
    job.loss = view[LOSS].buf, job.maximum = view[MAXIMUM].buf, job.others = view[OTHERS].buf, job.kl = view[KL].buf;
    job.gradient = view[GRADIENT].buf, job.gradient_wide = gradient_kind == FLOAT64;
    int done;
    COMPUTE(done = kernel->losses(&job));
    if (!done) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

enum { MOST = 1 << 30 }; /* rows, and classes, of which pieces pass by: no product overflows */

/* What is kept of n rows while pieces of their classes pass by, in bytes. */
static size_t room_of_rows(int64_t n) { return sizeof(SlabRows) * (size_t)((n + LANES - 1) / LANES); }

METHOD(slab_room) {
    (void)view;
    long long n;
    if (!PyArg_ParseTuple(args, "L", &n)) return NULL;
    if (n < 0 || n > MOST) return PyErr_Format(PyExc_ValueError, "no room for %lld rows", n);
    return PyLong_FromSize_t(room_of_rows(n));
}

METHOD(see_piece) {
    enum { LABELS, ROOM, PIECE };
    const Kernel *kernel;
    Job job = {.form = SPARSE};
    Piece piece = {.job = &job};
    long long first, k;
    if (!PyArg_ParseTuple(args, "O&O&O&O&iLLdii", named, &kernel, vector, &view[LABELS], new_vector, &view[ROOM], matrix,
                          &view[PIECE], &job.first.kind, &first, &k, &job.temperature, &piece.second, &piece.ranks))
        return NULL;
    if (k < 1 || k > MOST) return PyErr_Format(PyExc_ValueError, "%lld classes", k);
    job.n = view[LABELS].shape[0], job.k = k, job.steps = (k + LANES - 1) / LANES, job.labels = view[LABELS].buf;
    piece.from = view[PIECE].buf, piece.from_class = view[PIECE].strides[0], piece.rows = view[ROOM].buf;
    piece.first = first, piece.count = view[PIECE].shape[0];
    if (!are_labels(&view[LABELS], job.n, k) || !fits(&view[ROOM], (int64_t)room_of_rows(job.n), 1, "room")) return NULL;
    if (view[PIECE].shape[1] != job.n || view[PIECE].strides[1] != view[PIECE].itemsize ||
        view[PIECE].itemsize != size_of(job.first.kind) || k <= FEW_CLASSES || first < 0 || piece.count > k - first ||
        first % STRIP || (piece.count % STRIP && piece.count != k - first))
        return PyErr_Format(PyExc_ValueError, "not whole strips of the classes of all rows");
    COMPUTE(kernel->piece(&piece));
    Py_RETURN_NONE;
}

METHOD(slab_losses) {
    enum { LABELS, ROOM, CLASS_WEIGHT, LOSS, MAXIMUM, OTHERS, PEAK, AHEAD, AGAIN };
    const Kernel *kernel;
    Job job = {.form = SPARSE};
    long long k;
    if (!PyArg_ParseTuple(args, "O&O&O&O&iLdO&O&O&O&O&O&", named, &kernel, vector, &view[LABELS], vector, &view[ROOM], vector_or_none,
                          &view[CLASS_WEIGHT], &job.first.kind, &k, &job.temperature, new_vector, &view[LOSS], new_vector,
                          &view[MAXIMUM], new_vector, &view[OTHERS], new_vector, &view[PEAK], new_vector, &view[AHEAD], new_vector,
                          &view[AGAIN]))
        return NULL;
    job.n = view[LABELS].shape[0], job.k = k, job.labels = view[LABELS].buf, job.class_weight = view[CLASS_WEIGHT].buf;
    job.loss = view[LOSS].buf, job.maximum = view[MAXIMUM].buf, job.others = view[OTHERS].buf;
    if (!are_labels(&view[LABELS], job.n, k) || !fits(&view[ROOM], (int64_t)room_of_rows(job.n), 1, "room") ||
        !fits(&view[CLASS_WEIGHT], k, 8, "class_weight"))
        return NULL;
    for (int b = LOSS; b <= AGAIN; b++)
        if (!fits(&view[b], job.n, b == AGAIN ? 1 : 8, "values of rows")) return NULL;
    COMPUTE(kernel->slab(&job, view[ROOM].buf, view[PEAK].buf, view[AHEAD].buf, view[AGAIN].buf));
    Py_RETURN_NONE;
}

METHOD(convert) {
    enum { FROM, TO };
    const Kernel *kernel;
    int from, to;
    if (!PyArg_ParseTuple(args, "O&O&iO&i", named, &kernel, vector, &view[FROM], &from, new_vector, &view[TO], &to)) return NULL;
    int64_t n = view[FROM].shape[0];
    if ((from == FLOAT32) == (to == FLOAT32) || from == FLOAT64 || to == FLOAT64)
        return PyErr_Format(PyExc_ValueError, "no conversion from %d to %d", from, to);
    if (!fits(&view[FROM], n, size_of(from), "values") || !fits(&view[TO], n, size_of(to), "values")) return NULL;
    COMPUTE(kernel->convert(view[FROM].buf, from, n, view[TO].buf, to));
    Py_RETURN_NONE;
}

METHOD(sum_in_turn) {
    enum { TERMS, SUMS };
    const Kernel *kernel;
    int kind;
    if (!PyArg_ParseTuple(args, "O&O&iO&", named, &kernel, matrix, &view[TERMS], &kind, new_vector, &view[SUMS])) return NULL;
    int64_t n = view[TERMS].shape[0];
    if (view[TERMS].itemsize != size_of(kind) || !is_contiguous(&view[TERMS]))
        return PyErr_Format(PyExc_ValueError, "terms that are not contiguous");
    if (!fits(&view[SUMS], n, kind == FLOAT64 ? 8 : 4, "sums")) return NULL;
    COMPUTE(kernel->sums(view[TERMS].buf, kind, n, view[TERMS].shape[1], view[SUMS].buf));
    Py_RETURN_NONE;
}

METHOD(turn) {
    enum { FROM, TO }; /* [k, n] and [n, k] */
    if (!PyArg_ParseTuple(args, "O&O&", matrix, &view[FROM], new_matrix, &view[TO])) return NULL;
    Py_ssize_t size = view[FROM].itemsize;
    void (*turned)(const Turn *) = size == 2 ? turn_2 : size == 4 ? turn_4 : size == 8 ? turn_8 : NULL;
    if (turned == NULL || view[TO].itemsize != size || view[FROM].strides[1] != size || view[TO].strides[1] != size ||
        view[FROM].shape[0] != view[TO].shape[1] || view[FROM].shape[1] != view[TO].shape[0])
        return PyErr_Format(PyExc_ValueError, "not [k, n] and [n, k] of values of 2, 4 or 8 bytes");
    Turn job = {view[FROM].buf, view[TO].buf, view[TO].shape[0], view[TO].shape[1], view[FROM].strides[0], view[TO].strides[0]};
    COMPUTE(turned(&job));
    Py_RETURN_NONE;
}

/* Writes numbers that add up to the sum of n values, or of their squares, without a rounding, ROUNDS for each chunk;
   returns whether that can be done. */
static int all_parts(const Kernel *kernel, const double *x, int64_t n, int squares, double *parts) {
    double most = 0.0, least = INFINITY;
    int exponent = 0;
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(x[i]);
        most = size > most ? size : most;
        least = size > 0.0 && size < least ? size : least;
    }
    int possible = most < 0x1p450 && (most == 0.0 || least > 0x1p-450); /* squares and their errors are normal numbers */
    frexp(most, &exponent);
    for (int64_t first = 0; possible && first < n; first += MOST_EXACT, parts += ROUNDS) {
        int64_t some = n - first < MOST_EXACT ? n - first : MOST_EXACT;
        possible = kernel->sum(x + first, some, squares, squares ? 2 * exponent : exponent, parts) == 0.0;
    }
    return possible;
}

/* A list of these numbers, or None. */
METHOD(exact_sum) {
    const Kernel *kernel;
    int squares, possible;
    if (!PyArg_ParseTuple(args, "O&O&i", named, &kernel, vector, &view[0], &squares)) return NULL;
    int64_t n = view[0].shape[0], chunks = (n + MOST_EXACT - 1) / MOST_EXACT;
    if (!fits(&view[0], n, 8, "values")) return NULL;
    double *parts = malloc(8 * ROUNDS * (size_t)(chunks + 1));
    if (parts == NULL) return PyErr_NoMemory();
    COMPUTE(possible = all_parts(kernel, view[0].buf, n, squares, parts));
    PyObject *result = possible ? PyList_New(0) : Py_NewRef(Py_None);
    for (int64_t p = 0; possible && result != NULL && p < ROUNDS * chunks; p++) {
        if (parts[p] == 0.0) continue;
        PyObject *part = PyFloat_FromDouble(parts[p]);
        if (part == NULL || PyList_Append(result, part) < 0) Py_CLEAR(result);
        Py_XDECREF(part);
    }
    free(parts);
    return result;
}

static PyObject *variants(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    PyObject *names = PyList_New(0);
    const char *all[] = {"avx512", "avx2", "neon", "baseline"}; /* the fastest first */
    for (size_t i = 0; names != NULL && i < sizeof all / sizeof *all; i++) {
        if (kernel_of(all[i]) == NULL) continue;
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
