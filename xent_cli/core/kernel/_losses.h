/* Losses of rows and their gradients, as cross_entropy.py, from_probabilities.py and distillation.py compute them, in few
   passes over memory. Their derivations hold here too, and names are theirs. `_variant.h` includes this file once for each
   set of instructions, with VARIANT, TARGET and WIDTH set. */

#ifndef FUNCTION /* names of functions end in that of the set of instructions */
#define JOINED(name, variant) name##_##variant
#define NAMED(name, variant) JOINED(name, variant)
#define FUNCTION TARGET static
#define INLINED TARGET INLINE
#define differences NAMED(differences, VARIANT)
#define find_maxima NAMED(find_maxima, VARIANT)
#define Sum NAMED(Sum, VARIANT)
#define Weighed NAMED(Weighed, VARIANT)
#define Taught NAMED(Taught, VARIANT)
#define add_sum NAMED(add_sum, VARIANT)
#define turn_strip NAMED(turn_strip, VARIANT)
#define add_lanes NAMED(add_lanes, VARIANT)
#define sum_across NAMED(sum_across, VARIANT)
#define sums_of_rows NAMED(sums_of_rows, VARIANT)
#define add NAMED(add, VARIANT)
#define show_subnormal NAMED(show_subnormal, VARIANT)
#define add_exponentials NAMED(add_exponentials, VARIANT)
#define distribution NAMED(distribution, VARIANT)
#define sum_exponentials NAMED(sum_exponentials, VARIANT)
#define copy NAMED(copy, VARIANT)
#define load_few NAMED(load_few, VARIANT)
#define load_many NAMED(load_many, VARIANT)
#define load NAMED(load, VARIANT)
#define refined NAMED(refined, VARIANT)
#define weights_of NAMED(weights_of, VARIANT)
#define weigh NAMED(weigh, VARIANT)
#define suspects NAMED(suspects, VARIANT)
#define put_losses NAMED(put_losses, VARIANT)
#define finish NAMED(finish, VARIANT)
#define put_strip NAMED(put_strip, VARIANT)
#define differentiate NAMED(differentiate, VARIANT)
#define logits_rows NAMED(logits_rows, VARIANT)
#define side_of NAMED(side_of, VARIANT)
#define narrow_side NAMED(narrow_side, VARIANT)
#define wide_side NAMED(wide_side, VARIANT)
#define probability_rows NAMED(probability_rows, VARIANT)
#define finite_difference NAMED(finite_difference, VARIANT)
#define add_finite NAMED(add_finite, VARIANT)
#define add_any NAMED(add_any, VARIANT)
#define plain_ratios NAMED(plain_ratios, VARIANT)
#define divergence_terms NAMED(divergence_terms, VARIANT)
#define gradients NAMED(gradients, VARIANT)
#define teacher_rows NAMED(teacher_rows, VARIANT)
#define all_rows NAMED(all_rows, VARIANT)
#define exact_parts NAMED(exact_parts, VARIANT)
#endif

#include "_vectors.h"

/* ---- sums ---- */

/* A sum in each lane, and the rounding errors of its additions (Knuth's two-sum). What is added is itself a plain sum of
   at most DEPTH terms, so a sum of 200,000 equal terms is as good as one of 8. */
typedef struct { Vector sum[PARTS], lost[PARTS]; } Sum;
#define NOTHING (Sum){{{0}}, {{0}}}

INLINED void add(Sum *total, const Vector *terms) {
    UNROLLED for (int p = 0; p < PARTS; p++) {
        Vector sum = total->sum[p], s = sum + terms[p], back = s - sum;
        total->lost[p] += (sum - (s - back)) + (terms[p] - back);
        total->sum[p] = s;
    }
}

INLINED void add_lanes(Sum *total, const double *lanes) {
    Vector terms[PARTS];
    memcpy(terms, lanes, sizeof terms);
    add(total, terms);
}

INLINED void add_sum(Vector *sum, Vector *lost, Vector other, Vector other_lost) {
    Vector s = *sum + other, back = s - *sum;
    *lost = (*lost + other_lost) + ((*sum - (s - back)) + (other - back));
    *sum = s;
}

/* The sum over all lanes. */
INLINED double sum_across(const Sum *total) {
    Sum all = *total;
    UNROLLED for (int half = PARTS / 2; half; half /= 2)
        UNROLLED for (int p = 0; p < half; p++) add_sum(&all.sum[p], &all.lost[p], all.sum[p + half], all.lost[p + half]);
    Vector sum = all.sum[0], lost = all.lost[0];
#define ADD(by) add_sum(&sum, &lost, ROTATED(sum, by), ROTATED(lost, by));
    ROTATIONS(ADD)
    return isinf(sum[0]) ? sum[0] : sum[0] + lost[0]; /* inf has no error to add: inf - inf is NaN */
}

