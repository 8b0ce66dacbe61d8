"""Totals over many samples, as immutable values that merge exactly."""
