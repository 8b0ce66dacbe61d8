/* The distribution of a row of logits, log-probabilities or probabilities, and losses of the last two, as
   from_probabilities.py computes them. */

/* One of two distributions: log p_j = (z_j - m)/T - norm and p_j = e_j inverse. `norm` and `inverse` are NaN where a row
   is not a distribution. */
typedef struct {
    Panel panel;
    const double *e;
    double temperature, m[LANES], norm[LANES], inverse[LANES];
    int64_t peak[LANES];
} Side;

/* log p_j and p_j of a strip. */
INLINE void distribution(const Side *side, int wide, int64_t b, int64_t depth, double *log_p, double *p) {
    differences(strip_of(&side->panel, wide, b), wide, depth, side->m, side->temperature, log_p);
    for (int64_t v = 0; v < depth * LANES; v += LANES)
        EACH_LANE {
            log_p[v + l] -= side->norm[l];
            p[v + l] = side->e[b * LANES + v + l] * side->inverse[l];
        }
}

/* The distributions of rows i to i + n; exponentials or probabilities go to `e`. `wide` is 1 unless the rows are logits. */
INLINE Side side_of(const Job *job, const Array *array, int wide, int64_t i, int64_t n, double temperature, double *rows, double *z,
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

/* Functions of their own, as compilers would repeat `side_of` wherever it is called. */
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
