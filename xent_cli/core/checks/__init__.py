"""Checks of rows: whether they are distributions, what they were rounded to, and whether they are as declared."""
