/* Losses of many rows that lie class by class, [k, n] in memory, while pieces of their classes pass by: each value is read
   twice, and what is kept of a row is its sums. The operations on a row, and their order, are those of softmax.h,
   whose functions do them with LANES rows in place of LANES classes side by side. */

/* A class of `some` rows as float64 (wide) or float32; what is beyond them is 0. */
INLINE void load_rows(const char *from, int kind, int64_t some, int wide, void *to) {
    char room[8 * LANES] = {0};
    if (some < LANES) {
        memcpy(room, from, (size_t)some * (kind == FLOAT64 ? 8 : kind == FLOAT32 ? 4 : 2));
        from = room;
    }
    if (wide) memcpy(to, from, 8 * LANES);
    else if (kind == FLOAT32) memcpy(to, from, 4 * LANES);
    else if (kind == FLOAT16) EACH_LANE ((float *)to)[l] = widened(((const uint16_t *)from)[l]);
    else EACH_LANE ((float *)to)[l] = shifted(((const uint16_t *)from)[l]);
}

#define MAXIMA_OF_PIECE(type, integer)                                                                                 \
    type top[LANES], bottom[LANES], least[LANES], z[LANES];                                                            \
    integer at[LANES], nan[LANES] = {0}, any_nan = 0;                                                                  \
    EACH_LANE top[l] = (type)rows->top[l], bottom[l] = (type)rows->bottom[l], least[l] = (type)rows->least[l], at[l] = -1; \
    for (integer j = 0; j < (integer)piece->count; j++) {                                                              \
        load_rows(from + j * piece->from_class, kind, some, wide, z);                                                  \
        EACH_LANE {                                                                                                    \
            type size = z[l] < 0 ? -z[l] : z[l];                                                                       \
            at[l] = z[l] > top[l] ? j : at[l];                                                                         \
            top[l] = z[l] > top[l] ? z[l] : top[l];                                                                    \
            bottom[l] = z[l] < bottom[l] ? z[l] : bottom[l];                                                           \
            least[l] = ((size > 0) & (size < least[l])) ? size : least[l];                                               \
            nan[l] |= z[l] != z[l];                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_LANE rows->top[l] = (double)top[l], rows->bottom[l] = (double)bottom[l], rows->least[l] = (double)least[l];   \
    EACH_LANE rows->peak[l] = at[l] >= 0 ? piece->first + at[l] : rows->peak[l];                                       \
    EACH_LANE any_nan |= nan[l];                                                                                       \
    for (int64_t j = piece->count; any_nan && j-- > 0;) {                                                              \
        load_rows(from + j * piece->from_class, kind, some, wide, z);                                                  \
        EACH_LANE nan[l] = z[l] != z[l] ? (integer)(j + 1) : nan[l];                                                   \
    }                                                                                                                  \
    EACH_LANE rows->nan[l] = rows->nan[l] < 0 && nan[l] > 0 ? piece->first + nan[l] - 1 : rows->nan[l];

INLINE void see_maxima(const Piece *piece, const char *from, int kind, int64_t some, int wide, SlabRows *rows) {
    if (wide) { MAXIMA_OF_PIECE(double, int64_t) }
    else { MAXIMA_OF_PIECE(float, int32_t) }
}

/* Adds the classes that rank before the label: a tie goes to the lower class. */
#define RANKS_OF_PIECE(type, integer)                                                                                  \
    type own[LANES], z[LANES];                                                                                         \
    integer ahead[LANES] = {0}, label[LANES];                                                                         \
    EACH_LANE own[l] = (type)rows->own[l], label[l] = (integer)(labels[l] - piece->first);                             \
    for (integer j = 0; j < (integer)piece->count; j++) {                                                              \
        load_rows(from + j * piece->from_class, kind, some, wide, z);                                                  \
        EACH_LANE ahead[l] += (z[l] > own[l]) | ((z[l] == own[l]) & (j < label[l]));                                   \
    }                                                                                                                  \
    EACH_LANE rows->ahead[l] += ahead[l];

INLINE void see_ranks(const Piece *piece, const char *from, int kind, int64_t some, int wide, const int64_t *labels, SlabRows *rows) {
    if (wide) { RANKS_OF_PIECE(double, int64_t) }
    else { RANKS_OF_PIECE(float, int32_t) }
}

/* One lane of a strip from step b on: classes LANES apart. */
INLINE void add_lane(const Job *job, const char *from, int64_t from_class, int kind, int64_t some, int wide, int64_t b, int l_,
                     int omit, const SlabRows *rows, void *sums) {
    double z[STRIP], d[STRIP + LANES];
    Sum total;
    int64_t depth = depth_at(job, b), omitted[LANES];
    for (int64_t j = 0; j < depth; j++) {
        void *to = offset(z, wide, j * LANES);
        if ((b + j) * LANES + l_ < job->k) load_rows(from + (j * LANES + l_) * from_class, kind, some, wide, to);
        else EACH_LANE set(to, wide, l, -INFINITY); /* padding */
    }
    differences(z, wide, depth, rows->top, job->temperature, d);
    if (omit) EACH_LANE omitted[l] = rows->peak[l] % LANES == l_ ? rows->peak[l] / LANES : -1;
    memcpy(&total, sums, sizeof total);
    if (omit) add_exponentials(d, depth, b, 1, omitted, 0, NULL, &total);
    else add_exponentials(d, depth, b, 0, NULL, 0, NULL, &total);
    memcpy(sums, &total, sizeof total);
}

INLINE void see_sums(const Piece *piece, const char *from, int kind, int64_t some, int wide, SlabRows *rows) {
    for (int64_t j = 0; j < piece->count; j += STRIP) {
        int64_t b = (piece->first + j) / LANES;
        int omit = 0;
        EACH_LANE omit |= rows->peak[l] / STRIP * DEPTH == b;
        for (int lane = 0; lane < LANES; lane++)
            add_lane(piece->job, from + j * piece->from_class, piece->from_class, kind, some, wide, b, lane, omit, rows, &rows->sums[lane]);
    }
}

FUNCTION void all_of_piece(const Piece *piece) {
    const Job *job = piece->job;
    int kind = job->first.kind;
    int64_t size = kind == FLOAT64 ? 8 : kind == FLOAT32 ? 4 : 2;
    SlabRows *rows = piece->rows;
    for (int64_t i = 0; i < job->n; i += LANES, rows++) {
        int64_t some = job->n - i < LANES ? job->n - i : LANES, labels[LANES] = {0};
        const char *from = piece->from + i * size;
        memcpy(labels, job->labels + i, 8 * (size_t)some);
        if (!piece->second && piece->first == 0) {
            memset(rows, 0, sizeof *rows);
            EACH_LANE rows->top[l] = -INFINITY, rows->bottom[l] = rows->least[l] = INFINITY, rows->nan[l] = -1;
        }
        if (!piece->second) {
            Array classes = {from, kind, LOGITS, size, piece->from_class};
            for (int64_t r = 0; r < some; r++)
                if (labels[r] >= piece->first && labels[r] < piece->first + piece->count)
                    rows->own[r] = value_at(&classes, r, labels[r] - piece->first);
        }
#define SEEN(kind, some, wide)                                                                                         \
    if (!piece->second) see_maxima(piece, from, kind, some, wide, rows);                                               \
    else {                                                                                                             \
        see_sums(piece, from, kind, some, wide, rows);                                                                 \
        if (piece->ranks) see_ranks(piece, from, kind, some, wide, labels, rows);                                      \
    }
        if (kind == FLOAT64) { SEEN(FLOAT64, some, 1) }
        else if (kind == FLOAT32 && some == LANES) { SEEN(FLOAT32, LANES, 0) }
        else if (kind == FLOAT16 && some == LANES) { SEEN(FLOAT16, LANES, 0) }
        else if (kind == BFLOAT16 && some == LANES) { SEEN(BFLOAT16, LANES, 0) }
        else { SEEN(kind, some, 0) }
#undef SEEN
    }
}

/* Losses of all rows from what is known of them; `again` [n] tells where `refined` may have to see the row. */
FUNCTION void all_of_slab(const Job *job, const SlabRows *rows, int64_t *peak, int64_t *ahead, char *again) {
    int exact = job->first.kind != FLOAT64 && job->temperature == 1.0;
    for (int64_t i = 0; i < job->n; i += LANES, rows++) {
        int64_t some = job->n - i < LANES ? job->n - i : LANES;
        int64_t doubtful[LANES];
        int apart[LANES];
        Rows found = {{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}};
        for (int64_t r = 0; r < some; r++) {
            double lanes[2][LANES];
            Sum row;
            EACH_LANE lanes[0][l] = rows->sums[l].sum[r], lanes[1][l] = rows->sums[l].lost[r];
            memcpy(&row, lanes, sizeof row);
            double m = rows->top[r], others = isfinite(m) ? sum_across(&row) : NAN, size = fabs(m);
            found.m[r] = m, found.others[r] = others;
            found.distance[r] = distance_from(job, rows->own[r], m);
            apart[r] = rows->least[r] < size * 0x1p-28 || size < fabs(rows->bottom[r]) * 0x1p-28;
            peak[i + r] = rows->nan[r] < 0 ? rows->peak[r] : rows->nan[r];
            ahead[i + r] = rows->nan[r] >= 0 ? INT64_MAX : rows->ahead[r];
        }
        suspects(job, exact, found.m, found.others, found.distance, doubtful);
        for (int64_t r = 0; r < some; r++) again[i + r] = doubtful[r] && (!exact || found.others[r] < FAINT || apart[r]);
        put_losses(job, i, some, 0, &found);
    }
}
