/* Panels: rows of arrays put into lanes, and gradients from lanes into memory. kernel.h says what a panel is. */

/* The row of a lane; lanes that have none get the first one. */
INLINE int64_t row_of(const Job *job, int64_t i, int64_t n, int lane) { return job->few && lane < n ? i + lane : i; }

INLINE int64_t place_in_panel(const Job *job, int64_t r, int64_t j) { return job->few ? j * LANES + r : j; }

/* The steps at which lanes hold a given class of their row, -1 where none does. */
INLINE void steps_of_class(const Job *job, const int64_t *class, int64_t *step) {
    if (job->few) EACH_LANE step[l] = class[l];
    else EACH_LANE step[l] = class[0] % LANES == l ? class[0] / LANES : -1;
}

INLINE int64_t depth_at(const Job *job, int64_t b) { return job->steps - b < DEPTH ? job->steps - b : DEPTH; }

/* Whole strips of many classes are read where they are, if they are contiguous; the rest is copied, and padded. */
typedef struct {
    const char *direct, *copied;
    int64_t num_direct; /* steps */
    const char *next; /* memory of the rows after these */
    int64_t num_next; /* bytes that are contiguous there */
} Panel;

/* Asks for the share of a strip in the rows after these, which memory brings while this strip is computed. */
INLINE void fetch_ahead(const Job *job, const Panel *panel, int64_t b) {
    int64_t end = panel->num_next * (b + DEPTH) / job->steps;
    for (int64_t at = panel->num_next * b / job->steps; at < end && at < panel->num_next; at += 64) __builtin_prefetch(panel->next + at);
}

INLINE const void *strip_of(const Panel *panel, int wide, int64_t b) {
    return b < panel->num_direct ? panel->direct + b * LANES * (wide ? 8 : 4)
                                 : panel->copied + (b - panel->num_direct) * LANES * (wide ? 8 : 4);
}

/* Transposes DEPTH classes of LANES rows: in each 16 bytes 4 by 4 floats, or 2 by 2 doubles. */
INLINE void turn_strip(const char *from, int64_t row, int wide, void *to) {
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
    int64_t size = size_of(array->kind), width = wide ? 8 : 4, row = array->row;
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
INLINE Panel load(const Job *job, const Array *array, int64_t i, int64_t n, int wide, int share, double pad, double *rows, void *room) {
    int64_t size = size_of(array->kind), contiguous = array->step == size;
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

/* Writes a strip of the gradient. There are several calls so that loops over whole strips have a known length. */
FUNCTION void put_strip(const Job *job, int64_t i, int64_t n, int64_t b, const double *factor, const double *values) {
    int64_t first = job->few ? b : b * LANES, left = job->k - first;
    if (job->few && n == LANES && left >= DEPTH) put_classes(job, i, LANES, first, DEPTH, factor, values);
    else if (job->few) put_classes(job, i, n, first, left < DEPTH ? left : DEPTH, factor, values);
    else if (left >= STRIP) put_classes(job, i, 1, first, STRIP, factor, values);
    else put_classes(job, i, 1, first, left, factor, values);
}
