"""The findings of `xent inspect`, one module per form."""
