/* Conversions between float32 and the dtypes of 16 bits, rounded to nearest, ties to even, and sums that are rounded to a
   dtype after every addition. */

INLINE uint16_t as_float16(float x) {
    uint32_t word = word_of(x), sign = word >> 16 & 0x8000, size = word & 0x7fffffff;
    /* Adding 1/2 leaves a multiple of 2**-24, the least half, in the last bits. */
    uint32_t small = word_of(from_word(size) + 0.5f) - word_of(0.5f);
    uint32_t usual = (size + 0xfff + (size >> 13 & 1) - (112u << 23)) >> 13;
    uint32_t half = size < 113u << 23 ? small : size < 143u << 23 ? usual : size > 255u << 23 ? 0x7e00 : 0x7c00;
    return (uint16_t)(sign | half);
}

INLINE uint16_t as_bfloat16(float x) {
    uint32_t word = word_of(x), rounded = (word + 0x7fff + (word >> 16 & 1)) >> 16;
    return (uint16_t)((word & 0x7fffffff) > 255u << 23 ? (word >> 16 & 0x8000) | 0x7fc0 : rounded);
}

/* A float32 rounded to a significand that is `drop` bits shorter: see textbook_formula.py. */
INLINE float cut(float x, int drop) {
    uint32_t word = word_of(x);
    word += (word >> drop & 1) + ((1u << (drop - 1)) - 1);
    return from_word(word & (0xffffffffu << drop));
}

/* Sums of rows [n, k] from left to right, of LANES rows at a time; each is turned into a column of a block first. */
#define SUMS_IN_TURN(type, stored, value_of, rounded)                                                                  \
    for (int64_t i = 0; i < n; i += LANES) {                                                                           \
        type total[LANES] = {0}, block[LANES][LANES] = {{0}};                                                          \
        int64_t some = n - i < LANES ? n - i : LANES;                                                                  \
        for (int64_t j = 0; j < k; j += LANES) {                                                                       \
            int64_t width = k - j < LANES ? k - j : LANES;                                                             \
            for (int64_t r = 0; r < some; r++) {                                                                       \
                const stored *row = (const stored *)from + (i + r) * k + j;                                            \
                for (int64_t q = 0; q < width; q++) block[q][r] = value_of(row[q]);                                    \
            }                                                                                                          \
            for (int64_t q = 0; q < width; q++) EACH_LANE total[l] = rounded(total[l] + block[q][l]);                  \
        }                                                                                                              \
        for (int64_t r = 0; r < some; r++) ((type *)to)[i + r] = total[r];                                             \
    }
#define CUT_TO_FLOAT16(x) cut(x, 13)
#define CUT_TO_BFLOAT16(x) cut(x, 16)

/* Sums of dtypes of 16 bits are float32. */
FUNCTION void all_in_turn(const void *from, int kind, int64_t n, int64_t k, void *to) {
    if (kind == FLOAT64) { SUMS_IN_TURN(double, double, AS_IT_IS, AS_IT_IS) }
    else if (kind == FLOAT32) { SUMS_IN_TURN(float, float, AS_IT_IS, AS_IT_IS) }
    else if (kind == FLOAT16) { SUMS_IN_TURN(float, uint16_t, widened, CUT_TO_FLOAT16) }
    else { SUMS_IN_TURN(float, uint16_t, shifted, CUT_TO_BFLOAT16) }
}

FUNCTION void convert_all(const void *from, int kind, int64_t n, void *to, int to_kind) {
    const uint16_t *halves = from;
    const float *floats = from;
    if (to_kind == FLOAT32 && kind == FLOAT16) for (int64_t i = 0; i < n; i++) ((float *)to)[i] = widened(halves[i]);
    else if (to_kind == FLOAT32) for (int64_t i = 0; i < n; i++) ((float *)to)[i] = shifted(halves[i]);
    else if (to_kind == FLOAT16) for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i] = as_float16(floats[i]);
    else for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i] = as_bfloat16(floats[i]);
}
