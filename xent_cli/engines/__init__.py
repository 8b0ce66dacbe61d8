"""Where tasks run; every engine keeps the contract of `interface.Engine`."""
