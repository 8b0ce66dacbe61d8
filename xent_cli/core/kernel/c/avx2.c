/* The kernel in AVX2 with fused multiply-add. */
#if defined(__x86_64__)
#define KERNEL kernel_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 4
#include "variant.h"
#endif
