"""Where tasks run; every engine keeps to the contract `interface.Engine`."""
