"""Rows of logits to losses and gradients."""
