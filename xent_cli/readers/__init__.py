"""Turn files into tasks whose rows belong together; every reader returns an `interface.Source`."""