/* The sum of each row: with few classes that of its lane. */
INLINED void sums_of_rows(const Job *job, const Sum *total, double *of_row) {
    if (job->few)
        for (int p = 0; p < PARTS; p++) {
            Vector sum = total->sum[p], both = sum + total->lost[p];
            both = PICKED(sum - sum == 0.0, both, sum);
            memcpy(of_row + p * WIDTH, &both, sizeof both);
        }
    else {
        double sum = sum_across(total);
        EACH_LANE of_row[l] = sum;
    }
}

/* Maximum of each lane, ignoring NaN, and the step where it is first. */
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
INLINED void find_maxima(const Job *job, const Panel *panel, int wide, double *m, int64_t *peak) {
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
INLINED void differences(const void *z, int wide, int64_t depth, const double *m, double temperature, double *d) {
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        for (int l = 0; l < LANES; l += WIDTH) {
            Vector x = loaded(z, wide, v + l), top = vector_at(m + l);
            /* halved: opposite logits near the end of the range would overflow before the division */
            x = wide && temperature > 1.0 ? (x / 2 - top / 2) / (temperature / 2) : x - top;
            memcpy(d + v + l, &x, sizeof x);
        }
    if (temperature != 1.0 && !(wide && temperature > 1.0)) for (int64_t v = 0; v < depth * LANES; v++) d[v] /= temperature;
}

/* log p_j and p_j of a strip. */
INLINED void distribution(const Side *side, int wide, int64_t b, int64_t depth, double *log_p, double *p) {
    differences(strip_of(&side->panel, wide, b), wide, depth, side->m, side->temperature, log_p);
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        EACH_LANE {
            log_p[v + l] -= side->norm[l];
            p[v + l] = side->e[b * LANES + v + l] * side->inverse[l];
        }
}

/* Puts exponentials that are subnormal in the place of 0. None is seen in a sum, unless that is recomputed anyhow. */
INLINED void show_subnormal(const double *d, int64_t depth, double *e) {
    Vector lowest = {0};
    int any = 0;
    for (int64_t v = 0; v < depth * LANES; v += WIDTH) lowest = SMALLER(vector_at(d + v), lowest);
    for (int l = 0; l < WIDTH; l++) any |= lowest[l] < -708.0;
    if (!any) return;
    any = 0; /* not counting -inf */
    for (int64_t v = 0; v < depth * LANES; v++) any |= (d[v] < -708.0) & (d[v] > -746.0);
    if (any) for (int64_t v = 0; v < depth * LANES; v++) e[v] = exp_below(d[v]);
}

/* Adds exp(d), d <= 0, to `total`, but for lanes that reach their step `omitted`, if `omit`; keeps it in `e` if `full`.
   There is room for one more step in both, since AT_ONCE vectors may be two. */
INLINED void add_exponentials(double *d, int64_t depth, int64_t b, int omit, const int64_t *omitted, int full, double *e, Sum *total) {
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

/* Transposes DEPTH classes of LANES rows: in each 16 bytes 4 by 4 floats, or 2 by 2 doubles. */
INLINED void turn_strip(const char *from, int64_t row, int wide, void *to) {
    if (wide)
        for (int r = 0; r < LANES; r += WIDTH)
            for (int c = 0; c < DEPTH; c += 2) {
                const char *at = from + r * row + c * 8;
                Vector a = (Vector)gathered(at, 2 * row), b = (Vector)gathered(at + row, 2 * row);
                Vector out[2] = {LOW(a, b), HIGH(a, b)};
                UNROLLED for (int q = 0; q < 2; q++) memcpy((double *)to + (c + q) * LANES + r, &out[q], sizeof out[q]);
            }
    else
        for (int r = 0; r < LANES; r += 2 * WIDTH)
            for (int c = 0; c < DEPTH; c += 4) {
                const char *at = from + r * row + c * 4;
                Floats a = gathered(at, 4 * row), b = gathered(at + row, 4 * row);
                Floats x = gathered(at + 2 * row, 4 * row), y = gathered(at + 3 * row, 4 * row);
                Vector ab = (Vector)LOW_FLOATS(a, b), xy = (Vector)LOW_FLOATS(x, y);
                Vector more_ab = (Vector)HIGH_FLOATS(a, b), more_xy = (Vector)HIGH_FLOATS(x, y);
                Vector out[4] = {LOW(ab, xy), HIGH(ab, xy), LOW(more_ab, more_xy), HIGH(more_ab, more_xy)};
                UNROLLED for (int q = 0; q < 4; q++) memcpy((float *)to + (c + q) * LANES + r, &out[q], sizeof out[q]);
            }
}

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
        turn_strip(from + width * j, row, wide, offset(to, wide, j * LANES));
    }
}

/* A strip of a row of many classes, padded to whole steps. */
FUNCTION void load_many(const Array *array, int64_t i, int64_t k, int64_t b, int wide, double pad, void *to) {
    int64_t first = b * LANES, count = k - first < STRIP ? k - first : STRIP;
    copy(array->data + i * array->row + first * array->step, array->step, array->kind, count, wide, to);
    for (int64_t j = count; j % LANES; j++) set(to, wide, j, pad);
}

