"""Kernels: from rows of logits to losses and gradients."""
