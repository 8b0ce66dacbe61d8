"""Logits together with their labels, weights, masks and ids."""
