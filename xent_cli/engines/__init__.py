"""Where tasks run; every engine implements `interface.Engine`."""
