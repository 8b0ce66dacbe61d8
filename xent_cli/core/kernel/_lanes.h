/* What the compiled kernel is made of: exp and log, exact errors of sums, rows in memory, and all that is inlined.

   Bits. Only operations that IEEE 754 rounds correctly are used (+ - * / and fused multiply-add), in an order that
   depends on the number of classes alone, and no function of a math library: exp, log, log1p and expm1 are polynomials,
   derived by benchmarks/kernel_coefficients.py. So every set of instructions gives the same bits.

   Lanes. All work is done on vectors of LANES doubles, in loops of that length, which the compiler turns into whatever
   vectors there are. A panel is a sequence of such vectors, its steps. It holds either
     few classes:   LANES rows side by side; step j has class j of each row;
     many classes:  one row; step j has the classes from LANES*j on, and padding behind the last one.
   DEPTH steps are a strip, which fits the fastest cache; passes go strip by strip. What belongs to a row, such as its
   maximum, is a vector too; with many classes all lanes of it are equal. So most functions need not know which it is.
   Parameters that are constants where a function is inlined: `wide`, whether a panel is of float64 or of float32, and
   `full`, whether exponentials are kept for a gradient. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define FMA __builtin_fma
/* A loop over lanes, which is to become vectors; unrolled before that, it would become 16 separate computations. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#define EACH_LANE _Pragma("clang loop unroll(disable)") for (int l = 0; l < LANES; l++)
#else
#define UNROLLED _Pragma("GCC unroll 16")
#define EACH_LANE _Pragma("GCC unroll 1") for (int l = 0; l < LANES; l++)
#endif

enum { LANES = 16, DEPTH = 8, STRIP = DEPTH * LANES, FEW_CLASSES = 128 };
enum { ROUNDS = 8, MOST_EXACT = 1 << 15 }; /* of exact sums */
enum { FLOAT64, FLOAT32, FLOAT16, BFLOAT16 }; /* compiled.py numbers dtypes so, */
enum { LOGITS, LOG_PROBS, PROBS }; /* what an array holds, */
enum { SPARSE, DENSE, TEACHER }; /* and what labels are */

/* ---- exp, log, log1p, expm1 -------------------------------------------------------------------------------------- */

static const double LOG2_E = 0x1.71547652b82fep+0, LN2 = 0x1.62e42fefa39efp-1, LN2_REST = 0x1.abc9e3b39803fp-56;
static const double SQRT_HALF = 0x1.6a09e667f3bcdp-1;
static const uint64_t BIAS = (uint64_t)1023 << 52; /* of the exponents of doubles */
/* Adding it rounds a double to an integer, and leaves that integer, plus the bias, in the last bits. */
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
enum { EXP_TERMS = 10 };
static const double EXP_TAIL[EXP_TERMS] = {
    0x1.af389eea54156p-26, 0x1.28917c9f3a495p-22, 0x1.71de0db2eb873p-19, 0x1.a019b914881bap-16, 0x1.a01a01a7c2f2cp-13,
    0x1.6c16c17889f3cp-10, 0x1.11111111109b5p-7,  0x1.5555555553d68p-5,  0x1.5555555555556p-3,  0x1.0000000000001p-1};
INLINE double exp_tail(double r) {
    double q = EXP_TAIL[0];
    UNROLLED for (int c = 1; c < EXP_TERMS; c++) q = FMA(q, r, EXP_TAIL[c]);
    return q;
}

/* exp(x) for x <= 746; a subnormal result is rounded once. */
INLINE double exp_below(double x) {
    double clipped = x < -746.0 ? -746.0 : x;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double r = FMA(k, -LN2_REST, FMA(k, -LN2, clipped));
    double half = FMA(k, 0.5, ROUND), rest = k - (half - ROUND);
    return ((FMA(r * r, exp_tail(r), r) + 1.0) * power_of_two(half)) * power_of_two(rest + ROUND);
}

/* exp(x) for any x. */
INLINE double exp_full(double x) { return exp_below(x > 746.0 ? 746.0 : x); }

