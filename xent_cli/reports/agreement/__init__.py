"""The verdict on somebody else's kernel, one module a form."""
