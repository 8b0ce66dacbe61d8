"""Which figures a run computes: what is asked for, and what a limit is about."""
