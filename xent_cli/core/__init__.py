"""The arithmetic: pure functions and frozen values over NumPy arrays; nothing knows files, engines or terminals."""
