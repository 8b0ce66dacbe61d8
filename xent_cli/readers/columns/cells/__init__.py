"""Cells that hold a whole row of scores: as text, as lists, by name."""
