"""The functions that `import xent_cli` offers: arguments checked, and errors in the words of a Python caller."""
