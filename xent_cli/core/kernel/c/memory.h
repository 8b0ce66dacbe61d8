/* Values in memory: read one by one, copied as float64 or float32, and transposed. */

INLINE float widened(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, bits = half & 0x7fffu;
    float unit = from_word(113u << 23); /* 2**-14: subnormal halves are a fraction of it */
    float small = from_word((bits << 13) + (113u << 23)) - unit;
    uint32_t tiny = word_of(small), word = (bits << 13) + (bits >= 0x7c00 ? 224u << 23 : 112u << 23); /* the first if inf or NaN */
    return from_word((bits < 0x400 ? tiny : word) | sign);
}

INLINE float shifted(uint16_t bfloat16) { return from_word((uint32_t)bfloat16 << 16); }

INLINE double value_at(const Array *array, int64_t i, int64_t j) {
    const char *at = array->data + i * array->row + j * array->step;
    if (array->kind == FLOAT64) return *(const double *)at;
    if (array->kind == FLOAT32) return *(const float *)at;
    return array->kind == FLOAT16 ? widened(*(const uint16_t *)at) : shifted(*(const uint16_t *)at);
}

INLINE double element(const void *panel, int wide, int64_t at) {
    return wide ? ((const double *)panel)[at] : (double)((const float *)panel)[at];
}

INLINE void set(void *panel, int wide, int64_t at, double value) {
    if (wide) ((double *)panel)[at] = value;
    else ((float *)panel)[at] = (float)value;
}

INLINE void *offset(void *panel, int wide, int64_t at) { return (char *)panel + (wide ? 8 : 4) * at; }

/* Transpose a block, 4 by 4 or 2 by 2. */
INLINE void turn_4_by_4(const char *from, int64_t row, Quad *out) {
    Quad in[4];
    for (int q = 0; q < 4; q++) memcpy(&in[q], from + q * row, 16);
    Quad a = MIXED(in[0], in[1], 0, 4, 1, 5), b = MIXED(in[0], in[1], 2, 6, 3, 7);
    Quad x = MIXED(in[2], in[3], 0, 4, 1, 5), y = MIXED(in[2], in[3], 2, 6, 3, 7);
    out[0] = MIXED(a, x, 0, 1, 4, 5), out[1] = MIXED(a, x, 2, 3, 6, 7);
    out[2] = MIXED(b, y, 0, 1, 4, 5), out[3] = MIXED(b, y, 2, 3, 6, 7);
}

INLINE void turn_2_by_2(const char *from, int64_t row, Pair *out) {
    Pair in[2];
    for (int q = 0; q < 2; q++) memcpy(&in[q], from + q * row, 16);
    out[0] = MIXED(in[0], in[1], 0, 2), out[1] = MIXED(in[0], in[1], 1, 3);
}

/* Columns of `from`, whose rows are `row` bytes apart, become rows of `to`, which are `to_row` values apart. If `rows` or
   `columns` is not a multiple of the side of a block, blocks at the edge are read whole and written in part. */
#define TURN(name, turn_block, Value, Vector)                                                                          \
    INLINE void name(const char *from, int64_t row, int64_t rows, int64_t columns, Value *to, int64_t to_row) {        \
        enum { SIDE = sizeof(Vector) / sizeof(Value) };                                                                \
        for (int64_t r = 0; r < rows; r += SIDE)                                                                       \
            for (int64_t c = 0; c < columns; c += SIDE) {                                                              \
                Vector out[SIDE];                                                                                      \
                turn_block(from + r * row + c * (int64_t)sizeof(Value), row, out);                                     \
                for (int q = 0; q < SIDE; q++)                                                                         \
                    if (r + SIDE <= rows && c + q < columns) memcpy(to + (c + q) * to_row + r, &out[q], sizeof out[q]); \
                    else if (c + q < columns) memcpy(to + (c + q) * to_row + r, &out[q], (size_t)(rows - r) * sizeof(Value)); \
            }                                                                                                          \
    }

TURN(turn_narrow, turn_4_by_4, float, Quad)
TURN(turn_wide, turn_2_by_2, double, Pair)

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
