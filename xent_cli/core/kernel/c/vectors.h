/* Vectors of WIDTH doubles, as one set of instructions has them.

   Compilers make good vectors of most loops over lanes. Those that take the time are written with the vectors themselves,
   AT_ONCE of them side by side, so that what waits for a result has others to compute meanwhile. */

#define PARTS (LANES / WIDTH) /* of a step */
#define AT_ONCE (PARTS < 4 ? 4 : PARTS) /* one step, or two */
#define ALL(x) ((Vector){0} + (x)) /* the same in all lanes */
#define WHERE(mask, x) (Vector)((mask) & (Bits)(x)) /* else 0 */
#define ABSOLUTE(x) (Vector)((Bits)(x) & INT64_MAX)
#define PICKED(mask, a, b) (Vector)(((mask) & (Bits)(a)) | (~(mask) & (Bits)(b)))
#define PICKED_FLOAT(mask, a, b) (Floats)(((mask) & (Words)(a)) | (~(mask) & (Words)(b)))
#define PAIRED(a, b) MIXED(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#define MIXED __builtin_shufflevector

typedef double Vector __attribute__((vector_size(8 * WIDTH)));
typedef int64_t Bits __attribute__((vector_size(8 * WIDTH)));
typedef uint64_t Whole __attribute__((vector_size(8 * WIDTH)));
typedef float Floats __attribute__((vector_size(8 * WIDTH)));
typedef int32_t Words __attribute__((vector_size(8 * WIDTH)));
typedef float Quad __attribute__((vector_size(16))); /* what every machine has */
typedef double Pair __attribute__((vector_size(16)));

/* What is written in another way for each width: floats in memory as doubles; a * b + c, rounded once; a > b ? a : b and
   a < b ? a : b, thus b where either is NaN; from every 16 bytes of two vectors the lower and the higher values, in turn;
   vectors of 16 bytes in a row; lane l + by in lane l, for each of the steps in which lanes become one. */
#if WIDTH == 8
#define INSTRUCTION(name) _mm512_##name
#define WIDENED(at) INSTRUCTION(cvtps_pd)(_mm256_loadu_ps(at))
#define JOINED_QUADS(x) MIXED(PAIRED(x[0], x[1]), PAIRED(x[2], x[3]), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define ROTATED(x, by) \
    MIXED(x, x, by, (1 + by) % 8, (2 + by) % 8, (3 + by) % 8, (4 + by) % 8, (5 + by) % 8, (6 + by) % 8, (7 + by) % 8)
#define ROTATIONS(each) each(4) each(2) each(1)
#elif WIDTH == 4
#define INSTRUCTION(name) _mm256_##name
#define WIDENED(at) INSTRUCTION(cvtps_pd)(_mm_loadu_ps(at))
#define JOINED_QUADS(x) PAIRED(x[0], x[1])
#define ROTATED(x, by) MIXED(x, x, by, (1 + by) % 4, (2 + by) % 4, (3 + by) % 4)
#define ROTATIONS(each) each(2) each(1)
#else
#define WIDENED(at) ((Vector){(at)[0], (at)[1]})
#define JOINED_QUADS(x) x[0]
#define ROTATED(x, by) MIXED(x, x, 1, 0)
#define ROTATIONS(each) each(1)
#endif
#if WIDTH > 2
#define FUSED INSTRUCTION(fmadd_pd)
#define LARGER INSTRUCTION(max_pd)
#define SMALLER INSTRUCTION(min_pd)
#define LARGER_FLOAT INSTRUCTION(max_ps)
#define SMALLER_FLOAT INSTRUCTION(min_ps)
#define LOW INSTRUCTION(unpacklo_pd)
#define HIGH INSTRUCTION(unpackhi_pd)
#define LOW_FLOATS INSTRUCTION(unpacklo_ps)
#define HIGH_FLOATS INSTRUCTION(unpackhi_ps)
#else
#if defined(__aarch64__)
#define FUSED(a, b, c) vfmaq_f64(c, a, b)
#else
#define FUSED(a, b, c) ((Vector){FMA((a)[0], (b)[0], (c)[0]), FMA((a)[1], (b)[1], (c)[1])})
#endif
#define LARGER(a, b) PICKED((a) > (b), a, b)
#define SMALLER(a, b) PICKED((a) < (b), a, b)
#define LARGER_FLOAT(a, b) PICKED_FLOAT((a) > (b), a, b)
#define SMALLER_FLOAT(a, b) PICKED_FLOAT((a) < (b), a, b)
#define LOW(a, b) MIXED(a, b, 0, 2)
#define HIGH(a, b) MIXED(a, b, 1, 3)
#define LOW_FLOATS(a, b) MIXED(a, b, 0, 4, 1, 5)
#define HIGH_FLOATS(a, b) MIXED(a, b, 2, 6, 3, 7)
#endif

