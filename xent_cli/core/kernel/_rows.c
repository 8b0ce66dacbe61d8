/* Losses of rows and their gradients, as cross_entropy.py, from_probabilities.py and distillation.py compute them, but in
   few passes over memory and without the interpreter lock. Their derivations hold here too, and names are theirs.

   Bits. Only operations that IEEE 754 rounds correctly are used (+ - * / and fused multiply-add), in an order that
   depends on the number of classes alone, and no function of a math library: exp, log, log1p and expm1 are polynomials,
   derived by benchmarks/kernel_coefficients.py. So every set of instructions gives the same bits. This file includes
   itself once for each of them, to compile what is below "for each set of instructions".

   Lanes. All work is done on vectors of LANES doubles, in loops of that length, which the compiler turns into whatever
   vectors there are. A panel is a sequence of such vectors, its steps. It holds either
     few classes:   LANES rows side by side; step j has class j of each row;
     many classes:  one row; step j has the classes from LANES*j on, and padding behind the last one.
   DEPTH steps are a strip, which fits the fastest cache; passes go strip by strip. What belongs to a row, such as its
   maximum, is a vector too; with many classes all lanes of it are equal. So most functions need not know which it is.
   Parameters that are constants where a function is inlined: `wide`, whether a panel is of float64 or of float32, and
   `full`, whether exponentials are kept for a gradient. */
#ifndef VARIANT
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define FMA __builtin_fma
/* A loop over lanes, which is to become vectors; unrolled before that, it would become 16 separate computations. */
#if defined(__clang__)
#define EACH_LANE _Pragma("clang loop unroll(disable)") for (int l = 0; l < LANES; l++)
#else
#define EACH_LANE _Pragma("GCC unroll 1") for (int l = 0; l < LANES; l++)
#endif

enum { LANES = 16, DEPTH = 8, STRIP = DEPTH * LANES, FEW_CLASSES = 128 };
enum { FLOAT64, FLOAT32, FLOAT16, BFLOAT16 }; /* compiled.py numbers dtypes so, */
enum { LOGITS, LOG_PROBS, PROBS }; /* what an array holds, */
enum { SPARSE, DENSE, TEACHER }; /* and what labels are */

/* ---- exp, log, log1p, expm1 -------------------------------------------------------------------------------------- */

static const double LOG2_E = 0x1.71547652b82fep+0, LN2 = 0x1.62e42fefa39efp-1, LN2_REST = 0x1.abc9e3b39803fp-56;
static const double SQRT_HALF = 0x1.6a09e667f3bcdp-1;
/* Adding it rounds a double to an integer, and leaves that integer, plus the bias of exponents, in the last bits. */
static const double ROUND = 0x1.8p52 + 1023;

INLINE int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

INLINE double from_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

INLINE float from_word(uint32_t word) {
    float x;
    memcpy(&x, &word, 4);
    return x;
}

/* 2**k from k + ROUND, for -1023 <= k <= 1023; 0 for the first of these. */
INLINE double power_of_two(double rounded) { return from_bits((int64_t)((uint64_t)bits_of(rounded) << 52)); }

/* (exp(r) - 1 - r) / r**2 for |r| <= ln 2 / 2, by Horner's scheme. */
INLINE double exp_tail(double r) {
    double q = 0x1.af389eea54156p-26;
    q = FMA(q, r, 0x1.28917c9f3a495p-22);
    q = FMA(q, r, 0x1.71de0db2eb873p-19);
    q = FMA(q, r, 0x1.a019b914881bap-16);
    q = FMA(q, r, 0x1.a01a01a7c2f2cp-13);
    q = FMA(q, r, 0x1.6c16c17889f3cp-10);
    q = FMA(q, r, 0x1.11111111109b5p-7);
    q = FMA(q, r, 0x1.5555555553d68p-5);
    q = FMA(q, r, 0x1.5555555555556p-3);
    return FMA(q, r, 0x1.0000000000001p-1);
}

/* exp(x) for x <= 0; 0 where it would be subnormal; NaN for NaN. */
INLINE double exp_term(double x) {
    double clipped = x < -709.0 ? -709.0 : x; /* there k is -1023 */
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double r = FMA(k, -LN2_REST, FMA(k, -LN2, clipped));
    return (FMA(r * r, exp_tail(r), r) + 1.0) * power_of_two(t);
}

/* exp(x) for any x; a subnormal result is rounded once. */
INLINE double exp_full(double x) {
    double clipped = x < -746.0 ? -746.0 : x;
    clipped = clipped > 746.0 ? 746.0 : clipped;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double r = FMA(k, -LN2_REST, FMA(k, -LN2, clipped));
    double half = FMA(k, 0.5, ROUND), rest = k - (half - ROUND);
    return ((FMA(r * r, exp_tail(r), r) + 1.0) * power_of_two(half)) * power_of_two(rest + ROUND);
}

/* exp(x) - 1 for x <= 700. */
INLINE double expm1_of(double x) {
    double clipped = x < -50.0 ? -50.0 : x;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double high = FMA(k, -LN2, clipped), r = FMA(k, -LN2_REST, high);
    double lost = FMA(k, -LN2_REST, high - r); /* what rounding r lost */
    double p = r + FMA(r * r, exp_tail(r), lost), power = power_of_two(t);
    return FMA(power, p, power - 1.0);
}

/* log(u) + more_k ln 2. With u = 2**k (1 + f), log(1 + f) is 2 atanh(f / (2 + f)). If k is 0, `near` is f; otherwise the
   argument is u + lost. */
INLINE double log_of_parts(double u, double near, double lost, double more_k) {
    int64_t shift = (bits_of(u) - bits_of(SQRT_HALF)) >> 52; /* u / 2**shift lies in [sqrt(1/2), sqrt(2)) */
    double m = from_bits((int64_t)((uint64_t)bits_of(u) - ((uint64_t)shift << 52))), k = (double)shift + more_k;
    double f = shift == 0 ? near : m - 1.0;
    lost = shift == 0 ? 0.0 : lost / u;
    double q = f / (2.0 + f), z = q * q, half = 0.5 * f * f;
    double tail = 0x1.2b584c6b42d60p-3;
    tail = FMA(tail, z, 0x1.39fe604146b74p-3);
    tail = FMA(tail, z, 0x1.7462b4ac441afp-3);
    tail = FMA(tail, z, 0x1.c71c62e57c3c4p-3);
    tail = FMA(tail, z, 0x1.2492492df14bcp-2);
    tail = FMA(tail, z, 0x1.99999999952e2p-2);
    tail = FMA(tail, z, 0x1.5555555555558p-1);
    double small = FMA(q, FMA(tail, z, half), FMA(k, LN2_REST, lost)), log = FMA(k, LN2, f - (half - small));
    log = u < INFINITY ? log : u; /* also of NaN */
    log = u == 0.0 ? -INFINITY : log;
    return u < 0.0 ? NAN : log;
}

