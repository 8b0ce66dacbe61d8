"""The comparison of several models, one module per form."""
