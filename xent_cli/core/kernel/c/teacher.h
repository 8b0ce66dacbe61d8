/* Losses of a student and its divergence from a teacher, and their gradient: see distillation.py and divergence.py. */

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

/* `difference`, where all is finite. */
INLINE Vector finite_difference(Vector v, Vector m, double temperature, int divided, Vector *error) {
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

/* Loss and moves of `depth` steps of logits, and in `u` log(q/p) but for its shift. Returns whether all are finite; if
   not, `add_any` must do these steps. Masses and rests are needed only where the outputs are not logits. */
INLINE int add_finite(const Side *student, const Side *teacher, int wide, const double *t_peak, const double *up, int divided, int64_t b,
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
INLINE void divergence_terms(const Vector *x, const Vector *p, const Vector *q, Vector *terms) {
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
INLINE void gradients(const Vector *x, const Vector *p, const Vector *q, const double *mass, int both, double *g) {
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
INLINE void teacher_rows(const Job *job, int wide, const Scratch *scratch) {
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
            if (job->gradient == NULL) continue;
            for (int64_t v = 0; any_nan && v < depth * LANES; v += LANES) EACH_LANE g[v + l] = isnan(loss[l]) ? NAN : g[v + l];
            put_strip(job, i, n, b, scale, g);
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
