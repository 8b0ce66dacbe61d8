"""What `xent inspect` found, one module a form."""