/* exp(x) - 1 for x <= 700. */
INLINE double expm1_of(double x) {
    double clipped = x < -50.0 ? -50.0 : x;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double high = FMA(k, -LN2, clipped), r = FMA(k, -LN2_REST, high);
    double lost = FMA(k, -LN2_REST, high - r); /* what rounding r lost */
    double p = r + FMA(r * r, exp_tail(r), lost), power = power_of_two(t);
    return FMA(power, p, power - 1.0);
}

/* 2 (atanh(s) / s - 1) / s**2, of z = s**2. */
enum { LOG_TERMS = 7 };
static const double LOG_TAIL[LOG_TERMS] = {0x1.2b584c6b42d60p-3, 0x1.39fe604146b74p-3, 0x1.7462b4ac441afp-3, 0x1.c71c62e57c3c4p-3,
                                           0x1.2492492df14bcp-2, 0x1.99999999952e2p-2, 0x1.5555555555558p-1};

/* log(u) + more_k ln 2 for finite u > 0; NaN for NaN. With u = 2**k (1 + f), log(1 + f) is 2 atanh(f / (2 + f)). If k is 0, `near` is f; otherwise the
   argument is u + lost. */
INLINE double finite_log(double u, double near, double lost, double more_k) {
    /* The exponent k, with the bias that keeps it from being negative: not every set of instructions has signed shifts of
       64 bits, or conversions of such integers. */
    uint64_t bits = (uint64_t)bits_of(u), biased = (bits + BIAS - (uint64_t)bits_of(SQRT_HALF)) >> 52;
    double k = from_bits((int64_t)(biased + 0x4330000000000000)) - (0x1p52 + 1023) + more_k;
    double m = from_bits((int64_t)(bits + BIAS - (biased << 52))); /* in [sqrt(1/2), sqrt(2)) */
    double f = biased == 1023 ? near : m - 1.0;
    lost = biased == 1023 ? 0.0 : lost / u;
    double q = f / (2.0 + f), z = q * q, half = 0.5 * f * f;
    double tail = LOG_TAIL[0];
    UNROLLED for (int c = 1; c < LOG_TERMS; c++) tail = FMA(tail, z, LOG_TAIL[c]);
    double small = FMA(q, FMA(tail, z, half), FMA(k, LN2_REST, lost));
    return FMA(k, LN2, f - (half - small));
}

INLINE double any_log(double u, double log) {
    log = u < INFINITY ? log : u; /* also of NaN */
    log = u == 0.0 ? -INFINITY : log;
    return u < 0.0 ? NAN : log;
}

/* log(1 + s) for s >= -1. */
INLINE double log1p_of(double s) {
    double u = 1.0 + s;
    return any_log(u, finite_log(u, s, u < 0x1p53 ? s - (u - 1.0) : 0.0, 0.0));
}

INLINE double log_of(double x) {
    int subnormal = x < 0x1p-1022;
    double u = subnormal ? x * 0x1p54 : x;
    return any_log(u, finite_log(u, u - 1.0, 0.0, subnormal ? -54.0 : 0.0));
}

INLINE double product(double weight, double x) { return ((weight == 0.0) & (isinf(x) != 0)) ? 0.0 : weight * x; }

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
    double *kept, *uniform, even; /* the last is uniform_j if it is the same for all classes, else 0 */
} Job;

/* Working memory: panels of one row of many classes, or of LANES rows; and in `rows` LANES rows as they are in memory. */
typedef struct { double *z, *e, *t, *f, *rows, *u; } Scratch;

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

/* ---- rows whose classes pass by in pieces: see _slabs.h ------------------------------------------------------------ */

/* What is known of LANES rows after some classes. */
typedef struct {
    struct { double sum[LANES], lost[LANES]; } sums[LANES]; /* of exponentials: lane l of a row of many classes is sums[l], which has LANES rows side by side */
    double top[LANES], bottom[LANES], least[LANES], own[LANES]; /* maximum, minimum, least |z| > 0, logit of the label */
    int64_t peak[LANES], nan[LANES], ahead[LANES]; /* first maximum; first NaN or -1; how many rank before the label */
} SlabRows;

