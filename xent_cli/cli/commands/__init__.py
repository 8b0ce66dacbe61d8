"""The commands and their options: click and nothing else."""
