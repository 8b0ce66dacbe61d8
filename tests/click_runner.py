"""click's runner with separate standard error and standard output: the default in click 8.2, an option in 8.1."""

import inspect

from click.testing import CliRunner

_ASKED = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def runner():
    """Return a runner that runs commands in this process."""
    return CliRunner(**_ASKED)
