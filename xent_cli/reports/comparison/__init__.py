"""The comparison of several models, one module a form."""
