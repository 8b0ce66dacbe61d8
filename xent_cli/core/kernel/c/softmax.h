/* The maximum of each row, and the sum of the exponentials of its differences from it. */

/* (v - m)/T, and in `error` what rounding took from it, or 0 where that is not finite. */
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

/* Sums below REMOTE are repeated for float64 logits or with a temperature, and sums below FAINT always, since `exponentials`
   leaves out subnormal terms: _FLOAT64_BOUND and _SUBNORMAL_BOUND of compensated_sum.py. */
static const double REMOTE = 0x1.44e51f113d4d6p-185 /* exp(-128) */, FAINT = 1e-270;

/* Maximum of each lane, ignoring NaN, and the class where it is first. */
#define MAXIMA(type, integer, Values, Places, LARGER_OF)                                                               \
    enum { LENGTH = sizeof(Values) / sizeof(type), COUNT = LANES / LENGTH };                                           \
    Values top[COUNT], x;                                                                                              \
    Places at[COUNT] = {{0}};                                                                                          \
    UNROLLED for (int v = 0; v < COUNT; v++) top[v] = (Values){0} - (type)INFINITY;                                    \
    for (integer b = 0; b < (integer)job->steps; b += DEPTH) {                                                         \
        const type *z = strip_of(panel, wide, b);                                                                      \
        for (integer j = 0; j < (integer)depth_at(job, b); j++)                                                        \
            UNROLLED for (int v = 0; v < COUNT; v++) {                                                                 \
                memcpy(&x, z + j * LANES + v * LENGTH, sizeof x);                                                      \
                Places higher = x > top[v];                                                                            \
                at[v] = (higher & (b + j)) | (~higher & at[v]);                                                        \
                top[v] = LARGER_OF(x, top[v]);                                                                         \
            }                                                                                                          \
    }                                                                                                                  \
    type maxima[LANES];                                                                                                \
    integer steps[LANES];                                                                                              \
    memcpy(maxima, top, sizeof maxima);                                                                                \
    memcpy(steps, at, sizeof steps);                                                                                   \
    EACH_LANE m[l] = (double)maxima[l], place[l] = job->few ? steps[l] : steps[l] * LANES + l;

/* Maximum of each row, ignoring NaN, and the class where it is first. */
INLINE void find_maxima(const Job *job, const Panel *panel, int wide, double *m, int64_t *peak) {
    double place[LANES];
    if (wide) { MAXIMA(double, int64_t, Vector, Bits, LARGER) }
    else { MAXIMA(float, int32_t, Floats, Words, LARGER_FLOAT) }
    if (!job->few) {
        Vector most = vector_at(m), first = ALL(INFINITY);
        UNROLLED for (int l = WIDTH; l < LANES; l += WIDTH) most = LARGER(vector_at(m + l), most);
#define HIGHER(by) most = LARGER(ROTATED(most, by), most);
        ROTATIONS(HIGHER)
        UNROLLED for (int l = 0; l < LANES; l += WIDTH) first = SMALLER(PICKED(vector_at(m + l) == most, vector_at(place + l), first), first);
#define SOONER(by) first = SMALLER(ROTATED(first, by), first);
        ROTATIONS(SOONER)
        EACH_LANE m[l] = most[0], place[l] = first[0];
    }
    EACH_LANE peak[l] = (int64_t)place[l];
}

/* (z_j - m)/T for `depth` steps. */
INLINE void differences(const void *z, int wide, int64_t depth, const double *m, double temperature, double *d) {
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        for (int l = 0; l < LANES; l += WIDTH) {
            Vector x = loaded(z, wide, v + l), top = vector_at(m + l);
            /* halved: opposite logits near the end of the range would overflow before the division */
            x = wide && temperature > 1.0 ? (x / 2 - top / 2) / (temperature / 2) : x - top;
            memcpy(d + v + l, &x, sizeof x);
        }
    if (temperature != 1.0 && !(wide && temperature > 1.0)) for (int64_t v = 0; v < depth * LANES; v++) d[v] /= temperature;
}

/* Where `exponentials` gave 0 for a subnormal number, puts that number. Sums can do without: where it would show in one,
   `refined` repeats the sum. */
INLINE void show_subnormal(const double *d, int64_t depth, double *e) {
    Vector lowest = {0};
    int any = 0;
    for (int64_t v = 0; v < depth * LANES; v += WIDTH) lowest = SMALLER(vector_at(d + v), lowest);
    for (int l = 0; l < WIDTH; l++) any |= lowest[l] < -708.0;
    if (!any) return;
    any = 0; /* not counting -inf */
    for (int64_t v = 0; v < depth * LANES; v++) any |= (d[v] < -708.0) & (d[v] > -746.0);
    if (any) for (int64_t v = 0; v < depth * LANES; v++) e[v] = exp_below(d[v]);
}