INLINE Vector vector_at(const double *at) {
    Vector x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* Values of a panel from `at` on. */
INLINE Vector loaded(const void *panel, int wide, int64_t at) {
    return wide ? vector_at((const double *)panel + at) : (Vector)WIDENED((const float *)panel + at);
}

/* 16 bytes of each of WIDTH / 2 rows, in the order of the rows. */
INLINE Floats gathered(const char *at, int64_t apart) {
    Quad x[WIDTH / 2];
    for (int g = 0; g < WIDTH / 2; g++) memcpy(&x[g], at + g * apart, sizeof x[g]);
    return (Floats)JOINED_QUADS(x);
}

/* exp(x) for x <= 0; 0 where it would be subnormal; NaN for NaN: `exp_below` where it is not 0. */
INLINE void exponentials(Vector *x) {
    Vector t[AT_ONCE], r[AT_ONCE], q[AT_ONCE];
    UNROLLED for (int v = 0; v < AT_ONCE; v++) x[v] = LARGER(ALL(-709.0), x[v]); /* there k is -1023 */
    UNROLLED for (int v = 0; v < AT_ONCE; v++) t[v] = FUSED(x[v], ALL(LOG2_E), ALL(ROUND));
    UNROLLED for (int v = 0; v < AT_ONCE; v++) r[v] = FUSED(t[v] - ROUND, ALL(-LN2), x[v]);
    UNROLLED for (int v = 0; v < AT_ONCE; v++) r[v] = FUSED(t[v] - ROUND, ALL(-LN2_REST), r[v]);
    UNROLLED for (int v = 0; v < AT_ONCE; v++) q[v] = ALL(EXP_TAIL[0]);
    UNROLLED for (int c = 1; c < EXP_TERMS; c++)
        UNROLLED for (int v = 0; v < AT_ONCE; v++) q[v] = FUSED(q[v], r[v], ALL(EXP_TAIL[c]));
    UNROLLED for (int v = 0; v < AT_ONCE; v++)
        x[v] = (FUSED(r[v] * r[v], q[v], r[v]) + 1.0) * (Vector)((Bits)t[v] << 52);
}

/* exp(x) - 1 of a step, for |x| < 1, as `expm1_of` computes it. */
INLINE void expm1_near(Vector *x) {
    Vector t[PARTS], high[PARTS], r[PARTS], lost[PARTS], q[PARTS];
    UNROLLED for (int v = 0; v < PARTS; v++) t[v] = FUSED(x[v], ALL(LOG2_E), ALL(ROUND));
    UNROLLED for (int v = 0; v < PARTS; v++) high[v] = FUSED(t[v] - ROUND, ALL(-LN2), x[v]);
    UNROLLED for (int v = 0; v < PARTS; v++) r[v] = FUSED(t[v] - ROUND, ALL(-LN2_REST), high[v]);
    UNROLLED for (int v = 0; v < PARTS; v++) lost[v] = FUSED(t[v] - ROUND, ALL(-LN2_REST), high[v] - r[v]);
    UNROLLED for (int v = 0; v < PARTS; v++) q[v] = ALL(EXP_TAIL[0]);
    UNROLLED for (int c = 1; c < EXP_TERMS; c++)
        UNROLLED for (int v = 0; v < PARTS; v++) q[v] = FUSED(q[v], r[v], ALL(EXP_TAIL[c]));
    UNROLLED for (int v = 0; v < PARTS; v++) {
        Vector power = (Vector)((Bits)t[v] << 52);
        x[v] = FUSED(power, r[v] + FUSED(r[v] * r[v], q[v], lost[v]), power - 1.0);
    }
}

/* log(1 + s) of LANES sums s >= 0 of exponentials: `finite_log` of 1 + s. */
INLINE void log1p_of_sums(const double *sums, double *logs) {
    Vector k[PARTS], f[PARTS], lost[PARTS], q[PARTS], z[PARTS], tail[PARTS];
    UNROLLED for (int v = 0; v < PARTS; v++) {
        Vector s = vector_at(sums + v * WIDTH), u = s + 1.0;
        Whole biased = ((Whole)u + (BIAS - (uint64_t)bits_of(SQRT_HALF))) >> 52;
        Bits same = biased == 1023;
        k[v] = (Vector)(biased + 0x4330000000000000) - (0x1p52 + 1023);
        f[v] = PICKED(same, s, (Vector)((Whole)u + BIAS - (biased << 52)) - 1.0);
        lost[v] = WHERE(~same, (s - (u - 1.0)) / u);
    }
    UNROLLED for (int v = 0; v < PARTS; v++) q[v] = f[v] / (f[v] + 2.0), z[v] = q[v] * q[v], tail[v] = ALL(LOG_TAIL[0]);
    UNROLLED for (int c = 1; c < LOG_TERMS; c++)
        UNROLLED for (int v = 0; v < PARTS; v++) tail[v] = FUSED(tail[v], z[v], ALL(LOG_TAIL[c]));
    UNROLLED for (int v = 0; v < PARTS; v++) {
        Vector half = 0.5 * f[v] * f[v], small = FUSED(q[v], FUSED(tail[v], z[v], half), FUSED(k[v], ALL(LN2_REST), lost[v]));
        Vector log = FUSED(k[v], ALL(LN2), f[v] - (half - small));
        memcpy(logs + v * WIDTH, &log, sizeof log);
    }
}
