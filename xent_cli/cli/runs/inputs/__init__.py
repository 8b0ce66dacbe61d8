"""Judge the inputs: whether they hold what options declare, which options fit them, and which have no effect."""