/* Adds exp(d), d <= 0, to `total`; if `omit`, without the step `omitted` of each lane. Keeps them in `e` if `full`.
   There is room for one more step in both, since AT_ONCE vectors may be two. */
INLINE void add_exponentials(double *d, int64_t depth, int64_t b, int omit, const int64_t *omitted, int full, double *e, Sum *total) {
    Vector terms[PARTS] = {{0}};
    Bits left_out[PARTS] = {{0}};
    if (omit) memcpy(left_out, omitted, sizeof left_out);
    EACH_LANE d[depth * LANES + l] = -INFINITY;
    for (int64_t j = 0; j < depth * LANES; j += AT_ONCE * WIDTH) {
        Vector x[AT_ONCE];
        UNROLLED for (int v = 0; v < AT_ONCE; v++) x[v] = vector_at(d + j + v * WIDTH);
        exponentials(x);
        if (full) memcpy(e + j, x, sizeof x);
        if (omit)
            UNROLLED for (int v = 0; v < AT_ONCE; v++)
                x[v] = (Vector)((Bits)x[v] & ~(left_out[v % PARTS] == b + j / LANES + v / PARTS));
        UNROLLED for (int v = 0; v < AT_ONCE; v++) terms[v % PARTS] += x[v];
    }
    add(total, terms);
    if (full) show_subnormal(d, depth, e);
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
    Sum total = NOTHING;
    for (int64_t j = 0; j < job->k; j += LANES) {
        double z[LANES], terms[LANES];
        EACH_LANE z[l] = j + l < job->k && j + l != peak ? value_at(array, i, j + l) : -INFINITY;
        EACH_LANE {
            double error, e = exp_full(difference(z[l], m, temperature, temperature != 1.0, &error) + lift);
            terms[l] = FMA(e, error, e);
        }
        add_lanes(&total, terms);
    }
    return sum_across(&total) * exp_full(-lift);
}

/* Sum of exp((z_j - m)/T) over all j but the first maximum; and what the distances weigh. */
INLINE void sum_exponentials(const Job *job, const Panel *panel, int wide, int full, const double *m, const int64_t *peak,
                             double temperature, double *e, double *others, Weighed *weighed) {
    Sum total = NOTHING;
    _Alignas(64) double d[STRIP + LANES];
    int64_t omitted[LANES];
    for (int64_t b = 0; weighed != NULL && b < job->steps; b += DEPTH) {
        differences(strip_of(panel, wide, b), wide, depth_at(job, b), m, temperature, d);
        weigh(job, d, b, weighed);
    }
    steps_of_class(job, peak, omitted);
    for (int64_t b = 0; b < job->steps; b += DEPTH) {
        int64_t depth = depth_at(job, b);
        fetch_ahead(job, panel, b);
        differences(strip_of(panel, wide, b), wide, depth, m, temperature, d);
        if (job->few || b == peak[0] / STRIP * DEPTH) add_exponentials(d, depth, b, 1, omitted, full, e + b * LANES, &total);
        else add_exponentials(d, depth, b, 0, omitted, full, e + b * LANES, &total);
    }
    sums_of_rows(job, &total, others);
    EACH_LANE others[l] = isfinite(m[l]) ? others[l] : NAN; /* the maximum may be what makes it NaN */
}

/* Which of LANES sums may have to be recomputed, and whether any: see compensated_sum.py. Differences of float32 logits are
   float64 numbers unless one is 2**28 times the other. A class that much nearer to 0 than the maximum weighs exp(-m), and
   matters only where the loss is little more than all such classes together; likewise for a maximum that is itself near 0. */
INLINE int suspects(const Job *job, int exact, const double *maxima, const double *sums, const double *distances, int64_t *again) {
    int any = 0;
    UNROLLED for (int l = 0; l < LANES; l += WIDTH) {
        Vector m = vector_at(maxima + l), size = ABSOLUTE(m), others = vector_at(sums + l);
        Vector least = LARGER(others, vector_at(distances + l));
        Bits found = others < FAINT;
        if (exact) {
            Vector bound = (Vector)((Bits)FUSED(SMALLER(size, ALL(700.0)), ALL(-LOG2_E), ALL(ROUND)) << 52) * 2.0; /* of exp(-m) */
            Bits near_zero = (m > 4.0) & (least < (double)job->k * m * bound), zero_peak = (m != 0.0) & (size < 745 * 0x1p-28);
            found |= (others < 0.125) & (near_zero | zero_peak);
        } else found |= others < REMOTE;
        memcpy(again + l, &found, sizeof found);
        for (int v = 0; v < WIDTH; v++) any |= found[v] != 0;
    }
    return any;
}
