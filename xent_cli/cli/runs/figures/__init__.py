"""Which figures a run computes: those requested, and those that a limit applies to."""
