"""The summary of a run, one module a form."""
