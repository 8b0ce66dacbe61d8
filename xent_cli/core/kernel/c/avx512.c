/* The kernel in AVX-512. */
#if defined(__x86_64__)
#define KERNEL kernel_avx512
#if defined(__clang__) /* keeps vectors as wide as they are written, and ignores all of a target of which it does not know one name */
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#else
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#endif
#define WIDTH 8
#include "variant.h"
#endif
