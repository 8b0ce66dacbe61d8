"""Where results go besides the terminal: paths, which must not overlap, and reports."""
