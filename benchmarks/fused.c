/* What the chip allows: softmax cross-entropy of float32 rows in two fused passes, in float64 arithmetic.
 * Textbook log-sum-exp with -ffast-math: no care for confident rows, infinities or order of summation. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

void losses(const float *z, const int64_t *label, ptrdiff_t n, ptrdiff_t k, double *loss)
{
    for (ptrdiff_t i = 0; i < n; i++, z += k) {
        float m = z[0];
        for (ptrdiff_t j = 1; j < k; j++)
            m = z[j] > m ? z[j] : m;
        double s = 0;
        for (ptrdiff_t j = 0; j < k; j++)
            s += exp((double)z[j] - (double)m);
        loss[i] = log(s) + ((double)m - (double)z[label[i]]);
    }
}
