"""The summary of a run, one module per form."""
