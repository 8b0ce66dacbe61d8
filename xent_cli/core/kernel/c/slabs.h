/* Losses of many rows that lie class by class, [k, n] in memory, while pieces of their classes pass by: each value is read
   twice, and what is kept of a row is its sums. The operations on a row, and their order, are those of softmax.h,
   whose functions do them with LANES rows in place of LANES classes side by side. */

/* A class of `some` rows as float64 (wide) or float32: where it is, or a copy in `room`, which is 0 beyond them. */
INLINE const void *class_of(const char *from, int kind, int64_t some, int wide, void *room) {
    int as_it_is = wide || kind == FLOAT32;
    uint16_t padded[LANES] = {0};
    if (as_it_is && some == LANES) return from;
    if (as_it_is || some < LANES) memcpy(as_it_is ? room : padded, from, (size_t)(some * size_of(kind)));
    const uint16_t *halves = some < LANES ? padded : (const uint16_t *)from;
    if (as_it_is) memset((char *)room + some * (wide ? 8 : 4), 0, (size_t)(LANES - some) * (wide ? 8 : 4));
    else if (kind == FLOAT16) EACH_LANE ((float *)room)[l] = widened(halves[l]);
    else EACH_LANE ((float *)room)[l] = shifted(halves[l]);
    return room;
}

#define MAXIMA_OF_PIECE(type, integer, Values, Places, LARGER_OF, SMALLER_OF)                                          \
    enum { LENGTH = sizeof(Values) / sizeof(type), COUNT = LANES / LENGTH };                                           \
    type room[LANES], tops[LANES], bottoms[LANES], leasts[LANES];                                                      \
    integer places[LANES], nans[LANES], any_nan = 0;                                                                   \
    Values top[COUNT], bottom[COUNT], least[COUNT], infinite = (Values){0} + (type)INFINITY, x;                        \
    Places at[COUNT], nan[COUNT] = {{0}};                                                                              \
    EACH_LANE tops[l] = (type)rows->top[l], bottoms[l] = (type)rows->bottom[l], leasts[l] = (type)rows->least[l];      \
    memcpy(top, tops, sizeof top), memcpy(bottom, bottoms, sizeof top), memcpy(least, leasts, sizeof top);             \
    UNROLLED for (int v = 0; v < COUNT; v++) at[v] = (Places){0} - 1;                                                  \
    for (integer j = 0; j < (integer)piece->count; j++) {                                                              \
        const char *z = class_of(from + j * piece->from_class, kind, some, wide, room);                                \
        UNROLLED for (int v = 0; v < COUNT; v++) {                                                                     \
            memcpy(&x, z + v * sizeof x, sizeof x);                                                                    \
            Places higher = x > top[v];                                                                                \
            at[v] = (higher & j) | (~higher & at[v]);                                                                  \
            top[v] = LARGER_OF(x, top[v]);                                                                             \
            bottom[v] = SMALLER_OF(x, bottom[v]);                                                                      \
            nan[v] |= x != x;                                                                                          \
            x = LARGER_OF(x, -x);                                                                                      \
            Places some_size = x > 0;                                                                                  \
            x = (Values)((some_size & (Places)x) | (~some_size & (Places)infinite));                                   \
            least[v] = SMALLER_OF(x, least[v]);                                                                        \
        }                                                                                                              \
    }                                                                                                                  \
    memcpy(tops, top, sizeof top), memcpy(bottoms, bottom, sizeof top), memcpy(leasts, least, sizeof top);             \
    memcpy(places, at, sizeof at), memcpy(nans, nan, sizeof nan);                                                      \
    EACH_LANE rows->top[l] = (double)tops[l], rows->bottom[l] = (double)bottoms[l], rows->least[l] = (double)leasts[l]; \
    EACH_LANE rows->peak[l] = places[l] >= 0 ? piece->first + places[l] : rows->peak[l];                               \
    EACH_LANE any_nan |= nans[l], nans[l] = 0;                                                                         \
    for (int64_t j = piece->count; any_nan && j-- > 0;) {                                                              \
        const type *z = class_of(from + j * piece->from_class, kind, some, wide, room);                                \
        EACH_LANE nans[l] = z[l] != z[l] ? (integer)(j + 1) : nans[l];                                                 \
    }                                                                                                                  \
    EACH_LANE rows->nan[l] = rows->nan[l] < 0 && nans[l] > 0 ? piece->first + nans[l] - 1 : rows->nan[l];

INLINE void see_maxima(const Piece *piece, const char *from, int kind, int64_t some, int wide, SlabRows *rows) {
    if (wide) { MAXIMA_OF_PIECE(double, int64_t, Vector, Bits, LARGER, SMALLER) }
    else { MAXIMA_OF_PIECE(float, int32_t, Floats, Words, LARGER_FLOAT, SMALLER_FLOAT) }
}

/* Adds the classes that rank before the label: a tie goes to the lower class. */
#define RANKS_OF_PIECE(type, integer)                                                                                  \
    type own[LANES], room[LANES];                                                                                      \
    integer ahead[LANES] = {0}, label[LANES];                                                                         \
    EACH_LANE own[l] = (type)rows->own[l], label[l] = (integer)(labels[l] - piece->first);                             \
    for (integer j = 0; j < (integer)piece->count; j++) {                                                              \
        const type *z = class_of(from + j * piece->from_class, kind, some, wide, room);                                \
        EACH_LANE ahead[l] += (z[l] > own[l]) | ((z[l] == own[l]) & (j < label[l]));                                   \
    }                                                                                                                  \
    EACH_LANE rows->ahead[l] += ahead[l];

INLINE void see_ranks(const Piece *piece, const char *from, int kind, int64_t some, int wide, const int64_t *labels, SlabRows *rows) {
    if (wide) { RANKS_OF_PIECE(double, int64_t) }
    else { RANKS_OF_PIECE(float, int32_t) }
}

/* One lane of a strip from step b on: classes LANES apart. */
INLINE void add_lane(const Job *job, const char *from, int64_t from_class, int kind, int64_t some, int wide, int64_t b, int lane,
                     int omit, const SlabRows *rows, void *sums) {
    double z[STRIP], d[STRIP + LANES];
    Sum total;
    int64_t depth = depth_at(job, b), omitted[LANES];
    for (int64_t j = 0; j < depth; j++) {
        void *to = offset(z, wide, j * LANES);
        const char *class = from + (j * LANES + lane) * from_class, *values;
        if ((b + j) * LANES + lane < job->k && (values = class_of(class, kind, some, wide, to)) != to) memcpy(to, values, (wide ? 8 : 4) * LANES);
        else EACH_LANE set(to, wide, l, -INFINITY); /* padding */
    }
    differences(z, wide, depth, rows->top, job->temperature, d);
    if (omit) EACH_LANE omitted[l] = rows->peak[l] % LANES == lane ? rows->peak[l] / LANES : -1;
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
    int64_t size = size_of(kind);
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

/* Losses of all rows from what is known of them; `again` [n] says which rows have to be read whole, so that `refined` can look at them. */
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
