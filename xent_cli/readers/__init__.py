"""Files to aligned tasks; every reader keeps the contract of `interface.Source`."""
