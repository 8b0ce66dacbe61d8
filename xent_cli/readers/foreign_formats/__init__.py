"""Formats that xent recognises and does not read: each is named, with the line that converts it."""
