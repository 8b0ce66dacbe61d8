/* Softmax cross-entropy of rows of logits: `cross_entropy.py` in one pass over memory, without the interpreter lock.

   The derivation is at the end of cross_entropy.py; names here are those of its arrays. The differences:

   - Only operations that IEEE 754 rounds correctly are used (+ - * / and fused multiply-add), in an order that depends
     on the number of classes alone, and no function of a math library. So every instruction set gives the same bits,
     and `rows` below is compiled once for each of them.
   - exp, log1p and expm1 are polynomials whose coefficients are derived by benchmarks/kernel_coefficients.py.
   - A sum over classes is taken in blocks of 256, four additions deep and two more; from block to block each of 16
     lanes carries its rounding error along (Knuth's two-sum), so a sum of 200,000 equal terms is as good as one of 16.

   Loops of 16 lanes are written so that the compiler turns them into vectors of any width. */
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

enum { LANES = 16, GROUP = 4 * LANES, BLOCK = 4 * GROUP, FEW_CLASSES = 128 };
enum { FLOAT64, FLOAT32, FLOAT16 }; /* `compiled.py` counts them so; bfloat16 is read as float32 */

/* ---- exp, log1p, expm1 ------------------------------------------------------------------------------------------ */

static const double LOG2_E = 0x1.71547652b82fep+0, LN2 = 0x1.62e42fefa39efp-1, LN2_REST = 0x1.abc9e3b39803fp-56;
static const double SQRT_HALF = 0x1.6a09e667f3bcdp-1;
/* Adding it leaves a double rounded to an integer, whose last bits are those of the sum. */
static const double ROUND = 0x1.8p52;

INLINE double power_of_two(double rounded) { /* 2**k, from k + ROUND, for -1022 <= k <= 1023 */
    int64_t bits;
    memcpy(&bits, &rounded, 8);
    bits = (bits + 1023) << 52;
    double power;
    memcpy(&power, &bits, 8);
    return power;
}

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

/* exp(x) for -708 <= x <= 0; 0 below -700, where no term of a sum that matters lies; NaN for NaN. */
INLINE double exp_term(double x) {
    double t = FMA(x, LOG2_E, ROUND), k = t - ROUND;
    double r = FMA(k, -LN2_REST, FMA(k, -LN2, x));
    double e = (FMA(r * r, exp_tail(r), r) + 1.0) * power_of_two(t);
    return x < -700.0 ? 0.0 : e;
}

/* exp(x) for x <= 0, down to the last subnormal, which is rounded once. */
INLINE double exp_full(double x) {
    double clipped = x < -746.0 ? -746.0 : x;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double r = FMA(k, -LN2_REST, FMA(k, -LN2, clipped));
    double half = FMA(k, 0.5, ROUND), rest = k - (half - ROUND);
    return ((FMA(r * r, exp_tail(r), r) + 1.0) * power_of_two(half)) * power_of_two(rest + ROUND);
}

INLINE double exponential(double x, int full) { return full ? exp_full(x) : exp_term(x); }

/* exp(x) - 1 for x <= 0. */
INLINE double expm1_full(double x) {
    double clipped = x < -50.0 ? -50.0 : x;
    double t = FMA(clipped, LOG2_E, ROUND), k = t - ROUND;
    double high = FMA(k, -LN2, clipped), r = FMA(k, -LN2_REST, high);
    double lost = FMA(k, -LN2_REST, high - r); /* what rounding r lost */
    double p = r + FMA(r * r, exp_tail(r), lost), power = power_of_two(t);
    return FMA(power, p, power - 1.0);
}

