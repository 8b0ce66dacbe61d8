"""The kernel that the tests of a file run with; the fixture `kernel` in tests/core sets each in turn."""

from dataclasses import replace

from xent_cli.core.kernel.variants import variants

KERNELS = ["numpy", *(f"c-{name}" for name in variants()[:1])]
COMPILED = [f"c-{name}" for name in variants()]
CHOSEN = {"kernel": "numpy"}


def running(options):
    """Return the same options, with that kernel."""
    return replace(options, **CHOSEN)
