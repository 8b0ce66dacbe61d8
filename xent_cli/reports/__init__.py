"""The summary document, in the forms people and programs read."""
