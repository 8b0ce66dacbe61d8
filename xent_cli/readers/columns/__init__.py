"""Which column of a table is what, by names, types and a sample of values."""
