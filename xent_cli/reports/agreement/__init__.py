"""The verdict of `xent verify`, one module per form."""