/* log(1 + s) for s >= -1. */
INLINE double log1p_of(double s) {
    double u = 1.0 + s;
    return log_of_parts(u, s, u < 0x1p53 ? s - (u - 1.0) : 0.0, 0.0);
}

INLINE double log_of(double x) {
    int subnormal = x < 0x1p-1022;
    double u = subnormal ? x * 0x1p54 : x;
    return log_of_parts(u, u - 1.0, 0.0, subnormal ? -54.0 : 0.0);
}

INLINE double product(double weight, double x) { return weight == 0.0 && isinf(x) ? 0.0 : weight * x; }

/* ---- what there is to do ------------------------------------------------------------------------------------------ */

typedef struct {
    const char *data;
    int kind, holds;
    int64_t row, step; /* strides in bytes, from row to row and from class to class */
} Array;

typedef struct {
    Array first, second; /* logits or what is in their place; dense labels or a teacher's outputs */
    const int64_t *labels; /* [n] if they are sparse */
    int form; /* SPARSE, DENSE or TEACHER */
    int few; /* whether k <= FEW_CLASSES */
    int normal; /* whether both distributions sum to 1, so that the terms of their divergence can be >= 0 */
    int64_t n, k, steps; /* steps of a panel */
    double smoothing, temperature, teacher_temperature;
    const double *class_weight; /* [k] or NULL */
    double *loss, *maximum, *others, *kl; /* [n]; others is the sum of exp(z_j - m) over all j but the first maximum */
    void *gradient; /* [n, k] or NULL */
    int gradient_wide; /* float64, else float32 */
    const double *scale; /* [n] or NULL */
    /* Class j has the weight kept_j q_j + uniform_j in the loss, with q a dense label; uniform_j besides its own if labels
       are sparse. Both are panels, or NULL where the weight is q_j or 0. */
    double *kept, *uniform;
} Job;

/* Working memory: panels of one row of many classes, or of LANES rows; and LANES rows as they are in memory. */
typedef struct { double *z, *e, *t, *f, *rows; } Scratch;

/* A weight times those of the classes, as a panel; padding is 0. */
static void spread(const Job *job, double weight, double *panel) {
    int64_t copies = job->few ? LANES : 1;
    for (int64_t v = 0; v < job->steps * LANES; v++) {
        double of_class = job->class_weight == NULL || v >= job->k * copies ? 1.0 : job->class_weight[v / copies];
        panel[v] = v < job->k * copies ? weight * of_class : 0.0;
    }
}

/* The row of a lane; lanes that have none get the first one. */
INLINE int64_t row_of(const Job *job, int64_t i, int64_t n, int lane) { return job->few && lane < n ? i + lane : i; }

INLINE int64_t place_in_panel(const Job *job, int64_t r, int64_t j) { return job->few ? j * LANES + r : j; }

/* The steps at which lanes hold a given class of their row, -1 where none does. */
INLINE void steps_of_class(const Job *job, const int64_t *class, int64_t *step) {
    if (job->few) EACH_LANE step[l] = class[l];
    else EACH_LANE step[l] = class[0] % LANES == l ? class[0] / LANES : -1;
}

INLINE int64_t depth_at(const Job *job, int64_t b) { return job->steps - b < DEPTH ? job->steps - b : DEPTH; }

/* ---- sums --------------------------------------------------------------------------------------------------------- */

/* A sum in each lane, and the rounding errors of its additions (Knuth's two-sum). What is added is itself a plain sum of
   at most DEPTH terms, so a sum of 200,000 equal terms is as good as one of 8. */
typedef struct { double sum[LANES], lost[LANES]; } Sum;

/* The sum over all lanes. */
INLINE double sum_across(const Sum *total) {
    Sum all = *total;
    for (int width = LANES / 2; width; width /= 2)
        for (int l = 0; l < width; l++) {
            double a = all.sum[l], b = all.sum[l + width], s = a + b, back = s - a;
            all.lost[l] = (all.lost[l] + all.lost[l + width]) + ((a - (s - back)) + (b - back));
            all.sum[l] = s;
        }
    return isinf(all.sum[0]) ? all.sum[0] : all.sum[0] + all.lost[0]; /* inf has no error to add: inf - inf is NaN */
}

/* The sum of each row: with few classes that of its lane. */
INLINE void sums_of_rows(const Job *job, const Sum *total, double *of_row) {
    if (job->few) EACH_LANE of_row[l] = isinf(total->sum[l]) ? total->sum[l] : total->sum[l] + total->lost[l];
    else {
        double sum = sum_across(total);
        EACH_LANE of_row[l] = sum;
    }
}

/* ---- values in memory --------------------------------------------------------------------------------------------- */

INLINE float widened(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, bits = half & 0x7fffu;
    float unit = from_word(113u << 23); /* 2**-14: subnormal halves are a fraction of it */
    float small = from_word((bits << 13) + (113u << 23)) - unit;
    uint32_t small_word, word = (bits << 13) + (bits >= 0x7c00 ? 224u << 23 : 112u << 23); /* the first if inf or NaN */
    memcpy(&small_word, &small, 4);
    return from_word((bits < 0x400 ? small_word : word) | sign);
}

INLINE float shifted(uint16_t bfloat16) { return from_word((uint32_t)bfloat16 << 16); }

INLINE double value_at(const Array *array, int64_t i, int64_t j) {
    const char *at = array->data + i * array->row + j * array->step;
    if (array->kind == FLOAT64) return *(const double *)at;
    if (array->kind == FLOAT32) return *(const float *)at;
    return array->kind == FLOAT16 ? widened(*(const uint16_t *)at) : shifted(*(const uint16_t *)at);
}

INLINE double element(const void *panel, int wide, int64_t at) {
    return wide ? ((const double *)panel)[at] : (double)((const float *)panel)[at];
}

INLINE void set(void *panel, int wide, int64_t at, double value) {
    if (wide) ((double *)panel)[at] = value;
    else ((float *)panel)[at] = (float)value;
}

INLINE void *offset(void *panel, int wide, int64_t at) { return (char *)panel + (wide ? 8 : 4) * at; }

/* Transpose a matrix whose sides are multiples of 4, in blocks that fit registers of 128 bits, which every machine has. */
typedef float Floats __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(16)));
#define MIXED __builtin_shufflevector

