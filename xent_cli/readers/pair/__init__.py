"""Logits, labels and what goes along with them, put side by side."""