/* log(1 + s) for s >= 0: 1 + s = 2**k (1 + f), and log(1 + f) = 2 atanh(f / (2 + f)). */
INLINE double log1p_full(double s) {
    double u = 1.0 + s, lost = u < 0x1p53 ? s - (u - 1.0) : 0.0;
    int64_t bits;
    memcpy(&bits, &u, 8);
    int64_t root;
    memcpy(&root, &SQRT_HALF, 8);
    int64_t shifted = (bits - root) >> 52; /* u / 2**shifted lies in [sqrt(1/2), sqrt(2)) */
    int64_t mantissa = bits - shifted * ((int64_t)1 << 52);
    double k = (double)shifted, m;
    memcpy(&m, &mantissa, 8);
    double f = shifted == 0 ? s : m - 1.0;
    lost = shifted == 0 ? 0.0 : lost / u;
    double q = f / (2.0 + f), z = q * q, half = 0.5 * f * f;
    double tail = 0x1.2b584c6b42d60p-3;
    tail = FMA(tail, z, 0x1.39fe604146b74p-3);
    tail = FMA(tail, z, 0x1.7462b4ac441afp-3);
    tail = FMA(tail, z, 0x1.c71c62e57c3c4p-3);
    tail = FMA(tail, z, 0x1.2492492df14bcp-2);
    tail = FMA(tail, z, 0x1.99999999952e2p-2);
    tail = FMA(tail, z, 0x1.5555555555558p-1);
    double small = FMA(q, FMA(tail, z, half), FMA(k, LN2_REST, lost));
    return u == INFINITY ? u : FMA(k, LN2, f - (half - small));
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

typedef struct { double sum[LANES], lost[LANES]; } Lanes;

INLINE void add_lanes(Lanes *total, const double *terms, int64_t n) { /* a multiple of GROUP, at most BLOCK */
    double group[GROUP] = {0};
    for (int64_t j = 0; j < n; j += GROUP)
        for (int l = 0; l < GROUP; l++) group[l] += terms[j + l];
    for (int l = 0; l < LANES; l++) {
        double lane = (group[l] + group[l + LANES]) + (group[l + 2 * LANES] + group[l + 3 * LANES]);
        double s = total->sum[l] + lane, back = s - total->sum[l];
        total->lost[l] += (total->sum[l] - (s - back)) + (lane - back);
        total->sum[l] = s;
    }
}

INLINE double sum_of(const Lanes *total) {
    double sum = 0, lost = 0;
    for (int l = 0; l < LANES; l++) {
        double s = sum + total->sum[l], back = s - sum;
        lost += (sum - (s - back)) + (total->sum[l] - back) + total->lost[l];
        sum = s;
    }
    /* An infinite sum has no error to add: inf - inf would be NaN. */
    return isinf(sum) ? sum : sum + lost;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *logits;
    int kind; /* of logits */
    int64_t n, k, row_stride, class_stride; /* strides in bytes */
    const int64_t *labels; /* [n], or NULL for dense ones */
    const char *dense;
    int dense_kind;
    int64_t dense_row, dense_class;
    double smoothing, temperature;
    const double *class_weight; /* [k] or NULL */
    double *loss, *maximum, *others; /* [n] */
    void *gradient; /* [n, k] of float64 or float32, or NULL */
    int gradient_kind;
    const double *scale; /* [n] or NULL */
} Job;

typedef struct {
    void *row; /* k logits, if those of the file have a different dtype or are not contiguous */
    double *e; /* k exponentials, for a gradient */
} Scratch;

INLINE float widened(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, bits = half & 0x7fff;
    float normal, value;
    uint32_t word = (bits << 13) + (112u << 23);
    memcpy(&normal, &word, 4);
    word = 113u << 23; /* 2**-14: subnormal halves are a fraction of it */
    memcpy(&value, &word, 4);
    uint32_t small_word = (bits << 13) + (113u << 23);
    float small;
    memcpy(&small, &small_word, 4);
    small -= value;
    word = (bits << 13) + (224u << 23); /* inf and NaN */
    float special;
    memcpy(&special, &word, 4);
    float chosen = bits < 0x400 ? small : bits >= 0x7c00 ? special : normal;
    memcpy(&word, &chosen, 4);
    word |= sign;
    memcpy(&chosen, &word, 4);
    return chosen;
}

INLINE double value_at(const char *at, int kind) {
    if (kind == FLOAT64) { double v; memcpy(&v, at, 8); return v; }
    if (kind == FLOAT32) { float v; memcpy(&v, at, 4); return v; }
    uint16_t bits;
    memcpy(&bits, at, 2);
    return widened(bits);
}

/* The row as k contiguous values of float64 (wide) or float32. */
INLINE const void *in_line(const Job *job, int64_t i, int wide, void *row) {
    const char *at = job->logits + i * job->row_stride;
    int64_t k = job->k, step = job->class_stride;
    if (step == (wide ? 8 : 4) && job->kind == (wide ? FLOAT64 : FLOAT32)) return at;
    if (wide) for (int64_t j = 0; j < k; j++) memcpy((double *)row + j, at + j * step, 8);
    else if (job->kind == FLOAT32) for (int64_t j = 0; j < k; j++) memcpy((float *)row + j, at + j * step, 4);
    else if (step == 2 && job->kind == FLOAT16) for (int64_t j = 0; j < k; j++) ((float *)row)[j] = widened(((const uint16_t *)at)[j]);
    else for (int64_t j = 0; j < k; j++) ((float *)row)[j] = (float)value_at(at + j * step, job->kind);
    return row;
}

INLINE double logit(const void *z, int wide, int64_t j) {
    return wide ? ((const double *)z)[j] : (double)((const float *)z)[j];
}

/* Maximum of a row, ignoring NaN. */
INLINE double maximum_of(const void *z, int wide, int64_t k) {
    int64_t j = 0;
    double m = -INFINITY;
    if (wide) {
        double lane[2 * LANES];
        for (int l = 0; l < 2 * LANES; l++) lane[l] = -INFINITY;
        for (; j + 2 * LANES <= k; j += 2 * LANES)
            for (int l = 0; l < 2 * LANES; l++) {
                double v = ((const double *)z)[j + l];
                lane[l] = v > lane[l] ? v : lane[l];
            }
        for (int l = 0; l < 2 * LANES; l++) m = lane[l] > m ? lane[l] : m;
    } else {
        float lane[4 * LANES];
        for (int l = 0; l < 4 * LANES; l++) lane[l] = -INFINITY;
        for (; j + 4 * LANES <= k; j += 4 * LANES)
            for (int l = 0; l < 4 * LANES; l++) {
                float v = ((const float *)z)[j + l];
                lane[l] = v > lane[l] ? v : lane[l];
            }
        for (int l = 0; l < 4 * LANES; l++) m = lane[l] > m ? lane[l] : m;
    }
    for (; j < k; j++) m = logit(z, wide, j) > m ? logit(z, wide, j) : m;
    return m;
}

INLINE int64_t first_of(const void *z, int wide, int64_t k, double m) {
    int64_t j = 0;
    float narrow = (float)m;
    for (; j + BLOCK <= k; j += BLOCK) { /* whether a block has it, without a branch */
        int found = 0;
        if (wide) for (int l = 0; l < BLOCK; l++) found |= ((const double *)z)[j + l] == m;
        else for (int l = 0; l < BLOCK; l++) found |= ((const float *)z)[j + l] == narrow;
        if (found) break;
    }
    while (logit(z, wide, j) != m) j++;
    return j;
}

/* exp((z_j - m)/T) for n classes from z_j on, padded with 0 to a multiple of GROUP; returns that multiple. */
INLINE int64_t exponentiate(const void *z, int wide, int full, int64_t first, int64_t n, double m, double temperature, double *e) {
    int64_t whole = (n + GROUP - 1) / GROUP * GROUP;
    if (temperature == 1.0)
        for (int64_t l = 0; l < n; l++) e[l] = exponential(logit(z, wide, first + l) - m, full);
    else
        for (int64_t l = 0; l < n; l++) e[l] = exponential((logit(z, wide, first + l) - m) / temperature, full);
    for (int64_t l = n; l < whole; l++) e[l] = 0.0;
    return whole;
}

/* Sum of exp((z_j - m)/T) over all j but the first maximum; all terms are kept in `e` unless it is NULL. */
INLINE double sum_exponentials(const void *z, int wide, int full, int64_t k, double m, int64_t peak, double temperature, double *e) {
    Lanes total = {{0}, {0}};
    double block[BLOCK];
    for (int64_t b = 0; b < k; b += BLOCK) {
        double *into = full ? e + b : block;
        /* Written twice, so that whole blocks are loops of known length. */
        int64_t n = k - b >= BLOCK ? exponentiate(z, wide, full, b, BLOCK, m, temperature, into)
                                   : exponentiate(z, wide, full, b, k - b, m, temperature, into);
        int64_t at = peak - b;
        double one = 0;
        if (at >= 0 && at < n) { one = into[at]; into[at] = 0.0; }
        add_lanes(&total, into, n);
        if (at >= 0 && at < n) into[at] = one;
    }
    return sum_of(&total);
}

/* The same sum as if z_j - m were not rounded: the exact error c of d enters as exp(d + c) = exp(d) (1 + c). Terms are
   taken exp(lift) times as large, so that none is subnormal. */
INLINE double sum_compensated(const void *z, int wide, int64_t k, double m, int64_t peak, double temperature, double lift) {
    Lanes total = {{0}, {0}};
    double block[BLOCK];
    for (int64_t b = 0; b < k; b += BLOCK) {
        int64_t width = k - b < BLOCK ? k - b : BLOCK;
        for (int64_t l = 0; l < BLOCK; l++) {
            double v = l < width ? logit(z, wide, b + l) : -INFINITY, d = v - m, back = v - d;
            double c = (v - (d + back)) + (back - m);
            if (temperature != 1.0) {
                double quotient = d / temperature;
                c = (FMA(-quotient, temperature, d) + c) / temperature;
                d = quotient;
            }
            double e = exp_full(d + lift);
            block[l] = isfinite(c) ? FMA(e, c, e) : e;
        }
        if (peak >= b && peak < b + width) block[peak - b] = 0.0;
        add_lanes(&total, block, BLOCK);
    }
    return sum_of(&total) * exp_full(-lift);
}

static const double REMOTE = 0x1.44e51f113d4d6p-185 /* exp(-128) */, FAINT = 1e-270;

/* Whether the sum may have to be recomputed: see compensated_sum.py. Differences of float32 logits are float64 numbers
   unless one is 2**28 times the other. A class that much nearer to 0 than the maximum weighs exp(-m), and matters only
   where the loss is little more than all such classes together; likewise for a maximum that is itself near 0. */
INLINE int suspect(int exact, int64_t k, double m, double others, double distance) {
    double least = others > distance ? others : distance, size = m < 0 ? -m : m;
    int near_zero = (m > 4) & (least < (double)k * m * exp_term(-size));
    int zero_peak = (m != 0) & (size < 745 * 0x1p-28);
    return (others < FAINT) | (exact ? (others < 0.125) & (near_zero | zero_peak) : others < REMOTE);
}

INLINE double refined(const Job *job, const void *z, int wide, double m, int64_t peak, double others) {
    int again = others < FAINT || wide || job->temperature != 1.0;
    double size = m < 0 ? -m : m;
    for (int64_t j = 0; j < job->k && !again; j++) {
        double v = logit(z, wide, j) < 0 ? -logit(z, wide, j) : logit(z, wide, j);
        again = (v > 0 && v < size * 0x1p-28) || size < v * 0x1p-28;
    }
    if (!again) return others;
    return sum_compensated(z, wide, job->k, m, peak, job->temperature, others < FAINT ? 64.0 : 0.0);
}

INLINE double weight_of(const Job *job, int64_t i, int64_t j) { /* a_j: the weight of class j in the loss, besides the label's */
    double a = job->smoothing / (double)job->k;
    if (job->labels == NULL)
        a += (1.0 - job->smoothing) * value_at(job->dense + i * job->dense_row + j * job->dense_class, job->dense_kind);
    return job->class_weight == NULL ? a : a * job->class_weight[j];
}

INLINE double product(double weight, double x) { /* with 0 * inf = 0 */
    return weight == 0.0 && isinf(x) ? 0.0 : weight * x;
}

/* Sum of a_j (m - z_j)/T, and of a_j. */
INLINE void weigh(const Job *job, int64_t i, const void *z, int wide, double m, double *weighted, double *mass) {
    Lanes distances = {{0}, {0}}, weights = {{0}, {0}};
    double block[BLOCK], part[BLOCK];
    for (int64_t b = 0; b < job->k; b += BLOCK) {
        int64_t width = job->k - b < BLOCK ? job->k - b : BLOCK, whole = (width + GROUP - 1) / GROUP * GROUP;
        for (int64_t l = 0; l < width; l++) {
            part[l] = weight_of(job, i, b + l);
            block[l] = product(part[l], (m - logit(z, wide, b + l)) / job->temperature);
        }
        for (int64_t l = width; l < whole; l++) part[l] = block[l] = 0.0;
        add_lanes(&distances, block, whole);
        add_lanes(&weights, part, whole);
    }
    *weighted = sum_of(&distances);
    *mass = sum_of(&weights);
}

enum { TOGETHER = 1024 }; /* rows finished together, so that log1p is vectorized */

typedef struct {
    double distance[TOGETHER], total[TOGETHER], weighted[TOGETHER], mass[TOGETHER];
    int64_t peak[TOGETHER];
} Rows;

INLINE double distance_of(const Job *job, int64_t i, int wide, double m) {
    if (job->labels == NULL) return 0.0;
    double at_label = value_at(job->logits + i * job->row_stride + job->labels[i] * job->class_stride, job->kind);
    if (!wide && job->temperature == 1.0) return m - at_label;
    /* Halved, so that opposite logits near the end of the range do not overflow before they are divided. */
    return (m / 2 - at_label / 2) / (job->temperature / 2);
}

INLINE double label_weight(const Job *job, int64_t i) {
    if (job->labels == NULL) return 0.0;
    double kept = 1.0 - job->smoothing;
    return job->class_weight == NULL ? kept : kept * job->class_weight[job->labels[i]];
}

/* Losses of rows first to stop, from the results in `rows`. */
INLINE void finish(const Job *job, int64_t first, int64_t stop, Rows *rows) {
    double *others = job->others + first, *loss = job->loss + first;
    int64_t n = stop - first;
    for (int64_t r = 0; r < n; r++) rows->total[r] = log1p_full(others[r]);
    int background = job->labels == NULL || job->smoothing != 0.0;
    if (!background && job->class_weight == NULL)
        for (int64_t r = 0; r < n; r++) loss[r] = rows->distance[r] + rows->total[r];
    else if (!background)
        for (int64_t r = 0; r < n; r++) loss[r] = product(label_weight(job, first + r), rows->distance[r] + rows->total[r]);
    else
        for (int64_t r = 0; r < n; r++)
            loss[r] = product(label_weight(job, first + r), rows->distance[r] + rows->total[r]) +
                      (rows->weighted[r] + product(rows->mass[r], rows->total[r]));
    for (int64_t r = 0; r < n; r++) loss[r] = isnan(others[r]) ? NAN : loss[r]; /* the same NaN, whatever its bits were */
}

INLINE void put(const Job *job, int64_t i, int64_t j, double g) {
    if (job->gradient_kind == FLOAT64) ((double *)job->gradient)[i * job->k + j] = g;
    else ((float *)job->gradient)[i * job->k + j] = (float)g;
}

/* Row i of the gradient from its exponentials, e_j at e[j * apart]. */
INLINE void differentiate(const Job *job, int64_t i, const double *e, int64_t apart, double distance, double total, double mass, int64_t peak) {
    double scale = (job->scale == NULL ? 1.0 : job->scale[i]) / job->temperature, others = job->others[i];
    double core = label_weight(job, i), confidence = expm1_full(-(distance + total));
    double factor = scale * (core + mass) / (1.0 + others);
    int64_t careful = job->labels == NULL ? peak : job->labels[i];
    if (isnan(others)) {
        for (int64_t j = 0; j < job->k; j++) put(job, i, j, NAN);
        return;
    }
    if (job->labels != NULL && job->smoothing == 0.0) {
        if (job->gradient_kind == FLOAT64) {
            double *g = (double *)job->gradient + i * job->k;
            for (int64_t j = 0; j < job->k; j++) g[j] = factor * e[j * apart];
        } else {
            float *g = (float *)job->gradient + i * job->k;
            for (int64_t j = 0; j < job->k; j++) g[j] = (float)(factor * e[j * apart]);
        }
        put(job, i, careful, scale * core * confidence);
        return;
    }
    Lanes without = {{0}, {0}};
    double part[BLOCK];
    for (int64_t b = 0; b < job->k; b += BLOCK) {
        int64_t width = job->k - b < BLOCK ? job->k - b : BLOCK, whole = (width + GROUP - 1) / GROUP * GROUP;
        for (int64_t l = 0; l < width; l++) {
            part[l] = weight_of(job, i, b + l);
            put(job, i, b + l, factor * e[(b + l) * apart] - scale * part[l]);
        }
        for (int64_t l = width; l < whole; l++) part[l] = 0.0;
        if (careful >= b && careful < b + width) part[careful - b] = 0.0;
        add_lanes(&without, part, whole);
    }
    double g = confidence < -0.5
        ? factor * e[careful * apart] - scale * weight_of(job, i, careful) - scale * core
        : scale * (core * confidence + (sum_of(&without) + mass * confidence));
    put(job, i, careful, g);
}

/* A row of many classes. */
INLINE void long_row(const Job *job, int64_t i, int wide, int full, const Scratch *scratch, Rows *rows, int64_t at) {
    const void *z = in_line(job, i, wide, scratch->row);
    double m = maximum_of(z, wide, job->k), others = NAN;
    rows->peak[at] = 0;
    rows->distance[at] = distance_of(job, i, wide, m);
    rows->weighted[at] = rows->mass[at] = 0.0;
    if (isfinite(m)) {
        int64_t peak = rows->peak[at] = first_of(z, wide, job->k, m);
        others = sum_exponentials(z, wide, full, job->k, m, peak, job->temperature, scratch->e);
        if (suspect(!wide && job->temperature == 1.0, job->k, m, others, rows->distance[at]))
            others = refined(job, z, wide, m, peak, others);
        if (job->labels == NULL || job->smoothing != 0.0) weigh(job, i, z, wide, m, &rows->weighted[at], &rows->mass[at]);
    }
    job->maximum[i] = m;
    job->others[i] = others;
}

/* LANES rows of few classes: transposed, so that a vector holds one class of every row. */
INLINE void short_rows(const Job *job, int64_t first, int64_t n, int wide, int full, const Scratch *scratch, Rows *rows, int64_t at, double (*e)[LANES]) {
    double m[LANES], sum[LANES] = {0}, lost[LANES] = {0};
    int64_t peak[LANES] = {0}, k = job->k;
    int plain = job->class_stride == (wide ? 8 : 4) && job->kind == (wide ? FLOAT64 : FLOAT32);
    for (int r = 0; r < LANES; r++) m[r] = -INFINITY;
    for (int64_t r = 0; r < n; r++) {
        const char *z = job->logits + (first + r) * job->row_stride;
        if (plain) for (int64_t j = 0; j < k; j++) e[j][r] = logit(z, wide, j);
        else for (int64_t j = 0; j < k; j++) e[j][r] = value_at(z + j * job->class_stride, job->kind);
    }
    for (int64_t r = n; r < LANES; r++) for (int64_t j = 0; j < k; j++) e[j][r] = 0.0;
    for (int64_t j = 0; j < k; j++)
        for (int r = 0; r < LANES; r++) {
            int above = e[j][r] > m[r];
            m[r] = above ? e[j][r] : m[r];
            peak[r] = above ? j : peak[r];
        }
    if (job->temperature != 1.0)
        for (int64_t j = 0; j < k; j++)
            for (int r = 0; r < LANES; r++) e[j][r] = (e[j][r] - m[r]) / job->temperature;
    else
        for (int64_t j = 0; j < k; j++)
            for (int r = 0; r < LANES; r++) e[j][r] = e[j][r] - m[r];
    for (int64_t b = 0; b < k; b += 8) {
        double lane[LANES] = {0};
        int64_t stop = b + 8 < k ? b + 8 : k;
        for (int64_t j = b; j < stop; j++)
            for (int r = 0; r < LANES; r++) {
                e[j][r] = exponential(e[j][r], full);
                lane[r] += peak[r] == j ? 0.0 : e[j][r];
            }
        for (int r = 0; r < LANES; r++) {
            double s = sum[r] + lane[r], back = s - sum[r];
            lost[r] += (sum[r] - (s - back)) + (lane[r] - back);
            sum[r] = s;
        }
    }
    double distance[LANES] = {0};
    int again[LANES], background = job->labels == NULL || job->smoothing != 0.0;
    for (int64_t r = 0; r < n; r++) distance[r] = distance_of(job, first + r, wide, m[r]);
    for (int r = 0; r < LANES; r++) {
        sum[r] = isfinite(m[r]) ? sum[r] + lost[r] : NAN;
        again[r] = suspect(!wide && job->temperature == 1.0, k, m[r], sum[r], distance[r]);
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t i = first + r;
        rows->weighted[at + r] = rows->mass[at + r] = 0.0;
        if (again[r] || background) {
            const void *z = in_line(job, i, wide, scratch->row);
            if (again[r]) sum[r] = refined(job, z, wide, m[r], peak[r], sum[r]);
            if (background) weigh(job, i, z, wide, m[r], &rows->weighted[at + r], &rows->mass[at + r]);
        }
        job->maximum[i] = m[r];
        job->others[i] = sum[r];
        rows->distance[at + r] = distance[r];
        rows->peak[at + r] = peak[r];
    }
}

INLINE void all_rows(const Job *job, int wide, int full, const Scratch *scratch) {
    double turned[FEW_CLASSES][LANES];
    Rows rows;
    int few = job->k <= FEW_CLASSES;
    int64_t step = few ? LANES : 1, size = job->gradient == NULL ? TOGETHER : step;
    for (int64_t first = 0; first < job->n; first += size) {
        int64_t stop = first + size < job->n ? first + size : job->n;
        for (int64_t i = first; i < stop; i += step) {
            if (few) short_rows(job, i, stop - i < LANES ? stop - i : LANES, wide, full, scratch, &rows, i - first, turned);
            else long_row(job, i, wide, full, scratch, &rows, i - first);
        }
        finish(job, first, stop, &rows);
        if (job->gradient == NULL) continue;
        for (int64_t i = first; i < stop; i++) {
            int64_t r = i - first;
            differentiate(job, i, few ? &turned[0][r] : scratch->e, few ? LANES : 1, rows.distance[r], rows.total[r], rows.mass[r], rows.peak[r]);
        }
    }
}

/* ---- one compilation for each set of instructions ---------------------------------------------------------------- */

typedef void Variant(const Job *, const Scratch *);

#define COMPILED(name, attributes)                                                                                     \
    attributes static void name(const Job *job, const Scratch *scratch) {                                              \
        int wide = job->kind == FLOAT64, full = job->gradient != NULL;                                                 \
        if (wide && full) all_rows(job, 1, 1, scratch);                                                                \
        else if (wide) all_rows(job, 1, 0, scratch);                                                                   \
        else if (full) all_rows(job, 0, 1, scratch);                                                                   \
        else all_rows(job, 0, 0, scratch);                                                                             \
    }

COMPILED(baseline, )
#if defined(__x86_64__)
COMPILED(avx2, __attribute__((target("avx2,fma"))))
COMPILED(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))))
#endif


