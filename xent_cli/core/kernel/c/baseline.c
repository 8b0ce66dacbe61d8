/* The kernel in what every processor of the kind has: SSE2 on x86-64, where it is slow and only shows that the bits are the
   same, or NEON on ARM64, where fused multiply-add is one instruction and it is fast. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O1") /* with O3 this file takes half of the time of the build */
#endif
#define KERNEL kernel_baseline
#define TARGET
#define WIDTH 2
#include "variant.h"
