/* Parts of the sum of n values, at most 2**15, or of their squares, without a rounding: `parts` [ROUNDS] add up to it, if
   the value returned is 0. Each value is below 2**exponent; adding and subtracting 1.5 * 2**(exponent + 17) cuts off its
   leading 35 bits, whose sum is exact, and what is left is below 2**(exponent - 35). See exact_sum.py. */
FUNCTION double exact_parts(const double *values, int64_t n, int squares, int exponent, double *parts) {
    double sums[ROUNDS][LANES] = {{0}}, left[LANES] = {0}, sigma[ROUNDS], uncut = 0.0;
    for (int r = 0; r < ROUNDS; r++) sigma[r] = ldexp(1.5, exponent + 17 - 35 * r);
    for (int64_t i = 0; i < n; i += LANES) {
        double x[LANES], error[LANES] = {0};
        EACH_LANE x[l] = i + l < n ? values[i + l] : 0.0;
        if (squares)
            EACH_LANE {
                double square = x[l] * x[l];
                error[l] = FMA(x[l], x[l], -square);
                x[l] = square;
            }
        for (int r = 0; r < ROUNDS; r++)
            EACH_LANE {
                double cut = (x[l] + sigma[r]) - sigma[r], cut_error = (error[l] + sigma[r]) - sigma[r];
                x[l] -= cut;
                error[l] -= cut_error;
                sums[r][l] += cut + cut_error;
            }
        EACH_LANE left[l] += fabs(x[l]) + fabs(error[l]);
    }
    for (int r = 0; r < ROUNDS; r++) {
        parts[r] = 0.0;
        for (int l = 0; l < LANES; l++) parts[r] += sums[r][l];
    }
    for (int l = 0; l < LANES; l++) uncut += left[l];
    return uncut;
}
