"""Labels: which are valid, how they are numbered and named, and a digest of them."""
