"""Which column of a table is what, told by names, types and a sample of values."""
