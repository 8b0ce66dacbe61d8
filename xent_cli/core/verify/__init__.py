"""Losses and gradients of somebody else beside the reference."""