/* Classes `first` to `first` + count of the rows, `from_class` bytes apart; the first pass, or the second. */
typedef struct {
    Job *job;
    const char *from;
    int64_t first, count, from_class;
    int second, ranks;
    SlabRows *rows;
} Piece;

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

/* Transpose a block, 4 by 4 or 2 by 2, in registers of 128 bits, which every machine has. */
typedef float Quad __attribute__((vector_size(16)));
typedef double Pair __attribute__((vector_size(16)));
#define MIXED __builtin_shufflevector

INLINE void turn_4_by_4(const char *from, int64_t row, Quad *out) {
    Quad in[4];
    for (int q = 0; q < 4; q++) memcpy(&in[q], from + q * row, 16);
    Quad a = MIXED(in[0], in[1], 0, 4, 1, 5), b = MIXED(in[0], in[1], 2, 6, 3, 7);
    Quad x = MIXED(in[2], in[3], 0, 4, 1, 5), y = MIXED(in[2], in[3], 2, 6, 3, 7);
    out[0] = MIXED(a, x, 0, 1, 4, 5), out[1] = MIXED(a, x, 2, 3, 6, 7);
    out[2] = MIXED(b, y, 0, 1, 4, 5), out[3] = MIXED(b, y, 2, 3, 6, 7);
}

INLINE void turn_2_by_2(const char *from, int64_t row, Pair *out) {
    Pair in[2];
    for (int q = 0; q < 2; q++) memcpy(&in[q], from + q * row, 16);
    out[0] = MIXED(in[0], in[1], 0, 2), out[1] = MIXED(in[0], in[1], 1, 3);
}

/* Columns of `from`, whose rows are `row` bytes apart, become rows of `to`, which are `to_row` values apart. If `rows` or
   `columns` is not a multiple of the side of a block, blocks at the edge are read whole and written in part. */
#define TURN(name, turn_block, Value, Vector)                                                                          \
    INLINE void name(const char *from, int64_t row, int64_t rows, int64_t columns, Value *to, int64_t to_row) {        \
        enum { SIDE = sizeof(Vector) / sizeof(Value) };                                                                \
        for (int64_t r = 0; r < rows; r += SIDE)                                                                       \
            for (int64_t c = 0; c < columns; c += SIDE) {                                                              \
                Vector out[SIDE];                                                                                      \
                turn_block(from + r * row + c * (int64_t)sizeof(Value), row, out);                                     \
                for (int q = 0; q < SIDE; q++)                                                                         \
                    if (r + SIDE <= rows && c + q < columns) memcpy(to + (c + q) * to_row + r, &out[q], sizeof out[q]); \
                    else if (c + q < columns) memcpy(to + (c + q) * to_row + r, &out[q], (size_t)(rows - r) * sizeof(Value)); \
            }                                                                                                          \
    }

TURN(turn_narrow, turn_4_by_4, float, Quad)
TURN(turn_wide, turn_2_by_2, double, Pair)

/* Whole strips of many classes are read where they are, if they are contiguous; the rest is copied, and padded. */
typedef struct {
    const char *direct, *copied;
    int64_t num_direct; /* steps */
    const char *ahead; /* memory of the rows after these */
    int64_t num_ahead; /* bytes that are contiguous there */
} Panel;

/* Asks for the share of a strip in the rows after these, which memory brings while this strip is computed. */
INLINE void fetch_ahead(const Job *job, const Panel *panel, int64_t b) {
    int64_t end = panel->num_ahead * (b + DEPTH) / job->steps;
    for (int64_t at = panel->num_ahead * b / job->steps; at < end && at < panel->num_ahead; at += 64) __builtin_prefetch(panel->ahead + at);
}

INLINE const void *strip_of(const Panel *panel, int wide, int64_t b) {
    return b < panel->num_direct ? panel->direct + b * LANES * (wide ? 8 : 4)
                                 : panel->copied + (b - panel->num_direct) * LANES * (wide ? 8 : 4);
}

/* ---- sums of exponentials ----------------------------------------------------------------------------------------- */