/* Panel of n rows from i on; a copy in `room` unless it may `share` the memory of the array. */
INLINED Panel load(const Job *job, const Array *array, int64_t i, int64_t n, int wide, int share, double pad, double *rows, void *room) {
    int64_t size = array->kind == FLOAT64 ? 8 : array->kind == FLOAT32 ? 4 : 2, contiguous = array->step == size;
    Panel panel = {array->data + i * array->row, room, 0, array->data + (i + n) * array->row, contiguous ? n * job->k * size : 0};
    if (job->few) {
        load_few(array, i, n, job->k, wide, pad, rows, room);
        return panel;
    }
    if (share && contiguous && size == (wide ? 8 : 4)) panel.num_direct = job->k / STRIP * DEPTH;
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

/* ---- sums of exponentials, and of weights ---- */

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

/* Sums of a_j (m - z_j)/T and of a_j over the classes of the row(s) from i on, with a_j the weight of class j. */
typedef struct {
    int64_t i;
    const double *q; /* panel of dense labels of few classes */
    Sum far, mass;
} Weighed;

/* Adds those of a strip. */
INLINED void weigh(const Job *job, const double *d, int64_t b, Weighed *weighed) {
    double room[STRIP];
    Vector far[PARTS] = {{0}}, mass[PARTS] = {{0}};
    int64_t depth = depth_at(job, b);
    if (job->even != 0.0 && (job->few || (b + DEPTH) * LANES <= job->k)) { /* there is no padding */
        for (int64_t v = 0; v < depth * LANES; v += LANES)
            UNROLLED for (int p = 0; p < PARTS; p++) far[p] = FUSED(ALL(-job->even), vector_at(d + v + p * WIDTH), far[p]);
        add(&weighed->far, far);
        return;
    }
    const double *a = weights_of(job, weighed->i, b, weighed->q, room);
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        UNROLLED for (int p = 0; p < PARTS; p++) {
            Vector weight = vector_at(a + v + p * WIDTH), apart = vector_at(d + v + p * WIDTH);
            far[p] = FUSED(-weight, (Vector)((Bits)apart & ~(weight == 0.0)), far[p]);
            mass[p] += weight;
        }
    add(&weighed->far, far);
    add(&weighed->mass, mass);
}

/* Sum of exp((z_j - m)/T) over all j but the first maximum; and what the distances weigh. */
INLINED void sum_exponentials(const Job *job, const Panel *panel, int wide, int full, const double *m, const int64_t *peak,
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

/* ---- losses of logits ---- */

/* Which of LANES sums may have to be recomputed, and whether any: see compensated_sum.py. Differences of float32 logits are
   float64 numbers unless one is 2**28 times the other. A class that much nearer to 0 than the maximum weighs exp(-m), and
   matters only where the loss is little more than all such classes together; likewise for a maximum that is itself near 0. */
INLINED int suspects(const Job *job, int exact, const double *maxima, const double *sums, const double *distances, int64_t *again) {
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

/* Losses of n rows from their figures. */
INLINED void put_losses(const Job *job, int64_t i, int64_t n, int all_classes, Rows *rows) {
    double own[LANES], loss[LANES];
    log1p_of_sums(rows->others, rows->total);
    EACH_LANE loss[l] = rows->distance[l] + rows->total[l];
    if (all_classes || job->class_weight != NULL) {
        EACH_LANE own[l] = 0.0;
        for (int64_t r = 0; r < n; r++) own[r] = label_weight(job, i + r);
        EACH_LANE loss[l] = product(own[l], loss[l]);
    }
    if (all_classes) EACH_LANE loss[l] += rows->far[l] + product(rows->mass[l], rows->total[l]);
    EACH_LANE loss[l] = isnan(rows->others[l]) ? NAN : loss[l]; /* the same NaN, whatever its bits were */
    if (n == LANES) EACH_LANE job->loss[i + l] = loss[l], job->maximum[i + l] = rows->m[l], job->others[i + l] = rows->others[l];
    else for (int64_t l = 0; l < n; l++) job->loss[i + l] = loss[l], job->maximum[i + l] = rows->m[l], job->others[i + l] = rows->others[l];
}

/* The same, with the distances of the labels, and sums again where that matters. */
FUNCTION void finish(const Job *job, int64_t i, int64_t n, int all_classes, Rows *rows) {
    int exact = job->first.kind != FLOAT64 && job->temperature == 1.0;
    int64_t again[LANES];
    if (job->form != SPARSE) EACH_LANE rows->distance[l] = 0.0;
    else if (exact) EACH_LANE rows->distance[l] = rows->m[l] - rows->at_label[l];
    else EACH_LANE rows->distance[l] = distance_from(job, rows->at_label[l], rows->m[l]);
    int any = suspects(job, exact, rows->m, rows->others, rows->distance, again);
    for (int64_t r = 0; any && r < n; r++)
        if (again[r])
            rows->others[r] = refined(job, &job->first, i + r, job->temperature, rows->m[r], rows->peak[r], rows->others[r]);
    put_losses(job, i, n, all_classes, rows);
}

/* Writes a strip of the gradient. There are several calls so that loops over whole strips have a known length. */
FUNCTION void put_strip(const Job *job, int64_t i, int64_t n, int64_t b, const double *factor, const double *values) {
    int64_t first = job->few ? b : b * LANES, left = job->k - first;
    if (job->few && n == LANES && left >= DEPTH) put_classes(job, i, LANES, first, DEPTH, factor, values);
    else if (job->few) put_classes(job, i, n, first, left < DEPTH ? left : DEPTH, factor, values);
    else if (left >= STRIP) put_classes(job, i, 1, first, STRIP, factor, values);
    else put_classes(job, i, 1, first, left, factor, values);
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
    int any_nan = 0;
    EACH_LANE any_nan |= isnan(factor[l]);
    Sum rest = NOTHING;
    steps_of_class(job, careful, omitted);
    for (int64_t b = 0; b < job->steps; b += DEPTH) {
        int64_t depth = depth_at(job, b);
        const double *e = scratch->e + b * LANES;
        if (!all_classes && !any_nan) {
            put_strip(job, i, n, b, factor, e);
            continue;
        }
        for (int64_t v = 0; v < depth * LANES; v += LANES) EACH_LANE g[v + l] = factor[l] * e[v + l];
        if (all_classes) {
            const double *a = weights_of(job, i, b, scratch->t, room);
            Vector terms[PARTS] = {{0}};
            for (int64_t v = 0; v < depth * LANES; v += LANES)
                UNROLLED for (int p = 0; p < PARTS; p++) {
                    Vector weight = vector_at(a + v + p * WIDTH), value = vector_at(g + v + p * WIDTH) - vector_at(scale + p * WIDTH) * weight;
                    memcpy(g + v + p * WIDTH, &value, sizeof value);
                    Bits left_out;
                    memcpy(&left_out, omitted + p * WIDTH, sizeof left_out);
                    terms[p] += (Vector)((Bits)weight & ~(left_out == b + v / LANES));
                }
            add(&rest, terms);
        }
        for (int64_t v = 0; any_nan && v < depth * LANES; v += LANES) EACH_LANE g[v + l] = isnan(factor[l]) ? NAN : g[v + l];
        put_strip(job, i, n, b, ONES, g);
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

INLINED void logits_rows(const Job *job, int wide, int full, const Scratch *scratch) {
    int all_classes = job->form == DENSE || job->uniform != NULL;
    int64_t loaded = job->few ? LANES : 1, together = full ? loaded : LANES; /* while the exponentials are there */
    Rows rows = {{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}};
    for (int64_t first = 0; first < job->n; first += together) {
        int64_t n = job->n - first < together ? job->n - first : together;
        for (int64_t r = 0; r < n; r += loaded) {
            int64_t i = first + r, some = job->few ? n : 1;
            Rows one, *now = loaded == together ? &rows : &one;
            Weighed weighed = {i, scratch->t, NOTHING, NOTHING};
            Panel panel = load(job, &job->first, i, some, wide, 1, -INFINITY, scratch->rows, scratch->z);
            if (job->few && job->form == DENSE) load_few(&job->second, i, n, job->k, 1, 0.0, scratch->rows, scratch->t);
            find_maxima(job, &panel, wide, now->m, now->peak);
            sum_exponentials(job, &panel, wide, full, now->m, now->peak, job->temperature, scratch->e, now->others,
                             all_classes ? &weighed : NULL);
            for (int64_t l = 0; job->form == SPARSE && l < some; l++)
                now->at_label[l] = job->few ? element(panel.copied, wide, job->labels[i + l] * LANES + l)
                                            : value_at(&job->first, i, job->labels[i]);
            if (all_classes) sums_of_rows(job, &weighed.far, now->far), sums_of_rows(job, &weighed.mass, now->mass);
            if (job->even != 0.0) EACH_LANE now->mass[l] = job->smoothing;
            if (now == &rows) continue;
            rows.m[r] = one.m[0], rows.others[r] = one.others[0], rows.peak[r] = one.peak[0], rows.at_label[r] = one.at_label[0];
            if (all_classes) rows.far[r] = one.far[0], rows.mass[r] = one.mass[0];
        }
        finish(job, first, n, all_classes, &rows);
        if (!full) continue;
        if (!job->few) EACH_LANE rows.others[l] = rows.others[0], rows.distance[l] = rows.distance[0], rows.total[l] = rows.total[0];
        differentiate(job, first, n, all_classes, &rows, scratch);
    }
}

/* ---- probabilities, and a teacher's outputs ---- */

/* `wide` unless it is of logits. */
INLINED Side side_of(const Job *job, const Array *array, int wide, int64_t i, int64_t n, double temperature, double *rows, double *z,
                     double *e) {
    int logits = array->holds == LOGITS, probs = array->holds == PROBS, exact = array->kind != FLOAT64 && temperature == 1.0;
    double others[LANES];
    int64_t again[LANES];
    Side side;
    side.panel = load(job, array, i, n, wide, !wide, probs ? 0.0 : -INFINITY, rows, z), side.e = e, side.temperature = temperature;
    find_maxima(job, &side.panel, wide, side.m, side.peak);
    if (logits) {
        sum_exponentials(job, &side.panel, wide, 1, side.m, side.peak, temperature, e, others, NULL);
        int any = suspects(job, exact, side.m, others, ZEROS, again);
        for (int64_t r = 0; any && r < n; r++)
            if (again[r])
                others[r] = refined(job, array, i + r, temperature, side.m[r], side.peak[r], others[r]);
        if (!job->few) EACH_LANE others[l] = others[0];
        log1p_of_sums(others, side.norm);
        EACH_LANE side.inverse[l] = 1.0 / (1.0 + others[l]);
        return side;
    }
    Sum invalid = NOTHING;
    for (int64_t b = 0; b < job->steps * LANES; b += LANES) {
        double count[LANES];
        if (probs) EACH_LANE count[l] = z[b + l] >= 0.0 ? 0.0 : 1.0;
        else EACH_LANE count[l] = isnan(z[b + l]) ? 1.0 : 0.0;
        add_lanes(&invalid, count);
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

/* Functions of their own, since compilers would repeat all of it wherever it is called. */
FUNCTION Side narrow_side(const Job *job, const Array *array, int64_t i, int64_t n, double temperature, double *rows, double *z, double *e) {
    return side_of(job, array, 0, i, n, temperature, rows, z, e);
}
FUNCTION Side wide_side(const Job *job, const Array *array, int64_t i, int64_t n, double temperature, double *rows, double *z, double *e) {
    return side_of(job, array, 1, i, n, temperature, rows, z, e);
}

FUNCTION void probability_rows(const Job *job, const Scratch *scratch) {
    int all_classes = job->form == DENSE || job->uniform != NULL;
    for (int64_t i = 0, n = job->few ? LANES : 1; i < job->n; i += n) {
        if (n > job->n - i) n = job->n - i;
        Side side = wide_side(job, &job->first, i, n, 1.0, scratch->rows, scratch->z, scratch->e);
        if (job->few && job->form == DENSE) load_few(&job->second, i, n, job->k, 1, 0.0, scratch->rows, scratch->t);
        Sum total = NOTHING;
        double loss[LANES], log_p[STRIP], p[STRIP], room[STRIP];
        for (int64_t b = 0; all_classes && b < job->steps; b += DEPTH) {
            const double *a = weights_of(job, i, b, scratch->t, room);
            double terms[LANES] = {0};
            distribution(&side, 1, b, depth_at(job, b), log_p, p);
            for (int64_t v = 0; v < depth_at(job, b) * LANES; v += LANES) EACH_LANE terms[l] += product(a[v + l], -log_p[v + l]);
            add_lanes(&total, terms);
        }
        sums_of_rows(job, &total, loss);
        for (int64_t r = 0; r < n; r++) {
            if (job->form == SPARSE)
                loss[r] += product(label_weight(job, i + r), -scratch->z[place_in_panel(job, r, job->labels[i + r])]);
            job->loss[i + r] = isnan(side.norm[r]) ? NAN : loss[r];
        }
    }
}

/* `difference`, where all is finite. */
INLINED Vector finite_difference(Vector v, Vector m, double temperature, int divided, Vector *error) {
    Vector d = v - m, back = v - d, lost = (v - (d + back)) + (back - m);
    if (divided) {
        Vector quotient = d / temperature;
        lost = (FUSED(-quotient, ALL(temperature), d) + lost) / temperature;
        d = quotient;
    }
    *error = lost;
    return d;
}

/* The sums of the first pass over a row: the loss, q with and without q_r, where r is the class of `peak`, the terms that give
   the shift of all u, and the number of u that overflow. */
typedef struct { Sum losses, masses, rests, moves, overflows; } Taught;

/* Loss and moves of `depth` steps of logits, and in `u` log(q/p) but for its shift. Returns whether all are finite, since it
   takes no care of infinities; the other sums are not needed then. */
INLINED int add_finite(const Side *student, const Side *teacher, int wide, const double *t_peak, const double *up, int divided, int64_t b,
                       int64_t depth, double *u, Vector *loss, Vector *move) {
    const void *z = strip_of(&student->panel, wide, b), *t = strip_of(&teacher->panel, wide, b);
    const double *e = student->e + b * LANES, *f = teacher->e + b * LANES;
    Vector finite = {0}; /* NaN as soon as anything is not */
    UNROLLED for (int x = 0; x < PARTS; x++) loss[x] = move[x] = ALL(0.0);
    for (int64_t v = 0; v < depth * LANES; v += LANES) {
        Vector each[PARTS], near[PARTS], p[PARTS];
        UNROLLED for (int x = 0; x < PARTS; x++) {
            int l = x * WIDTH;
            Vector own = loaded(z, wide, v + l), theirs = loaded(t, wide, v + l), lost, theirs_lost;
            Vector d = finite_difference(own, vector_at(student->m + l), student->temperature, divided, &lost);
            Vector taught = finite_difference(theirs, vector_at(t_peak + l), teacher->temperature, divided, &theirs_lost);
            each[x] = (taught - d) + (theirs_lost - lost);
            finite = FUSED(each[x], ALL(0.0), finite);
            memcpy(u + v + l, &each[x], sizeof each[x]);
            p[x] = vector_at(e + v + l) * vector_at(student->inverse + l);
            loss[x] += vector_at(f + v + l) * vector_at(teacher->inverse + l) * -(d - vector_at(student->norm + l));
            near[x] = WHERE(ABSOLUTE(each[x]) < 1.0, each[x]);
        }
        expm1_near(near);
        UNROLLED for (int x = 0; x < PARTS; x++) {
            Vector far = vector_at(f + v + x * WIDTH) * vector_at(up + x * WIDTH) - p[x];
            move[x] += PICKED(ABSOLUTE(each[x]) < 1.0, p[x] * near[x], far);
        }
    }
    int all = 1;
    for (int l = 0; l < WIDTH; l++) all &= finite[l] == 0.0;
    return all;
}

/* The same of any steps, and of outputs that are not logits; adds what `add_finite` found of earlier steps of the strip. */
FUNCTION void add_any(const Job *job, const Side *student, const Side *teacher, int wide, const double *t_peak, const double *up,
                      int64_t b, int64_t depth, double *u, const Vector *found_loss, const Vector *found_move, Taught *sums) {
    int both = job->first.holds == LOGITS && job->second.holds == LOGITS;
    const void *z = strip_of(&student->panel, wide, b), *t = strip_of(&teacher->panel, wide, b);
    double log_p[STRIP], p[STRIP], log_q[STRIP], q[STRIP];
    double loss[LANES], move[LANES], mass[LANES] = {0}, rest[LANES] = {0}, overflow[LANES] = {0};
    int64_t omitted[LANES];
    memcpy(loss, found_loss, sizeof loss);
    memcpy(move, found_move, sizeof move);
    steps_of_class(job, student->peak, omitted);
    distribution(student, wide, b, depth, log_p, p);
    distribution(teacher, wide, b, depth, log_q, q);
    for (int64_t j = 0, v = 0; j < depth; j++, v += LANES)
        EACH_LANE {
            loss[l] += product(q[v + l], -log_p[v + l]);
            mass[l] += q[v + l];
            rest[l] += omitted[l] == b + j ? 0.0 : q[v + l];
        }
    if (both) log_ratios(job, wide, depth, z, student->m, t, t_peak, u);
    for (int64_t v = 0; both && v < depth * LANES; v += LANES)
        EACH_LANE {
            double each = u[v + l], near = fabs(each) < 1.0 ? each : 0.0, moved = p[v + l] * expm1_of(near);
            move[l] += fabs(each) < 1.0 ? moved : teacher->e[b * LANES + v + l] * up[l] - p[v + l];
            double own = element(z, wide, v + l), theirs = element(t, wide, v + l);
            overflow[l] += (isinf(each) != 0) & (fabs(own) < INFINITY) & (fabs(theirs) < INFINITY);
        }
    add_lanes(&sums->losses, loss), add_lanes(&sums->masses, mass), add_lanes(&sums->rests, rest);
    add_lanes(&sums->moves, move), add_lanes(&sums->overflows, overflow);
}

/* log(q/p) of a strip without a shift: from the distributions, or from probabilities that are given. */
FUNCTION void plain_ratios(const Side *student, const Side *teacher, int wide, int64_t b, int64_t depth, int given, double *x) {
    double log_p[STRIP], p[STRIP], log_q[STRIP], q[STRIP];
    distribution(student, wide, b, depth, log_p, p);
    distribution(teacher, wide, b, depth, log_q, q);
    for (int64_t v = 0; v < depth * LANES; v++) x[v] = log_q[v] == log_p[v] ? 0.0 : log_q[v] - log_p[v]; /* also where both are -inf */
    for (int64_t v = 0; given && v < depth * LANES; v++) {
        int near = fabs(q[v] - p[v]) < p[v] / 2;
        double ratio = log1p_of(near ? (q[v] - p[v]) / p[v] : 0.0);
        x[v] = near ? ratio : x[v];
    }
}

/* Terms of the divergence of a step, q (x + exp(-x) - 1) = q x - q + p >= 0 with x = log(q/p): see divergence.py. Where
   exp(-x) is far from 1, p and q themselves are accurate enough. */
INLINED void divergence_terms(const Vector *x, const Vector *p, const Vector *q, Vector *terms) {
    Vector near[PARTS], less[PARTS], tail[PARTS];
    UNROLLED for (int v = 0; v < PARTS; v++) near[v] = WHERE(ABSOLUTE(x[v]) < 1.0, x[v]), less[v] = -near[v];
    expm1_near(less);
    UNROLLED for (int v = 0; v < PARTS; v++) tail[v] = ALL(DIVERGENCE_TAIL[0]);
    UNROLLED for (int c = 1; c < DIVERGENCE_TERMS; c++)
        UNROLLED for (int v = 0; v < PARTS; v++) tail[v] = FUSED(tail[v], near[v], ALL(DIVERGENCE_TAIL[c]));
    UNROLLED for (int v = 0; v < PARTS; v++) {
        Vector small = q[v] * near[v] * near[v] * tail[v], middle = q[v] * (near[v] + less[v]), far = q[v] * (x[v] - 1.0) + p[v];
        Vector term = PICKED(ABSOLUTE(x[v]) < 0.125, small, PICKED(ABSOLUTE(x[v]) < 1.0, middle, far));
        terms[v] += PICKED(q[v] == 0.0, p[v], LARGER(ALL(0.0), term));
    }
}

/* Gradients of a step: p - q = -p (exp(x) - 1) keeps its digits where the two are close. */
INLINED void gradients(const Vector *x, const Vector *p, const Vector *q, const double *mass, int both, double *g) {
    Vector near[PARTS];
    UNROLLED for (int v = 0; v < PARTS; v++) near[v] = WHERE(ABSOLUTE(x[v]) < 1.0, x[v]);
    expm1_near(near);
    UNROLLED for (int v = 0; v < PARTS; v++) {
        Vector far = (both ? p[v] : vector_at(mass + v * WIDTH) * p[v]) - q[v];
        Vector each = both ? PICKED(ABSOLUTE(x[v]) < 1.0, -p[v] * near[v], far) : far;
        memcpy(g + v * WIDTH, &each, sizeof each);
    }
}

/* Loss and divergence of n rows from i on, and their gradient: see distillation.py. */
INLINED void teacher_rows(const Job *job, int wide, const Scratch *scratch) {
    int both = !wide || (job->first.holds == LOGITS && job->second.holds == LOGITS);
    int given = job->first.holds == PROBS && job->second.holds == PROBS;
    int divided = job->temperature != 1.0 || job->teacher_temperature != 1.0;
    for (int64_t i = 0, n = job->few ? LANES : 1; i < job->n; i += n) {
        if (n > job->n - i) n = job->n - i;
        Side (*side)(const Job *, const Array *, int64_t, int64_t, double, double *, double *, double *) = wide ? wide_side : narrow_side;
        Side student = side(job, &job->first, i, n, job->temperature, scratch->rows, scratch->z, scratch->e);
        Side teacher = side(job, &job->second, i, n, job->teacher_temperature, scratch->rows, scratch->t, scratch->f);
        double scale[LANES], t_peak[LANES], up[LANES];
        EACH_LANE {
            int64_t row = row_of(job, i, n, l);
            scale[l] = (job->scale == NULL ? 1.0 : job->scale[row]) / job->temperature;
            t_peak[l] = value_at(&job->second, row, student.peak[l]);
        }
        /* With r the class of `peak`, p_r exp((t_j - t_r)/T) is up exp((t_j - m)/T). */
        EACH_LANE up[l] = exp_full((teacher.m[l] - t_peak[l]) / job->teacher_temperature - student.norm[l]);

        Taught sums = {NOTHING, NOTHING, NOTHING, NOTHING, NOTHING};
        for (int64_t b = 0; b < job->steps; b += DEPTH) {
            int64_t depth = depth_at(job, b), whole = job->few ? depth : job->k / LANES - b; /* padding is not finite */
            Vector loss_of[PARTS], move_of[PARTS];
            double *u = scratch->u + b * LANES;
            if (whole > depth) whole = depth;
            if (!both || !add_finite(&student, &teacher, wide, t_peak, up, divided, b, whole, u, loss_of, move_of)) {
                UNROLLED for (int x = 0; x < PARTS; x++) loss_of[x] = move_of[x] = ALL(0.0);
                whole = 0;
            }
            if (whole == depth) add(&sums.losses, loss_of), add(&sums.moves, move_of);
            else add_any(job, &student, &teacher, wide, t_peak, up, b + whole, depth - whole, u + whole * LANES, loss_of, move_of, &sums);
        }
        double loss[LANES], mass[LANES], rest[LANES], shift[LANES], overflow[LANES], kl[LANES];
        sums_of_rows(job, &sums.losses, loss), sums_of_rows(job, &sums.masses, mass), sums_of_rows(job, &sums.rests, rest);
        sums_of_rows(job, &sums.moves, shift), sums_of_rows(job, &sums.overflows, overflow);
        EACH_LANE shift[l] = log1p_of(shift[l]);
        EACH_LANE shift[l] = overflow[l] > 0.0 || !both ? INFINITY : shift[l];
        int shifted = 1, any_nan = 0;
        EACH_LANE shifted &= fabs(shift[l]) < INFINITY, any_nan |= isnan(loss[l]);

        /* The divergence and the gradient. */
        Sum terms = NOTHING;
        for (int64_t b = 0; b < job->steps; b += DEPTH) {
            int64_t depth = depth_at(job, b);
            const double *e = scratch->e + b * LANES, *f = scratch->f + b * LANES, *u = scratch->u + b * LANES;
            double g[STRIP], plain[STRIP];
            Vector term[PARTS];
            UNROLLED for (int part = 0; part < PARTS; part++) term[part] = ALL(0.0);
            if (!shifted) {
                plain_ratios(&student, &teacher, wide, b, depth, given, plain);
                for (int64_t v = 0; v < depth * LANES; v += LANES)
                    EACH_LANE plain[v + l] = fabs(shift[l]) < INFINITY ? u[v + l] - shift[l] : plain[v + l];
            }
            for (int64_t v = 0; v < depth * LANES; v += LANES) {
                Vector own[PARTS], taught[PARTS], x[PARTS];
                UNROLLED for (int part = 0; part < PARTS; part++) {
                    int l = part * WIDTH;
                    own[part] = vector_at(e + v + l) * vector_at(student.inverse + l);
                    taught[part] = vector_at(f + v + l) * vector_at(teacher.inverse + l);
                    x[part] = shifted ? vector_at(u + v + l) - vector_at(shift + l) : vector_at(plain + v + l);
                }
                if (job->normal) divergence_terms(x, own, taught, term);
                else UNROLLED for (int part = 0; part < PARTS; part++) term[part] += WHERE(taught[part] != 0.0, taught[part] * x[part]);
                if (job->gradient != NULL) gradients(x, own, taught, mass, both, g + v);
            }
            add(&terms, term);
            for (int64_t v = 0; any_nan && v < depth * LANES; v += LANES) EACH_LANE g[v + l] = isnan(loss[l]) ? NAN : g[v + l];
            if (job->gradient != NULL) put_strip(job, i, n, b, scale, g);
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
    int logits = job->first.holds == LOGITS && job->second.holds == LOGITS;
    if (job->form == TEACHER && logits && !wide && job->second.kind != FLOAT64) teacher_rows(job, 0, scratch);
    else if (job->form == TEACHER) teacher_rows(job, 1, scratch);
    else if (job->first.holds != LOGITS) probability_rows(job, scratch);
    else if (wide && full) logits_rows(job, 1, 1, scratch);
    else if (wide) logits_rows(job, 1, 0, scratch);
    else if (full) logits_rows(job, 0, 1, scratch);
    else logits_rows(job, 0, 0, scratch);
}

/* ---- exact sums ---- */

/* Parts of the sum of n values, at most 2**15, or of their squares, without a rounding: `parts` [ROUNDS] add up to it, if
   the value returned is 0. Each value is below 2**exponent; adding and subtracting 1.5 * 2**(exponent + 17) cuts off its
   leading 35 bits, whose sum is exact, and what is left is below 2**(exponent - 35). See exact_sum.py. */
FUNCTION double exact_parts(const double *values, int64_t n, int squares, int exponent, double *parts) {
    double sums[ROUNDS][LANES] = {{0}}, left[LANES] = {0}, sigma[ROUNDS], uncut = 0.0;
    for (int r = 0; r < ROUNDS; r++) sigma[r] = ldexp(1.5, exponent + 17 - 35 * r);
    for (int64_t i = 0; i < n; i += LANES) {
        double x[LANES], error[LANES] = {0};
        EACH_LANE x[l] = i + l < n ? values[i + l] : 0.0;
        if (squares)
            EACH_LANE {
                double square = x[l] * x[l];
                error[l] = FMA(x[l], x[l], -square);
                x[l] = square;
            }
        for (int r = 0; r < ROUNDS; r++)
            EACH_LANE {
                double cut = (x[l] + sigma[r]) - sigma[r], cut_error = (error[l] + sigma[r]) - sigma[r];
                x[l] -= cut;
                error[l] -= cut_error;
                sums[r][l] += cut + cut_error;
            }
        EACH_LANE left[l] += fabs(x[l]) + fabs(error[l]);
    }
    for (int r = 0; r < ROUNDS; r++) {
        parts[r] = 0.0;
        for (int l = 0; l < LANES; l++) parts[r] += sums[r][l];
    }
    for (int l = 0; l < LANES; l++) uncut += left[l];
    return uncut;
}
