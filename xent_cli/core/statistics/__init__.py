"""Comparison of two models on the same samples: differences, intervals and tests."""