INLINE void turn_floats(const char *from, int64_t row, int rows, int columns, float *to) {
    for (int r = 0; r < rows; r += 4)
        for (int c = 0; c < columns; c += 4) {
            Floats in[4], out[4];
            for (int q = 0; q < 4; q++) memcpy(&in[q], from + (r + q) * row + 4 * c, 16);
            Floats a = MIXED(in[0], in[1], 0, 4, 1, 5), b = MIXED(in[0], in[1], 2, 6, 3, 7);
            Floats x = MIXED(in[2], in[3], 0, 4, 1, 5), y = MIXED(in[2], in[3], 2, 6, 3, 7);
            out[0] = MIXED(a, x, 0, 1, 4, 5), out[1] = MIXED(a, x, 2, 3, 6, 7);
            out[2] = MIXED(b, y, 0, 1, 4, 5), out[3] = MIXED(b, y, 2, 3, 6, 7);
            for (int q = 0; q < 4; q++) memcpy(to + (c + q) * rows + r, &out[q], 16);
        }
}

INLINE void turn_doubles(const char *from, int64_t row, int rows, int columns, double *to) {
    for (int r = 0; r < rows; r += 2)
        for (int c = 0; c < columns; c += 2) {
            Doubles a, b;
            memcpy(&a, from + r * row + 8 * c, 16);
            memcpy(&b, from + (r + 1) * row + 8 * c, 16);
            Doubles x = MIXED(a, b, 0, 2), y = MIXED(a, b, 1, 3);
            memcpy(to + c * rows + r, &x, 16);
            memcpy(to + (c + 1) * rows + r, &y, 16);
        }
}

/* Whole strips of many classes are read where they are, if they are contiguous; the rest is copied, and padded. */
typedef struct {
    const char *direct, *copied;
    int64_t num_direct; /* steps */
} Panel;

INLINE const void *strip_of(const Panel *panel, int wide, int64_t b) {
    return b < panel->num_direct ? panel->direct + b * LANES * (wide ? 8 : 4)
                                 : panel->copied + (b - panel->num_direct) * LANES * (wide ? 8 : 4);
}

/* ---- sums of exponentials ----------------------------------------------------------------------------------------- */

/* Maximum of each of LANES rows, ignoring NaN, and the class where it is first. */
#define MAXIMA_OF_FEW(type, integer)                                                                                   \
    type top[LANES];                                                                                                   \
    integer at[LANES];                                                                                                 \
    EACH_LANE top[l] = -INFINITY, at[l] = 0;                                                                           \
    for (integer j = 0; j < (integer)job->k; j++)                                                                      \
        EACH_LANE {                                                                                                    \
            type each = ((const type *)panel->copied)[j * LANES + l];                                                  \
            at[l] = each > top[l] ? j : at[l];                                                                         \
            top[l] = each > top[l] ? each : top[l];                                                                    \
        }                                                                                                              \
    EACH_LANE m[l] = (double)top[l], peak[l] = at[l];

/* The same of a row of many classes. */
#define MAXIMA_OF_MANY(type)                                                                                           \
    type top[STRIP];                                                                                                   \
    int64_t first = 0;                                                                                                 \
    for (int v = 0; v < STRIP; v++) top[v] = -INFINITY;                                                                \
    for (int64_t b = 0; b < job->steps; b += DEPTH) {                                                                  \
        const type *z = strip_of(panel, wide, b);                                                                      \
        if (b + DEPTH <= job->steps) for (int v = 0; v < STRIP; v++) top[v] = z[v] > top[v] ? z[v] : top[v];           \
        else for (int v = 0; v < depth_at(job, b) * LANES; v++) top[v] = z[v] > top[v] ? z[v] : top[v];                \
    }                                                                                                                  \
    for (int width = STRIP / 2; width; width /= 2)                                                                     \
        for (int v = 0; v < width; v++) top[v] = top[v + width] > top[v] ? top[v + width] : top[v];                    \
    for (int64_t j = 0, found = 0; j < job->steps && !found; j++) {                                                    \
        const type *z = (const type *)strip_of(panel, wide, j / DEPTH * DEPTH) + j % DEPTH * LANES;                    \
        int any = 0;                                                                                                   \
        EACH_LANE any |= z[l] == top[0];                                                                               \
        if (!any) continue;                                                                                            \
        for (first = j * LANES; z[first - j * LANES] != top[0]; first++);                                              \
        found = 1;                                                                                                     \
    }                                                                                                                  \
    EACH_LANE m[l] = (double)top[0], peak[l] = first;

INLINE void find_maxima(const Job *job, const Panel *panel, int wide, double *m, int64_t *peak) {
    if (job->few && wide) { MAXIMA_OF_FEW(double, int64_t) }
    else if (job->few) { MAXIMA_OF_FEW(float, int32_t) }
    else if (wide) { MAXIMA_OF_MANY(double) }
    else { MAXIMA_OF_MANY(float) }
}

/* (z_j - m)/T for `depth` steps. */
INLINE void differences(const void *z, int wide, int64_t depth, const double *m, double temperature, double *d) {
    for (int64_t v = 0; v < depth * LANES; v += LANES) EACH_LANE d[v + l] = element(z, wide, v + l) - m[l];
    if (temperature == 1.0) return;
    if (wide && temperature > 1.0) /* halved: opposite logits near the end of the range would overflow before the division */
        for (int64_t v = 0; v < depth * LANES; v += LANES)
            EACH_LANE d[v + l] = (element(z, wide, v + l) / 2 - m[l] / 2) / (temperature / 2);
    else
        for (int64_t v = 0; v < depth * LANES; v++) d[v] /= temperature;
}

/* (v - m)/T, and what rounding took from it; 0 where either is not finite. */
INLINE double difference(double v, double m, double temperature, double *error) {
    double d = v - m, back = v - d, lost = (v - (d + back)) + (back - m);
    if (temperature != 1.0) {
        double quotient = d / temperature;
        lost = (FMA(-quotient, temperature, d) + lost) / temperature;
        d = quotient;
    }
    *error = isfinite(lost) ? lost : 0.0;
    return d;
}

static const double REMOTE = 0x1.44e51f113d4d6p-185 /* exp(-128) */, FAINT = 1e-270;

/* Whether the sum may have to be recomputed: see compensated_sum.py. Differences of float32 logits are float64 numbers
   unless one is 2**28 times the other. A class that much nearer to 0 than the maximum weighs exp(-m), and matters only
   where the loss is little more than all such classes together; likewise for a maximum that is itself near 0. */
INLINE int suspect(const Job *job, int exact, double m, double others, double distance) {
    double least = others > distance ? others : distance, size = fabs(m), limit = size < 700.0 ? size : 700.0;
    double bound = 2.0 * power_of_two(FMA(limit, -LOG2_E, ROUND)); /* of exp(-m) */
    int near_zero = (m > 4) & (least < (double)job->k * m * bound), zero_peak = (m != 0) & (size < 745 * 0x1p-28);
    return (others < FAINT) | (exact ? (others < 0.125) & (near_zero | zero_peak) : others < REMOTE);
}

