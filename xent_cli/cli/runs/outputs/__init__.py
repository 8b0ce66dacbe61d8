"""Where the results of a run go: rows, gradients and reports, and their paths, which must not overlap."""
