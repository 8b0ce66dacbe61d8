"""Which columns of a table hold the labels."""
