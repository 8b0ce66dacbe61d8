"""Softmax cross-entropy of model outputs: exact, fast, flat in memory."""

__version__ = "0.1.0"
