"""argv to exit code: the group, its commands, and what each failure exits with."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from xent_cli import __version__
from xent_cli.cli.config import configurable
from xent_cli.errors import OutputError, XentError, printable

if TYPE_CHECKING:
    from types import FrameType

_COMMANDS = ("compute", "check", "compare", "verify", "inspect")
_INTERRUPTED, _READER_GONE, _BUG = 130, 141, 4
# What imports make stays, and arrays are no garbage in circles: looking for some every 700 objects is a twentieth of a
# short run.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


class _LazyGroup(click.Group):
    """Imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"xent_cli.cli.{cmd_name}"), cmd_name)
        return configurable(command)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "XENT"})
@click.version_option(__version__, prog_name="xent")
def cli() -> None:
    """Softmax cross-entropy of model outputs in files: exact, fast, flat in memory.

    \b
    xent compute logits.npy labels.npy                       loss of every sample, and the mean
    xent compute predictions.csv -o losses.csv               logits and labels in one table
    xent check logits.npy labels.npy --max mean_loss=0.35    exit 1 where it is more
    xent compare old.parquet new.parquet                     saved losses, paired sample by sample
    xent verify logits.npy labels.npy --loss kernel.npy      somebody else's losses
    xent inspect logits.npy labels.npy                       what is there, and the line that computes

    Options can also be given by environment (XENT_COMPUTE_THREADS=4) and in a file (xent.toml, or [tool.xent] in
    pyproject.toml): a table for each command, a key for each option. Completion: put
    `eval "$(_XENT_COMPLETE=bash_source xent)"` into ~/.bashrc; zsh_source and fish_source do the same there.
    """


def main() -> None:
    """Run the command line and exit.

    0 done, 1 a verdict failed, 2 usage, 3 no answer possible, 4 a bug, 130 interrupted, 141 the reader of standard
    output went away.
    """
    # Read when NumPy is imported: for each core OpenBLAS starts a thread that looks for work for a tenth of a second,
    # and there is none for it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # Python would look through all that is left at the end, for garbage that goes with the process anyway.
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, _stop)
    asked = os.environ.get("_XENT_COMPLETE")
    if asked:
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "xent", "_XENT_COMPLETE", asked))
    try:
        # Not cli.main: that would turn a closed pipe into exit 1, which is for verdicts.
        with cli.make_context("xent", sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
        code = 0
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = _INTERRUPTED
    except click.ClickException as error:
        _tell_usage(error)
        code = error.exit_code
    except XentError as error:
        _tell(error)
        code = error.exit_code
    except BrokenPipeError:
        # Python would flush standard output once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _READER_GONE
    except OSError as error:
        _tell(OutputError("cannot write standard output", found=error.strerror or str(error)))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OutputError.exit_code
    except MemoryError:
        _tell(XentError("out of memory", hint="fewer --threads hold fewer blocks at once"))
        code = XentError.exit_code
    except Exception:
        code = _tell_bug()
    sys.exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    """Unwind on SIGTERM as on Ctrl-C, so that half-written files are removed."""
    sys.exit(128 + number)


def _tell(error: XentError) -> None:
    click.echo(f"error: {error}", err=True)
    if _wants_json(sys.argv):
        import json

        names = ("what", "where", "found", "expected", "more", "hint")
        fields = {name: getattr(error, name) for name in names if getattr(error, name)}
        click.echo(json.dumps({"error": {**fields, "exit_code": error.exit_code}}), err=True)


def _tell_usage(error: click.ClickException) -> None:
    """Show as click does; but what was typed may be a file's name, which may hold anything."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    # Choices that are missing are listed a line each, and nothing of them was typed.
    own = isinstance(error, click.MissingParameter)
    click.echo(f"Error: {error.format_message() if own else printable(error.format_message())}", err=True)


def _wants_json(argv: list[str]) -> bool:
    text = " ".join(argv).replace("=", " ").replace("-fjson", "-f json")
    return any(f"{flag} json" in text for flag in ("--format", "-f"))


def _tell_bug() -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="xent-", suffix=".log", delete=False) as file:
        traceback.print_exc(file=file)
    reason = traceback.format_exc().strip().split("\n")[-1]
    click.echo(f"error: a bug in xent {__version__}: {printable(reason)}; the traceback is in {file.name}", err=True)
    return _BUG
