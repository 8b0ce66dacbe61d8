"""click's runner with standard error apart from standard output, as click 8.2 has it and 8.1 only when asked."""

import inspect

from click.testing import CliRunner

_ASKED = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def runner():
    """Return a runner of commands in this process."""
    return CliRunner(**_ASKED)
