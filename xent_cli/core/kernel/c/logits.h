/* Losses of logits and their gradients, as cross_entropy.py computes them. */

/* Figures of LANES rows; of a single row in all lanes, if it has many classes and exponentials are kept. `distance` is
   (m - z_y)/T; `far` and `mass` are the sums of a_j (m - z_j)/T and of a_j over the classes, with a_j the weight of class j;
   `norm` is log(1 + others). */
typedef struct {
    double m[LANES], others[LANES], at_label[LANES], distance[LANES], far[LANES], mass[LANES], norm[LANES];
    int64_t peak[LANES];
} Rows;

/* (m - z_y)/T of the label, whose logit is z_y. */
INLINE double distance_from(const Job *job, double at_label, double m) {
    if (job->first.kind != FLOAT64 && job->temperature == 1.0) return m - at_label;
    return (m / 2 - at_label / 2) / (job->temperature / 2);
}

/* Losses of n rows from their figures. */
INLINE void put_losses(const Job *job, int64_t i, int64_t n, int all_classes, Rows *rows) {
    double own[LANES], loss[LANES];
    log1p_of_sums(rows->others, rows->norm);
    EACH_LANE loss[l] = rows->distance[l] + rows->norm[l];
    if (all_classes || job->class_weight != NULL) {
        EACH_LANE own[l] = 0.0;
        for (int64_t r = 0; r < n; r++) own[r] = label_weight(job, i + r);
        EACH_LANE loss[l] = product(own[l], loss[l]);
    }
    if (all_classes) EACH_LANE loss[l] += rows->far[l] + product(rows->mass[l], rows->norm[l]);
    EACH_LANE loss[l] = isnan(rows->others[l]) ? NAN : loss[l]; /* the same NaN, whatever its bits were */
    if (n == LANES) EACH_LANE job->loss[i + l] = loss[l], job->maximum[i + l] = rows->m[l], job->others[i + l] = rows->others[l];
    else for (int64_t l = 0; l < n; l++) job->loss[i + l] = loss[l], job->maximum[i + l] = rows->m[l], job->others[i + l] = rows->others[l];
}

/* The same, after what they need: the distance of each label, and sums again where the rounding of z - m would show. */
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

/* The gradient A p_j - a_j of n rows from their exponentials: see the end of cross_entropy.py. */
FUNCTION void differentiate(const Job *job, int64_t i, int64_t n, int all_classes, const Rows *rows, const Scratch *scratch) {
    int64_t careful[LANES], omitted[LANES];
    double scale[LANES], own[LANES], factor[LANES], p_minus_1[LANES], without[LANES], g[STRIP], room[STRIP];
    EACH_LANE {
        int64_t at = row_of(job, i, n, l);
        scale[l] = (job->scale == NULL ? 1.0 : job->scale[at]) / job->temperature;
        own[l] = label_weight(job, at);
        careful[l] = job->form == SPARSE ? job->labels[at] : rows->peak[l];
    }
    EACH_LANE {
        factor[l] = scale[l] * (own[l] + rows->mass[l]) / (1.0 + rows->others[l]);
        p_minus_1[l] = expm1_of(-(rows->distance[l] + rows->norm[l]));
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
        double value = scale[r] * own[r] * p_minus_1[r], e = scratch->e[place_in_panel(job, r, j)];
        if (all_classes)
            value = p_minus_1[r] < -0.5
                ? factor[r] * e - scale[r] * weight_at(job, i + r, j) - scale[r] * own[r]
                : scale[r] * (own[r] * p_minus_1[r] + (without[r] + rows->mass[r] * p_minus_1[r]));
        put(job, i + r, j, isnan(factor[r]) ? NAN : value);
    }
}

INLINE void logits_rows(const Job *job, int wide, int full, const Scratch *scratch) {
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
        if (!job->few) EACH_LANE rows.others[l] = rows.others[0], rows.distance[l] = rows.distance[0], rows.norm[l] = rows.norm[0];
        differentiate(job, first, n, all_classes, &rows, scratch);
    }
}
