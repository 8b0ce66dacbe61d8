"""What `xent inspect` reports, one module per form."""
