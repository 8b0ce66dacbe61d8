"""The computations: pure functions and immutable values over NumPy arrays, without files, engines or terminals."""
