/* exp, log, log1p and expm1 of one double; loops over lanes make vectors of them. */

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

INLINE uint32_t word_of(float x) {
    uint32_t word;
    memcpy(&word, &x, 4);
    return word;
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

/* log(u) + more_k ln 2 for finite u > 0; NaN for NaN. With u = 2**k (1 + f), log(1 + f) is 2 atanh(f / (2 + f)). If k is 0,
   f is `near`, which was not rounded; otherwise `lost` is what rounding took from u. */
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
