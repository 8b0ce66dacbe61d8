"""A fitted temperature, one module per form."""
