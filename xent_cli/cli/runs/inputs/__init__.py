"""What inputs are: whether they hold what options declare, which options fit them, and which have no effect."""