/* (v - m)/T, and what rounding took from it; 0 where either is not finite. */
INLINE double difference(double v, double m, double temperature, int divided, double *error) {
    double d = v - m, back = v - d, lost = (v - (d + back)) + (back - m);
    if (divided) {
        double quotient = d / temperature;
        lost = (FMA(-quotient, temperature, d) + lost) / temperature;
        d = quotient;
    }
    *error = isfinite(lost) ? lost : 0.0;
    return d;
}

static const double REMOTE = 0x1.44e51f113d4d6p-185 /* exp(-128) */, FAINT = 1e-270;

INLINE double label_weight(const Job *job, int64_t i) {
    if (job->form != SPARSE) return 0.0;
    double kept = 1.0 - job->smoothing;
    return job->class_weight == NULL ? kept : kept * job->class_weight[job->labels[i]];
}

/* (m - z_y)/T of the label, whose logit is z_y. */
INLINE double distance_from(const Job *job, double at_label, double m) {
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

static const double ONES[LANES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, ZEROS[LANES] = {0};

/* Writes the gradient of `count` classes from j on, of n rows if classes are few: the values of a strip times the factor of
   their row. Multiplied, rounded and transposed here, it passes through memory once. */
INLINE void put_classes(const Job *job, int64_t i, int64_t n, int64_t j, int64_t count, const double *factor, const double *values) {
    double *wide = (double *)job->gradient + i * job->k + j, scaled[STRIP], only = factor[0];
    float *narrow = (float *)job->gradient + i * job->k + j, rounded[STRIP];
    if (!job->few && job->gradient_wide) for (int64_t v = 0; v < count; v++) wide[v] = only * values[v];
    else if (!job->few) for (int64_t v = 0; v < count; v++) narrow[v] = (float)(only * values[v]);
    else if (job->gradient_wide) {
        for (int v = 0; v < STRIP; v += LANES) EACH_LANE scaled[v + l] = factor[l] * values[v + l];
        turn_wide((const char *)scaled, 8 * LANES, count, n, wide, job->k);
    } else {
        for (int v = 0; v < STRIP; v += LANES) EACH_LANE rounded[v + l] = (float)(factor[l] * values[v + l]);
        turn_narrow((const char *)rounded, 4 * LANES, count, n, narrow, job->k);
    }
}

/* Figures of LANES rows; of a single row in all lanes, if it has many classes and exponentials are kept. */
typedef struct {
    double m[LANES], others[LANES], at_label[LANES], distance[LANES], far[LANES], mass[LANES], total[LANES];
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

/* (x + exp(-x) - 1) / x**2 for |x| <= 1/8. */
enum { DIVERGENCE_TERMS = 9 };
static const double DIVERGENCE_TAIL[DIVERGENCE_TERMS] = {1.0 / 3628800, -1.0 / 362880, 1.0 / 40320, -1.0 / 5040, 1.0 / 720,
                                                         -1.0 / 120,    1.0 / 24,      -1.0 / 6,    0.5};

/* log(q/p) of a strip from differences of logits, but for a shift that is common to all classes of a row: see
   divergence.py. */
INLINE void log_ratios(const Job *job, int wide, int64_t depth, const void *z, const double *m, const void *t, const double *t_peak,
                       double *u) {
    int divided = job->temperature != 1.0 || job->teacher_temperature != 1.0;
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        if (divided) EACH_LANE {
            double lost, taught_lost, apart = difference(element(z, wide, v + l), m[l], job->temperature, 1, &lost);
            double taught = difference(element(t, wide, v + l), t_peak[l], job->teacher_temperature, 1, &taught_lost);
            u[v + l] = (taught - apart) + (taught_lost - lost);
        }
        else EACH_LANE {
            double lost, taught_lost, apart = difference(element(z, wide, v + l), m[l], 1.0, 0, &lost);
            double taught = difference(element(t, wide, v + l), t_peak[l], 1.0, 0, &taught_lost);
            u[v + l] = (taught - apart) + (taught_lost - lost);
        }
    for (int64_t v = 0; v < depth * LANES; v++)
        u[v] = ((element(z, wide, v) == -INFINITY) & (element(t, wide, v) == -INFINITY)) ? 0.0 : u[v];
}