INLINE double label_weight(const Job *job, int64_t i) {
    if (job->form != SPARSE) return 0.0;
    double kept = 1.0 - job->smoothing;
    return job->class_weight == NULL ? kept : kept * job->class_weight[job->labels[i]];
}

/* (m - z_y)/T of the label. */
INLINE double distance_of(const Job *job, int64_t i, double m) {
    double at_label = value_at(&job->first, i, job->labels[i]);
    if (job->first.kind != FLOAT64 && job->temperature == 1.0) return m - at_label;
    return (m / 2 - at_label / 2) / (job->temperature / 2);
}

/* The weight of a class in the loss of a row, besides that of a sparse label. */
INLINE double weight_at(const Job *job, int64_t i, int64_t j) {
    int64_t at = place_in_panel(job, 0, j);
    if (job->form == SPARSE) return job->uniform[at];
    double q = value_at(&job->second, i, j);
    return job->kept == NULL ? q : FMA(job->kept[at], q, job->uniform[at]);
}

INLINE void put(const Job *job, int64_t i, int64_t j, double g) { set(job->gradient, job->gradient_wide, i * job->k + j, g); }

/* Figures of LANES rows; of a single row in all lanes, if it has many classes and exponentials are kept. */
typedef struct {
    double m[LANES], others[LANES], distance[LANES], far[LANES], mass[LANES], total[LANES];
    int64_t peak[LANES];
} Rows;

/* ---- divergence --------------------------------------------------------------------------------------------------- */

/* One of two distributions: log p_j = (z_j - m)/T - norm and p_j = e_j inverse. `norm` and `inverse` are NaN where a row
   is not a distribution. */
typedef struct {
    Panel panel;
    const double *e;
    double temperature, m[LANES], norm[LANES], inverse[LANES];
    int64_t peak[LANES];
} Side;

/* log p_j and p_j of a strip. */
INLINE void distribution(const Side *side, int64_t b, int64_t depth, double *log_p, double *p) {
    differences(strip_of(&side->panel, 1, b), 1, depth, side->m, side->temperature, log_p);
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        EACH_LANE {
            log_p[v + l] -= side->norm[l];
            p[v + l] = side->e[b * LANES + v + l] * side->inverse[l];
        }
}

/* (x + exp(-x) - 1) / x**2 for |x| <= 1/8. */
INLINE double divergence_tail(double x) {
    double s = 1.0 / 3628800;
    s = FMA(s, x, -1.0 / 362880);
    s = FMA(s, x, 1.0 / 40320);
    s = FMA(s, x, -1.0 / 5040);
    s = FMA(s, x, 1.0 / 720);
    s = FMA(s, x, -1.0 / 120);
    s = FMA(s, x, 1.0 / 24);
    s = FMA(s, x, -1.0 / 6);
    return FMA(s, x, 0.5);
}

/* A term of the divergence, q (x + exp(-x) - 1) = q x - q + p >= 0 with x = log(q/p): see divergence.py. Where exp(-x) is
   far from 1, p and q themselves are accurate enough. */
INLINE double divergence_term(double x, double p, double q) {
    double size = fabs(x), near = size < 1.0 ? x : 0.0;
    double middle = q * (near + expm1_of(-near)), small = q * near * near * divergence_tail(near), far = q * (x - 1.0) + p;
    double term = size < 0.125 ? small : size < 1.0 ? middle : far;
    term = term < 0.0 ? 0.0 : term;
    return q == 0.0 ? p : term;
}

/* log(q/p) from differences of logits, but for a shift that is common to all classes of a row: see divergence.py. */
INLINE double log_ratio(const Job *job, double z, double m, double t, double t_peak) {
    double lost, taught_lost;
    double apart = difference(z, m, job->temperature, &lost), taught = difference(t, t_peak, job->teacher_temperature, &taught_lost);
    double u = (taught - apart) + (taught_lost - lost);
    return z == -INFINITY && t == -INFINITY ? 0.0 : u;
}

/* ---- one compilation for each set of instructions ----------------------------------------------------------------- */

typedef void AllRows(const Job *, const Scratch *);

#define JOINED(name, variant) name##_##variant
#define NAMED(name, variant) JOINED(name, variant)
#define FUNCTION TARGET static
#define add NAMED(add, VARIANT)
#define add_exponentials NAMED(add_exponentials, VARIANT)
#define sum_exponentials NAMED(sum_exponentials, VARIANT)
#define copy NAMED(copy, VARIANT)
#define load_few NAMED(load_few, VARIANT)
#define load_many NAMED(load_many, VARIANT)
#define load NAMED(load, VARIANT)
#define refined NAMED(refined, VARIANT)
#define weights_of NAMED(weights_of, VARIANT)
#define weigh NAMED(weigh, VARIANT)
#define finish NAMED(finish, VARIANT)
#define put_strip NAMED(put_strip, VARIANT)
#define differentiate NAMED(differentiate, VARIANT)
#define logits_rows NAMED(logits_rows, VARIANT)
#define side_of NAMED(side_of, VARIANT)
#define probability_rows NAMED(probability_rows, VARIANT)
#define teacher_rows NAMED(teacher_rows, VARIANT)
#define all_rows NAMED(all_rows, VARIANT)

#define VARIANT baseline
#define TARGET
#include "_rows.c"
#if defined(__x86_64__)
#undef VARIANT
#undef TARGET
#define VARIANT avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "_rows.c"
#undef VARIANT
#undef TARGET
#define VARIANT avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#include "_rows.c"
#endif

static AllRows *variant_of(const char *name) {
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) return all_rows_avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return all_rows_avx2;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return all_rows_baseline; /* fused multiply-add is an instruction there */
#endif
    return strcmp(name, "baseline") == 0 ? all_rows_baseline : NULL;
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
    AllRows *all_rows_here = variant_of(name);
    if (all_rows_here == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
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
    for (int64_t i = 0; job.form == SPARSE && i < job.n; i++)
        if (job.labels[i] < 0 || job.labels[i] >= job.k) {
            PyErr_Format(PyExc_ValueError, "label %lld of %lld classes", (long long)job.labels[i], (long long)job.k);
            goto done;
        }
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
    }
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    all_rows_here(&job, &scratch);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    free(memory);
    for (int b = 0; b < ARRAYS; b++)
        if (view[b].obj != NULL) PyBuffer_Release(&view[b]);
    return result;
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

