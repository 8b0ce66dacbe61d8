"""Figures over many samples, as frozen values that merge exactly."""
