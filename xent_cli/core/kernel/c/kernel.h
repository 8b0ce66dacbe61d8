/* What the module and the kernel have in common: what there is to do, and by which functions.

   The kernel is compiled once for each set of instructions: baseline.c, avx2.c and avx512.c say for which, and include
   variant.h, which includes all the rest.

   Bits. Only operations that IEEE 754 rounds correctly are used (+ - * / and fused multiply-add), in an order that
   depends on the number of classes alone, and no function of a math library that rounds: exp, log, log1p and expm1 are polynomials,
   derived by benchmarks/kernel_coefficients.py. So every set of instructions gives the same bits.

   Lanes. All work is done on vectors of LANES doubles, in loops of that length, which the compiler turns into whatever
   vectors there are. A panel is a sequence of such vectors, its steps. It holds either
     few classes:   LANES rows side by side; step j has class j of each row;
     many classes:  one row; step j has the classes from LANES*j on, and padding behind the last one.
   DEPTH steps are a strip, which fits the fastest cache; passes go strip by strip. What belongs to a row, such as its
   maximum, is a vector too; with many classes all lanes of it are equal. So most functions need not know which it is.
   Parameters that are constants where a function is inlined: `wide`, whether a panel is of float64 or of float32, and
   `full`, whether exponentials are kept for a gradient. */
#ifndef KERNEL_H
#define KERNEL_H
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, DEPTH = 8, STRIP = DEPTH * LANES, FEW_CLASSES = 128 };
enum { ROUNDS = 8, MOST_EXACT = 1 << 15 }; /* of exact sums */
enum { FLOAT64, FLOAT32, FLOAT16, BFLOAT16 }; /* compiled.py numbers dtypes so, */
enum { LOGITS, LOG_PROBS, PROBS }; /* what an array holds, */
enum { SPARSE, DENSE, TEACHER }; /* and what labels are */

static inline int64_t size_of(int kind) { return kind == FLOAT64 ? 8 : kind == FLOAT32 ? 4 : 2; } /* bytes */

typedef struct {
    const char *data;
    int kind, holds;
    int64_t row, step; /* strides in bytes, from row to row and from class to class */
} Array;

/* Working memory: panels of one row of many classes, or of LANES rows. They hold logits z and their exponentials e; t and f are
   the same of a teacher, or t is dense labels; u is log(q/p) but for its shift. `rows` holds LANES rows as they are in memory. */
typedef struct { double *z, *e, *t, *f, *rows, *u; } Scratch;

/* Losses of rows. */
typedef struct {
    Array first, second; /* logits or what is in their place; dense labels or a teacher's outputs */
    const int64_t *labels; /* [n] if they are sparse */
    int form; /* SPARSE, DENSE or TEACHER */
    int normal; /* whether both distributions sum to 1, so that the terms of their divergence can be >= 0 */
    int64_t n, k;
    double smoothing, temperature, teacher_temperature;
    const double *class_weight; /* [k] or NULL */
    double *loss, *maximum, *others, *kl; /* [n]; others is the sum of exp((z_j - m)/T) over all j but the first maximum */
    void *gradient; /* [n, k] or NULL */
    int gradient_wide; /* float64, else float32 */
    const double *scale; /* [n] or NULL */

    /* What follows from these: `prepare` sets it, or for pieces `see_piece`. */
    int few; /* whether k <= FEW_CLASSES */
    int64_t steps; /* of a panel */
    /* Class j has the weight kept_j q_j + uniform_j in the loss, with q a dense label; uniform_j besides its own if labels
       are sparse. Both are panels, or NULL where the weight is q_j or 0. */
    double *kept, *uniform, even; /* the last is uniform_j if it is the same for all classes, else 0 */
} Job;

/* What is known, after some of their classes, of LANES rows whose classes pass by in pieces: see slabs.h. */
typedef struct {
    struct { double sum[LANES], lost[LANES]; } sums[LANES]; /* of exponentials: what softmax.h has in lane l of one row is in sums[l], for LANES rows */
    double top[LANES], bottom[LANES], least[LANES], own[LANES]; /* maximum, minimum, least |z| > 0, logit of the label */
    int64_t peak[LANES], nan[LANES], ahead[LANES]; /* first maximum; first NaN or -1; how many rank before the label */
} SlabRows;

/* Classes `first` to `first` + count of the rows, `from_class` bytes apart; `second` says whether this is the second pass,
   and `ranks` whether labels are ranked in it. */
typedef struct {
    Job *job;
    const char *from;
    int64_t first, count, from_class;
    int second, ranks;
    SlabRows *rows;
} Piece;

/* The functions of one set of instructions. */
typedef struct {
    int (*losses)(Job *); /* whether there was memory for it */
    double (*sum)(const double *values, int64_t n, int squares, int exponent, double *parts); /* exact: exact_sums.h */
    void (*piece)(const Piece *);
    void (*slab)(const Job *, const SlabRows *, int64_t *peak, int64_t *ahead, char *again);
    void (*convert)(const void *from, int kind, int64_t n, void *to, int to_kind);
    void (*sums)(const void *from, int kind, int64_t n, int64_t k, void *to); /* rounded after each addition: conversions.h */
} Kernel;

#define HIDDEN __attribute__((visibility("hidden"))) /* outside this module */
extern HIDDEN const Kernel kernel_baseline, kernel_avx2, kernel_avx512;

/* Copies [k, n] as [n, k]: turn.c. */
typedef struct { const char *from; char *to; int64_t n, k, from_class, to_row; } Turn; /* the last two in bytes */
HIDDEN void turn_2(const Turn *), turn_4(const Turn *), turn_8(const Turn *); /* of values of 2, 4 or 8 bytes */
#endif
