"""Comparison of candidate losses and gradients, from another implementation, with the reference."""
