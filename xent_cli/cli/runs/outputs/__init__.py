"""Where results go beside the terminal: paths that may not overlap, and reports."""
