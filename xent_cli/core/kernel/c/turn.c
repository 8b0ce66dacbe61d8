/* Arrays whose class axis is not the last, copied with the classes last. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernel.h"

enum { LINE = 64 }; /* bytes */

/* Writes a line past the cache: it is not read soon, and memory need not be read before all of it is overwritten. */
static void put_line(char *to, const char *line) {
#if defined(__x86_64__)
    if (((uintptr_t)to & 15) == 0) {
        for (int b = 0; b < LINE; b += 16) _mm_stream_si128((__m128i *)(to + b), _mm_load_si128((const __m128i *)(line + b)));
        return;
    }
#endif
    memcpy(to, line, LINE);
}

/* Lets other threads see what was written past the cache. */
static void finish_lines(void) {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

/* Copies [k, n] as [n, k], a line of each of four rows at a time. */
#define TURNED(name, Value)                                                                                            \
    void name(const Turn *turn) {                                                                                      \
        enum { WIDTH = LINE / sizeof(Value), ROWS = 4 };                                                               \
        for (int64_t i = 0; i < turn->n; i += ROWS)                                                                    \
            for (int64_t j = 0; j < turn->k; j += WIDTH) {                                                             \
                int64_t rows = turn->n - i < ROWS ? turn->n - i : ROWS, width = turn->k - j < WIDTH ? turn->k - j : WIDTH; \
                const char *from = turn->from + j * turn->from_class + i * (int64_t)sizeof(Value);                     \
                char *to = turn->to + i * turn->to_row + j * (int64_t)sizeof(Value);                                   \
                _Alignas(LINE) Value line[ROWS][WIDTH];                                                                \
                if (rows == ROWS && width == WIDTH) {                                                                  \
                    for (int y = 0; y < WIDTH; y++) {                                                                  \
                        Value values[ROWS];                                                                            \
                        memcpy(values, from + y * turn->from_class, sizeof values);                                    \
                        for (int x = 0; x < ROWS; x++) line[x][y] = values[x];                                         \
                    }                                                                                                  \
                    for (int x = 0; x < ROWS; x++) put_line(to + x * turn->to_row, (const char *)line[x]);             \
                } else                                                                                                 \
                    for (int64_t y = 0; y < width; y++)                                                                \
                        for (int64_t x = 0; x < rows; x++)                                                             \
                            memcpy(to + x * turn->to_row + y * (int64_t)sizeof(Value),                                 \
                                   from + y * turn->from_class + x * (int64_t)sizeof(Value), sizeof(Value));           \
            }                                                                                                          \
        finish_lines();                                                                                                \
    }

TURNED(turn_2, uint16_t)
TURNED(turn_4, uint32_t)
TURNED(turn_8, uint64_t)
