/* Sums over the classes of each row, with what their additions lost. */

/* A sum in each lane, and the rounding errors of its additions (Knuth's two-sum). Each term is itself a plain sum of
   at most DEPTH values, so a sum of 200,000 equal terms is as good as one of 8. */
typedef struct { Vector sum[PARTS], lost[PARTS]; } Sum;
#define NOTHING (Sum){{{0}}, {{0}}}

INLINE void add(Sum *total, const Vector *terms) {
    UNROLLED for (int p = 0; p < PARTS; p++) {
        Vector sum = total->sum[p], s = sum + terms[p], back = s - sum;
        total->lost[p] += (sum - (s - back)) + (terms[p] - back);
        total->sum[p] = s;
    }
}

INLINE void add_lanes(Sum *total, const double *lanes) {
    Vector terms[PARTS];
    memcpy(terms, lanes, sizeof terms);
    add(total, terms);
}

INLINE void add_sum(Vector *sum, Vector *lost, Vector other, Vector other_lost) {
    Vector s = *sum + other, back = s - *sum;
    *lost = (*lost + other_lost) + ((*sum - (s - back)) + (other - back));
    *sum = s;
}

/* The sum over all lanes. */
INLINE double sum_across(const Sum *total) {
    Sum all = *total;
    UNROLLED for (int half = PARTS / 2; half; half /= 2)
        UNROLLED for (int p = 0; p < half; p++) add_sum(&all.sum[p], &all.lost[p], all.sum[p + half], all.lost[p + half]);
    Vector sum = all.sum[0], lost = all.lost[0];
#define ADD(by) add_sum(&sum, &lost, ROTATED(sum, by), ROTATED(lost, by));
    ROTATIONS(ADD)
    return isinf(sum[0]) ? sum[0] : sum[0] + lost[0]; /* inf has no error to add: inf - inf is NaN */
}

/* The sum of each row: with few classes that of its lane. */
INLINE void sums_of_rows(const Job *job, const Sum *total, double *of_row) {
    if (job->few)
        for (int p = 0; p < PARTS; p++) {
            Vector sum = total->sum[p], both = sum + total->lost[p];
            both = PICKED(sum - sum == 0.0, both, sum);
            memcpy(of_row + p * WIDTH, &both, sizeof both);
        }
    else {
        double sum = sum_across(total);
        EACH_LANE of_row[l] = sum;
    }
}
