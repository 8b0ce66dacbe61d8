"""Find out what each column of a table holds, from names, types and a sample of values."""
