"""The functions of `import xent_cli`: they check arguments, and give advice in terms of Python arguments."""
