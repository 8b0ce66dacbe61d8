/* What each class weighs in the loss of its row. */

/* A weight times those of the classes, as a panel; padding is 0. */
static void spread(const Job *job, double weight, double *panel) {
    int64_t copies = job->few ? LANES : 1;
    for (int64_t v = 0; v < job->steps * LANES; v++) {
        double of_class = job->class_weight == NULL || v >= job->k * copies ? 1.0 : job->class_weight[v / copies];
        panel[v] = v < job->k * copies ? weight * of_class : 0.0;
    }
}

INLINE double label_weight(const Job *job, int64_t i) {
    if (job->form != SPARSE) return 0.0;
    double kept = 1.0 - job->smoothing;
    return job->class_weight == NULL ? kept : kept * job->class_weight[job->labels[i]];
}

/* The weight of a class in the loss of a row, besides that of a sparse label. */
INLINE double weight_at(const Job *job, int64_t i, int64_t j) {
    int64_t at = place_in_panel(job, 0, j);
    if (job->form == SPARSE) return job->uniform[at];
    double q = value_at(&job->second, i, j);
    return job->kept == NULL ? q : FMA(job->kept[at], q, job->uniform[at]);
}

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
INLINE void weigh(const Job *job, const double *d, int64_t b, Weighed *weighed) {
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
