/* The kernel for one set of instructions: the file that includes this one has set KERNEL, its name, TARGET, the attribute of
   functions that use these instructions, and WIDTH, the number of doubles in a vector. */
#include "kernel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define FUNCTION TARGET static __attribute__((noinline)) /* else compilers repeat it wherever it is called */
#define INLINE TARGET static inline __attribute__((always_inline))
#define FMA __builtin_fma
/* A loop over lanes, which is to become vectors; unrolled before that, it would become 16 separate computations. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#define EACH_LANE _Pragma("clang loop unroll(disable)") for (int l = 0; l < LANES; l++)
#else
#define UNROLLED _Pragma("GCC unroll 16")
#define EACH_LANE _Pragma("GCC unroll 1") for (int l = 0; l < LANES; l++)
#endif

#include "scalars.h"
#include "vectors.h"
#include "memory.h"
#include "panels.h"
#include "sums.h"
#include "weights.h"
#include "softmax.h"
#include "logits.h"
#include "distributions.h"
#include "teacher.h"
#include "slabs.h"
#include "conversions.h"
#include "exact_sums.h"

/* Memory for the panels of a job, and what follows from its numbers; NULL if it cannot be had. */
FUNCTION double *prepare(Job *job, Scratch *scratch) {
    job->few = job->k <= FEW_CLASSES;
    job->steps = job->few ? job->k : (job->k + LANES - 1) / LANES;
    size_t panel = (size_t)(job->steps + DEPTH) * LANES;
    double *memory = malloc(7 * 8 * panel + 64); /* seven panels, and what aligning skips */
    if (memory == NULL) return NULL;
    double *aligned = (double *)(((uintptr_t)memory + 63) & ~(uintptr_t)63); /* vectors then lie in one line of the cache */
    *scratch = (Scratch){aligned, aligned + panel, aligned + 2 * panel, aligned + 3 * panel, aligned + 4 * panel, aligned + 5 * panel};
    if (job->form != TEACHER && (job->smoothing != 0.0 || (job->form == DENSE && job->class_weight != NULL))) {
        job->kept = aligned + 5 * panel; /* `u` is a teacher's */
        job->uniform = aligned + 6 * panel;
        spread(job, 1.0 - job->smoothing, job->kept);
        spread(job, job->smoothing / (double)job->k, job->uniform);
        if (job->form == SPARSE && job->class_weight == NULL) job->even = job->smoothing / (double)job->k;
    }
    return memory;
}

FUNCTION int all_rows(Job *job) {
    int wide = job->first.kind == FLOAT64, full = job->gradient != NULL;
    int logits = job->first.holds == LOGITS && job->second.holds == LOGITS;
    Scratch scratch;
    double *memory = prepare(job, &scratch);
    if (memory == NULL) return 0;
    if (job->form == TEACHER && logits && !wide && job->second.kind != FLOAT64) teacher_rows(job, 0, &scratch);
    else if (job->form == TEACHER) teacher_rows(job, 1, &scratch);
    else if (job->first.holds != LOGITS) probability_rows(job, &scratch);
    else if (wide && full) logits_rows(job, 1, 1, &scratch);
    else if (wide) logits_rows(job, 1, 0, &scratch);
    else if (full) logits_rows(job, 0, 1, &scratch);
    else logits_rows(job, 0, 0, &scratch);
    free(memory);
    return 1;
}

const Kernel KERNEL = {all_rows, exact_parts, all_of_piece, all_of_slab, convert_all, all_in_turn};
