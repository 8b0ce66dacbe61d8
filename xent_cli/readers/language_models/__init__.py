"""Files written by programs that run language models."""
