/* The kernel in AVX-512. */
#if defined(__x86_64__)
#define KERNEL kernel_avx512
#if defined(__clang__) /* takes vectors as they are written, and drops all of a target that names what it does not know */
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#else
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")))
#endif
#define WIDTH 8
#include "variant.h"
#endif
