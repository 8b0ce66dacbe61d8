"""click's runner with separate standard error and standard output: the default in click 8.2, an option in 8.1."""

import inspect

from click.testing import CliRunner

from xent_cli.cli import cli

_ASKED = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def runner():
    """Return a runner that runs commands in this process."""
    return CliRunner(**_ASKED)


def xent(*args):
    """Run the command in this process; return what it prints, or raise its error."""
    run = runner().invoke(cli, list(map(str, args)), standalone_mode=False)
    if run.exception is not None:
        raise run.exception
    return run.stdout
