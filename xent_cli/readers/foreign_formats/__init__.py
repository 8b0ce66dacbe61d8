"""Formats that xent recognises but does not read: the error names the format and shows how to convert the file."""