static PyObject *variants(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    PyObject *names = PyList_New(0);
    const char *all[] = {"avx512", "avx2", "neon", "baseline"}; /* the fastest first */
    for (size_t i = 0; names != NULL && i < sizeof all / sizeof *all; i++) {
        if (variant_of(all[i]) == NULL) continue;
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

static PyMethodDef methods[] = {
    {"rows", rows, METH_VARARGS, "See compiled.py."},
    {"source_digest", source_digest, METH_NOARGS, "SHA-256 of the source that this was compiled from, or an empty text."},
    {"turn", turn, METH_VARARGS, "See turned.py."},
    {"variants", variants, METH_NOARGS, "Names of what this machine can run, the fastest first."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_rows", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__rows(void) { return PyModuleDef_Init(&module); }

#else /* ---- for each set of instructions --------------------------------------------------------------------------- */

/* Not inlined: a compiler that sees through it makes its vectors 16 separate numbers. */
FUNCTION __attribute__((noinline)) void add(Sum *total, const double *terms) {
    EACH_LANE {
        double s = total->sum[l] + terms[l], back = s - total->sum[l];
        total->lost[l] += (total->sum[l] - (s - back)) + (terms[l] - back);
        total->sum[l] = s;
    }
}

/* Adds exp(d) to `total`, but for lanes that reach their step `omitted`, if `omit`; keeps it in `e` if `full`. */
INLINE void add_exponentials(const double *d, int64_t depth, int64_t b, int omit, const int64_t *omitted, int full, double *e, Sum *total) {
    double terms[LANES] = {0};
    for (int64_t j = 0; j < depth; j++)
        EACH_LANE {
            double x = d[j * LANES + l], term = full ? exp_full(x) : exp_term(x);
            if (full) e[j * LANES + l] = term;
            terms[l] += omit && omitted[l] == b + j ? 0.0 : term;
        }
    add(total, terms);
}

/* Sum of exp((z_j - m)/T) over all j but the first maximum. */
INLINE void sum_exponentials(const Job *job, const Panel *panel, int wide, int full, const double *m, const int64_t *peak,
                             double temperature, double *e, double *others) {
    Sum total = {{0}, {0}};
    double d[STRIP];
    int64_t omitted[LANES];
    steps_of_class(job, peak, omitted);
    for (int64_t b = 0; b < job->steps; b += DEPTH) {
        int64_t depth = depth_at(job, b);
        differences(strip_of(panel, wide, b), wide, depth, m, temperature, d);
        if (job->few || b == peak[0] / STRIP * DEPTH) add_exponentials(d, depth, b, 1, omitted, full, e + b * LANES, &total);
        else add_exponentials(d, depth, b, 0, omitted, full, e + b * LANES, &total);
    }
    sums_of_rows(job, &total, others);
    EACH_LANE others[l] = isfinite(m[l]) ? others[l] : NAN; /* the maximum may be what makes it NaN */
}

/* `n` values, `apart` bytes from each other, as float64 (wide) or float32. */
#define COPY(type, value_of)                                                                                           \
    if (apart == sizeof(type) && wide) for (int64_t j = 0; j < n; j++) ((double *)to)[j] = value_of(((const type *)from)[j]); \
    else if (apart == sizeof(type)) for (int64_t j = 0; j < n; j++) ((float *)to)[j] = (float)value_of(((const type *)from)[j]); \
    else for (int64_t j = 0; j < n; j++) set(to, wide, j, value_of(*(const type *)(from + j * apart)));
#define AS_IT_IS(value) (value)

FUNCTION void copy(const char *from, int64_t apart, int kind, int64_t n, int wide, void *to) {
    if (kind == FLOAT32) { COPY(float, AS_IT_IS) }
    else if (kind == FLOAT64) { COPY(double, AS_IT_IS) }
    else if (kind == FLOAT16) { COPY(uint16_t, widened) }
    else { COPY(uint16_t, shifted) }
}
#undef COPY
#undef AS_IT_IS

/* LANES rows of few classes from row i on, side by side; rows from n on are `pad`. */
FUNCTION void load_few(const Array *array, int64_t i, int64_t n, int64_t k, int wide, double pad, double *room, void *to) {
    int64_t size = array->kind == FLOAT64 ? 8 : array->kind == FLOAT32 ? 4 : 2, width = wide ? 8 : 4, row = array->row;
    const char *from = array->data + i * row;
    if (n == LANES && row == size && array->step != size) { /* rows are side by side already */
        for (int64_t j = 0; j < k; j++) copy(from + j * array->step, size, array->kind, LANES, wide, offset(to, wide, j * LANES));
        return;
    }
    if (n < LANES || size != width || array->step != size) {
        for (int64_t v = 0; v < LANES * k; v++) set(room, wide, v, pad);
        for (int64_t r = 0; r < n; r++) copy(from + r * row, array->step, array->kind, k, wide, offset(room, wide, r * k));
        from = (const char *)room;
        row = k * width;
    }
    if (k < DEPTH)
        for (int r = 0; r < LANES; r++)
            for (int64_t j = 0; j < k; j++) set(to, wide, j * LANES + r, element(from + r * row, wide, j));
    for (int64_t b = 0; k >= DEPTH && b < k; b += DEPTH) {
        int64_t j = b + DEPTH < k ? b : k - DEPTH; /* the last strip overlaps the one before, so that it is full */
        if (wide) turn_doubles(from + 8 * j, row, LANES, DEPTH, offset(to, 1, j * LANES));
        else turn_floats(from + 4 * j, row, LANES, DEPTH, offset(to, 0, j * LANES));
    }
}

/* A strip of a row of many classes, padded to whole steps. */
FUNCTION void load_many(const Array *array, int64_t i, int64_t k, int64_t b, int wide, double pad, void *to) {
    int64_t first = b * LANES, count = k - first < STRIP ? k - first : STRIP;
    copy(array->data + i * array->row + first * array->step, array->step, array->kind, count, wide, to);
    for (int64_t j = count; j % LANES; j++) set(to, wide, j, pad);
}

/* Panel of n rows from i on; a copy in `room` unless it may `share` the memory of the array. */
INLINE Panel load(const Job *job, const Array *array, int64_t i, int64_t n, int wide, int share, double pad, double *rows, void *room) {
    if (job->few) {
        load_few(array, i, n, job->k, wide, pad, rows, room);
        return (Panel){NULL, room, 0};
    }
    int contiguous = array->kind == (wide ? FLOAT64 : FLOAT32) && array->step == (wide ? 8 : 4);
    Panel panel = {array->data + i * array->row, room, share && contiguous ? job->k / STRIP * DEPTH : 0};
    for (int64_t b = panel.num_direct; b < job->steps; b += DEPTH)
        load_many(array, i, job->k, b, wide, pad, offset(room, wide, (b - panel.num_direct) * LANES));
    return panel;
}

/* The sum of row i as if z_j - m were not rounded, if that matters: the exact error c of d enters as
   exp(d + c) = exp(d) (1 + c). Of very small sums the terms are taken exp(64) times as large, so that none is subnormal. */
FUNCTION double refined(const Job *job, const Array *array, int64_t i, double temperature, double m, int64_t peak, double others) {
    int again = others < FAINT || array->kind == FLOAT64 || temperature != 1.0;
    double size = fabs(m), lift = others < FAINT ? 64.0 : 0.0;
    for (int64_t j = 0; j < job->k && !again; j++) {
        double v = fabs(value_at(array, i, j));
        again = (v > 0 && v < size * 0x1p-28) || size < v * 0x1p-28;
    }
    if (!again) return others;
    Sum total = {{0}, {0}};
    for (int64_t j = 0; j < job->k; j += LANES) {
        double z[LANES], terms[LANES];
        EACH_LANE z[l] = j + l < job->k && j + l != peak ? value_at(array, i, j + l) : -INFINITY;
        EACH_LANE {
            double error, e = exp_full(difference(z[l], m, temperature, &error) + lift);
            terms[l] = FMA(e, error, e);
        }
        add(&total, terms);
    }
    return sum_across(&total) * exp_full(-lift);
}

/* ---- losses of logits ---- */

/* Weights of all classes in the loss of the row(s) from i on, for the strip from step b on; `q` is the panel of dense
   labels of few classes. */
FUNCTION const double *weights_of(const Job *job, int64_t i, int64_t b, const double *q, double *room) {
    if (job->form == SPARSE) return job->uniform + b * LANES;
    if (job->few) q += b * LANES;
    else load_many(&job->second, i, job->k, b, 1, 0.0, room), q = room;
    if (job->kept == NULL) return q;
    for (int64_t v = 0; v < depth_at(job, b) * LANES; v++)
        room[v] = FMA(job->kept[b * LANES + v], q[v], job->uniform[b * LANES + v]);
    return room;
}

/* Sum of a_j (m - z_j)/T over all classes, and of a_j. */
INLINE void weigh(const Job *job, const Panel *panel, int64_t i, int wide, const double *m, const double *q, double *far, double *mass) {
    Sum distances = {{0}, {0}}, weights = {{0}, {0}};
    double d[STRIP], room[STRIP];
    for (int64_t b = 0; b < job->steps; b += DEPTH) {
        int64_t depth = depth_at(job, b);
        const double *a = weights_of(job, i, b, q, room);
        double products[LANES] = {0}, masses[LANES] = {0};
        differences(strip_of(panel, wide, b), wide, depth, m, job->temperature, d);
        for (int64_t v = 0; v < depth * LANES; v += LANES)
            EACH_LANE {
                products[l] -= a[v + l] == 0.0 ? 0.0 : a[v + l] * d[v + l];
                masses[l] += a[v + l];
            }
        add(&distances, products);
        add(&weights, masses);
    }
    sums_of_rows(job, &distances, far);
    sums_of_rows(job, &weights, mass);
}

/* Losses of n rows from their figures. */
FUNCTION void finish(const Job *job, int64_t i, int64_t n, int all_classes, Rows *rows) {
    int again[LANES], any = 0, exact = job->first.kind != FLOAT64 && job->temperature == 1.0;
    double own[LANES] = {0}, loss[LANES];
    for (int64_t r = 0; r < n; r++) {
        rows->distance[r] = job->form == SPARSE ? distance_of(job, i + r, rows->m[r]) : 0.0;
        own[r] = label_weight(job, i + r);
    }
    EACH_LANE again[l] = suspect(job, exact, rows->m[l], rows->others[l], rows->distance[l]);
    EACH_LANE any |= again[l];
    for (int64_t r = 0; any && r < n; r++)
        if (again[r])
            rows->others[r] = refined(job, &job->first, i + r, job->temperature, rows->m[r], rows->peak[r], rows->others[r]);
    EACH_LANE rows->total[l] = log1p_of(rows->others[l]);
    EACH_LANE loss[l] = rows->distance[l] + rows->total[l];
    if (all_classes || job->class_weight != NULL) EACH_LANE loss[l] = product(own[l], loss[l]);
    if (all_classes) EACH_LANE loss[l] += rows->far[l] + product(rows->mass[l], rows->total[l]);
    EACH_LANE loss[l] = isnan(rows->others[l]) ? NAN : loss[l]; /* the same NaN, whatever its bits were */
    memcpy(job->loss + i, loss, 8 * (size_t)n);
    memcpy(job->maximum + i, rows->m, 8 * (size_t)n);
    memcpy(job->others + i, rows->others, 8 * (size_t)n);
}

/* Writes a strip of the gradient. */
FUNCTION void put_strip(const Job *job, int64_t i, int64_t n, int64_t b, const double *g) {
    int64_t k = job->k, first = job->few ? b : b * LANES, most = job->few ? DEPTH : STRIP, count = k - first < most ? k - first : most;
    double turned[STRIP];
    if (job->few) turn_doubles((const char *)g, 8 * LANES, DEPTH, LANES, turned), g = turned;
    for (int64_t r = 0; r < n; r++, g += DEPTH) {
        double *wide = (double *)job->gradient + (i + r) * k + first;
        float *narrow = (float *)job->gradient + (i + r) * k + first;
        if (job->gradient_wide) memcpy(wide, g, 8 * (size_t)count);
        else if (count == DEPTH) for (int j = 0; j < DEPTH; j++) narrow[j] = (float)g[j];
        else for (int64_t j = 0; j < count; j++) narrow[j] = (float)g[j];
    }
}

/* The gradient A p_j - a_j of n rows from their exponentials: see the end of cross_entropy.py. */
FUNCTION void differentiate(const Job *job, int64_t i, int64_t n, int all_classes, const Rows *rows, const Scratch *scratch) {
    int64_t careful[LANES], omitted[LANES];
    double scale[LANES], own[LANES], factor[LANES], confidence[LANES], without[LANES], g[STRIP], room[STRIP];
    EACH_LANE {
        int64_t at = row_of(job, i, n, l);
        scale[l] = (job->scale == NULL ? 1.0 : job->scale[at]) / job->temperature;
        own[l] = label_weight(job, at);
        careful[l] = job->form == SPARSE ? job->labels[at] : rows->peak[l];
    }
    EACH_LANE {
        factor[l] = scale[l] * (own[l] + rows->mass[l]) / (1.0 + rows->others[l]);
        confidence[l] = expm1_of(-(rows->distance[l] + rows->total[l]));
    }
    Sum rest = {{0}, {0}};
    steps_of_class(job, careful, omitted);
    for (int64_t b = 0; b < job->steps; b += DEPTH) {
        int64_t depth = depth_at(job, b);
        const double *e = scratch->e + b * LANES;
        for (int64_t v = 0; v < depth * LANES; v += LANES) EACH_LANE g[v + l] = factor[l] * e[v + l];
        if (all_classes) {
            const double *a = weights_of(job, i, b, scratch->t, room);
            double terms[LANES] = {0};
            for (int64_t j = 0; j < depth; j++)
                EACH_LANE {
                    g[j * LANES + l] -= scale[l] * a[j * LANES + l];
                    terms[l] += omitted[l] == b + j ? 0.0 : a[j * LANES + l];
                }
            add(&rest, terms);
        }
        for (int64_t v = 0; v < depth * LANES; v += LANES) EACH_LANE g[v + l] = isnan(factor[l]) ? NAN : g[v + l];
        put_strip(job, i, n, b, g);
    }
    sums_of_rows(job, &rest, without);
    for (int64_t r = 0; r < n; r++) {
        int64_t j = careful[r];
        double value = scale[r] * own[r] * confidence[r], e = scratch->e[place_in_panel(job, r, j)];
        if (all_classes)
            value = confidence[r] < -0.5
                ? factor[r] * e - scale[r] * weight_at(job, i + r, j) - scale[r] * own[r]
                : scale[r] * (own[r] * confidence[r] + (without[r] + rows->mass[r] * confidence[r]));
        put(job, i + r, j, isnan(factor[r]) ? NAN : value);
    }
}

INLINE void logits_rows(const Job *job, int wide, int full, const Scratch *scratch) {
    int all_classes = job->form == DENSE || job->uniform != NULL;
    int64_t loaded = job->few ? LANES : 1, together = full ? loaded : LANES; /* while the exponentials are there */
    Rows rows = {{0}, {0}, {0}, {0}, {0}, {0}, {0}};
    for (int64_t first = 0; first < job->n; first += together) {
        int64_t n = job->n - first < together ? job->n - first : together;
        for (int64_t r = 0; r < n; r += loaded) {
            double m[LANES], others[LANES], far[LANES] = {0}, mass[LANES] = {0};
            int64_t peak[LANES], i = first + r, some = job->few ? n : 1;
            Panel panel = load(job, &job->first, i, some, wide, 1, -INFINITY, scratch->rows, scratch->z);
            find_maxima(job, &panel, wide, m, peak);
            sum_exponentials(job, &panel, wide, full, m, peak, job->temperature, scratch->e, others);
            if (job->few && job->form == DENSE) load_few(&job->second, i, n, job->k, 1, 0.0, scratch->rows, scratch->t);
            if (all_classes) weigh(job, &panel, i, wide, m, scratch->t, far, mass);
            for (int64_t l = r; l < (loaded == together ? LANES : r + 1); l++)
                rows.m[l] = m[l], rows.others[l] = others[l], rows.far[l] = far[l], rows.mass[l] = mass[l], rows.peak[l] = peak[l];
        }
        finish(job, first, n, all_classes, &rows);
        if (!full) continue;
        if (!job->few) EACH_LANE rows.others[l] = rows.others[0], rows.distance[l] = rows.distance[0], rows.total[l] = rows.total[0];
        differentiate(job, first, n, all_classes, &rows, scratch);
    }
}

/* ---- probabilities, and a teacher's outputs ---- */

FUNCTION Side side_of(const Job *job, const Array *array, int64_t i, int64_t n, double temperature, double *rows, double *z, double *e) {
    int logits = array->holds == LOGITS, probs = array->holds == PROBS, exact = array->kind != FLOAT64 && temperature == 1.0;
    double others[LANES];
    Side side = {load(job, array, i, n, 1, logits, probs ? 0.0 : -INFINITY, rows, z), e, temperature, {0}, {0}, {0}, {0}};
    find_maxima(job, &side.panel, 1, side.m, side.peak);
    if (logits) {
        sum_exponentials(job, &side.panel, 1, 1, side.m, side.peak, temperature, e, others);
        for (int64_t r = 0; r < n; r++)
            if (suspect(job, exact, side.m[r], others[r], 0.0))
                others[r] = refined(job, array, i + r, temperature, side.m[r], side.peak[r], others[r]);
        if (!job->few) EACH_LANE others[l] = others[0];
        EACH_LANE side.norm[l] = log1p_of(others[l]), side.inverse[l] = 1.0 / (1.0 + others[l]);
        return side;
    }
    Sum invalid = {{0}, {0}};
    for (int64_t b = 0; b < job->steps * LANES; b += LANES) {
        double count[LANES];
        if (probs) EACH_LANE count[l] = z[b + l] >= 0.0 ? 0.0 : 1.0;
        else EACH_LANE count[l] = isnan(z[b + l]) ? 1.0 : 0.0;
        add(&invalid, count);
        if (probs) EACH_LANE e[b + l] = z[b + l], z[b + l] = log_of(z[b + l]);
        else EACH_LANE e[b + l] = exp_full(z[b + l]);
    }
    sums_of_rows(job, &invalid, others);
    EACH_LANE {
        int valid = others[l] == 0.0 && isfinite(side.m[l]);
        side.m[l] = 0.0;
        side.norm[l] = valid ? 0.0 : NAN;
        side.inverse[l] = valid ? 1.0 : NAN;
    }
    return side;
}

FUNCTION void probability_rows(const Job *job, const Scratch *scratch) {
    int all_classes = job->form == DENSE || job->uniform != NULL;
    for (int64_t i = 0, n = job->few ? LANES : 1; i < job->n; i += n) {
        if (n > job->n - i) n = job->n - i;
        Side side = side_of(job, &job->first, i, n, 1.0, scratch->rows, scratch->z, scratch->e);
        if (job->few && job->form == DENSE) load_few(&job->second, i, n, job->k, 1, 0.0, scratch->rows, scratch->t);
        Sum total = {{0}, {0}};
        double loss[LANES], log_p[STRIP], p[STRIP], room[STRIP];
        for (int64_t b = 0; all_classes && b < job->steps; b += DEPTH) {
            const double *a = weights_of(job, i, b, scratch->t, room);
            double terms[LANES] = {0};
            distribution(&side, b, depth_at(job, b), log_p, p);
            for (int64_t v = 0; v < depth_at(job, b) * LANES; v += LANES) EACH_LANE terms[l] += product(a[v + l], -log_p[v + l]);
            add(&total, terms);
        }
        sums_of_rows(job, &total, loss);
        for (int64_t r = 0; r < n; r++) {
            if (job->form == SPARSE)
                loss[r] += product(label_weight(job, i + r), -scratch->z[place_in_panel(job, r, job->labels[i + r])]);
            job->loss[i + r] = isnan(side.norm[r]) ? NAN : loss[r];
        }
    }
}

/* Loss and divergence of n rows from i on, and their gradient: see distillation.py. */
FUNCTION void teacher_rows(const Job *job, const Scratch *scratch) {
    int both = job->first.holds == LOGITS && job->second.holds == LOGITS;
    int given = job->first.holds == PROBS && job->second.holds == PROBS;
    for (int64_t i = 0, n = job->few ? LANES : 1; i < job->n; i += n) {
        if (n > job->n - i) n = job->n - i;
        Side student = side_of(job, &job->first, i, n, job->temperature, scratch->rows, scratch->z, scratch->e);
        Side teacher = side_of(job, &job->second, i, n, job->teacher_temperature, scratch->rows, scratch->t, scratch->f);
        int64_t omitted[LANES];
        double log_p[STRIP], p[STRIP], log_q[STRIP], q[STRIP], scale[LANES], t_peak[LANES], up[LANES];
        steps_of_class(job, student.peak, omitted);
        EACH_LANE {
            int64_t row = row_of(job, i, n, l);
            scale[l] = (job->scale == NULL ? 1.0 : job->scale[row]) / job->temperature;
            t_peak[l] = value_at(&job->second, row, student.peak[l]);
        }
        /* With r the class of `peak`, p_r exp((t_j - t_r)/T) is up exp((t_j - m)/T). */
        EACH_LANE up[l] = exp_full((teacher.m[l] - t_peak[l]) / job->teacher_temperature - student.norm[l]);

        /* The loss; the sum of q, with and without q_r; and what the shift of all u comes from. */
        Sum losses = {{0}, {0}}, masses = losses, rests = losses, moves = losses, overflows = losses;
        for (int64_t b = 0; b < job->steps; b += DEPTH) {
            int64_t depth = depth_at(job, b);
            const double *z = strip_of(&student.panel, 1, b), *t = strip_of(&teacher.panel, 1, b), *f = teacher.e + b * LANES;
            double loss[LANES] = {0}, mass[LANES] = {0}, rest[LANES] = {0}, move[LANES] = {0}, overflow[LANES] = {0};
            distribution(&student, b, depth, log_p, p);
            distribution(&teacher, b, depth, log_q, q);
            for (int64_t j = 0, v = 0; j < depth; j++, v += LANES)
                EACH_LANE {
                    loss[l] += product(q[v + l], -log_p[v + l]);
                    mass[l] += q[v + l];
                    rest[l] += omitted[l] == b + j ? 0.0 : q[v + l];
                }
            for (int64_t v = 0; both && v < depth * LANES; v += LANES)
                EACH_LANE {
                    double u = log_ratio(job, z[v + l], student.m[l], t[v + l], t_peak[l]);
                    double near = fabs(u) < 1.0 ? u : 0.0, moved = p[v + l] * expm1_of(near);
                    move[l] += fabs(u) < 1.0 ? moved : f[v + l] * up[l] - p[v + l];
                    overflow[l] += isinf(u) && isfinite(z[v + l]) && isfinite(t[v + l]) ? 1.0 : 0.0;
                }
            add(&losses, loss), add(&masses, mass), add(&rests, rest), add(&moves, move), add(&overflows, overflow);
        }
        double loss[LANES], mass[LANES], rest[LANES], shift[LANES], overflow[LANES], kl[LANES];
        sums_of_rows(job, &losses, loss), sums_of_rows(job, &masses, mass), sums_of_rows(job, &rests, rest);
        sums_of_rows(job, &moves, shift), sums_of_rows(job, &overflows, overflow);
        EACH_LANE shift[l] = log1p_of(shift[l]);
        EACH_LANE shift[l] = overflow[l] > 0.0 || !both ? INFINITY : shift[l];

        /* The divergence and the gradient. */
        Sum terms = {{0}, {0}};
        for (int64_t b = 0; b < job->steps; b += DEPTH) {
            int64_t depth = depth_at(job, b);
            const double *z = strip_of(&student.panel, 1, b), *t = strip_of(&teacher.panel, 1, b);
            double term[LANES] = {0}, x[STRIP];
            distribution(&student, b, depth, log_p, p);
            distribution(&teacher, b, depth, log_q, q);
            for (int64_t v = 0; v < depth * LANES; v += LANES)
                EACH_LANE {
                    double plain = log_q[v + l] == log_p[v + l] ? 0.0 : log_q[v + l] - log_p[v + l]; /* also for -inf */
                    if (both) {
                        double u = log_ratio(job, z[v + l], student.m[l], t[v + l], t_peak[l]);
                        x[v + l] = isfinite(shift[l]) ? u - shift[l] : plain;
                    } else if (given) {
                        int near = fabs(q[v + l] - p[v + l]) < p[v + l] / 2;
                        double ratio = log1p_of(near ? (q[v + l] - p[v + l]) / p[v + l] : 0.0);
                        x[v + l] = near ? ratio : plain;
                    } else x[v + l] = plain;
                }
            for (int64_t v = 0; v < depth * LANES; v += LANES)
                if (job->normal) EACH_LANE term[l] += divergence_term(x[v + l], p[v + l], q[v + l]);
                else EACH_LANE term[l] += q[v + l] == 0.0 ? 0.0 : q[v + l] * x[v + l];
            add(&terms, term);
            if (job->gradient == NULL) continue;
            for (int64_t v = 0; v < depth * LANES; v += LANES)
                EACH_LANE {
                    /* p - q = -p (exp(x) - 1) keeps its digits where the two are close. */
                    double near = fabs(x[v + l]) < 1.0 ? x[v + l] : 0.0, close = -p[v + l] * expm1_of(near);
                    double apart = (both ? p[v + l] : mass[l] * p[v + l]) - q[v + l];
                    double g = both && fabs(x[v + l]) < 1.0 ? close : apart;
                    x[v + l] = isnan(loss[l]) ? NAN : g * scale[l];
                }
            put_strip(job, i, n, b, x);
        }
        sums_of_rows(job, &terms, kl);
        for (int64_t r = 0; r < n; r++) {
            job->loss[i + r] = isnan(loss[r]) ? NAN : loss[r];
            job->kl[i + r] = isnan(loss[r]) || isnan(kl[r]) ? NAN : kl[r];
            if (job->gradient == NULL || both || isnan(loss[r])) continue;
            /* (sum q) p - q at class r, where it would cancel if p is nearly 1. */
            int64_t at = place_in_panel(job, r, student.peak[r]);
            double own_p = student.e[at] * student.inverse[r], own_q = teacher.e[at] * teacher.inverse[r];
            put(job, i + r, student.peak[r], scale[r] * (rest[r] * own_p + own_q * expm1_of(-student.norm[r])));
        }
    }
}

FUNCTION void all_rows(const Job *job, const Scratch *scratch) {
    int wide = job->first.kind == FLOAT64, full = job->gradient != NULL;
    if (job->form == TEACHER) teacher_rows(job, scratch);
    else if (job->first.holds != LOGITS) probability_rows(job, scratch);
    else if (wide && full) logits_rows(job, 1, 1, scratch);
    else if (wide) logits_rows(job, 1, 0, scratch);
    else if (full) logits_rows(job, 0, 1, scratch);
    else logits_rows(job, 0, 0, scratch);
}
#endif