static Variant *variant_of(const char *name) {
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) return avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return baseline; /* fused multiply-add is an instruction there */
#endif
    return strcmp(name, "baseline") == 0 ? baseline : NULL;
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
    const char *name;
    PyObject *object[8]; /* logits, labels, class_weight, scale, loss, maximum, others, gradient */
    Py_buffer view[8] = {{0}};
    PyObject *result = NULL;
    Job job = {0};
    int labels_kind;
    if (!PyArg_ParseTuple(args, "sOiOiddOOOOOOi", &name, &object[0], &job.kind, &object[1], &labels_kind, &job.smoothing,
                          &job.temperature, &object[2], &object[3], &object[4], &object[5], &object[6], &object[7],
                          &job.gradient_kind))
        return NULL;
    Variant *variant = variant_of(name);
    if (variant == NULL) return PyErr_Format(PyExc_ValueError, "this machine has no %s", name);
    int sparse = labels_kind < 0;
    Scratch scratch = {0};
    for (int b = 0; b < 8; b++)
        if (get(object[b], &view[b], b > 3, b == 0 || b == 7 || (b == 1 && !sparse) ? 2 : 1) < 0) goto done;
    job.n = view[0].shape[0];
    job.k = view[0].shape[1];
    if (fits(&view[2], job.k, 8, "class_weight") < 0) goto done;
    for (int b = 3; b < 7; b++)
        if (fits(&view[b], job.n, 8, "values of rows") < 0) goto done;
    if (sparse && fits(&view[1], job.n, 8, "labels") < 0) goto done;
    if (!sparse && (view[1].shape[0] != job.n || view[1].shape[1] != job.k)) {
        PyErr_SetString(PyExc_ValueError, "dense labels of another shape than the logits");
        goto done;
    }
    if (view[7].buf != NULL && (view[7].shape[0] != job.n || view[7].shape[1] != job.k ||
                                view[7].strides[1] != view[7].itemsize || view[7].strides[0] != job.k * view[7].itemsize)) {
        PyErr_SetString(PyExc_ValueError, "a gradient that is not contiguous, or of another shape than the logits");
        goto done;
    }
    job.logits = view[0].buf;
    job.row_stride = view[0].strides[0];
    job.class_stride = view[0].strides[1];
    if (sparse) job.labels = view[1].buf;
    else {
        job.dense = view[1].buf;
        job.dense_kind = labels_kind;
        job.dense_row = view[1].strides[0];
        job.dense_class = view[1].strides[1];
    }
    job.class_weight = view[2].buf;
    job.scale = view[3].buf;
    job.loss = view[4].buf;
    job.maximum = view[5].buf;
    job.others = view[6].buf;
    job.gradient = view[7].buf;
    scratch.row = malloc(8 * (size_t)job.k + 8);
    scratch.e = malloc(8 * ((size_t)job.k + GROUP));
    if (scratch.row == NULL || scratch.e == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (int64_t i = 0; sparse && i < job.n; i++)
        if (job.labels[i] < 0 || job.labels[i] >= job.k) {
            PyErr_Format(PyExc_ValueError, "label %lld of %lld classes", (long long)job.labels[i], (long long)job.k);
            goto done;
        }
    Py_BEGIN_ALLOW_THREADS
    Rounding before = plain_rounding();
    variant(&job, &scratch);
    restore_rounding(before);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    free(scratch.row);
    free(scratch.e);
    for (int b = 0; b < 8; b++)
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
