"""The interval of a mean: its standard error, and Student's t."""
