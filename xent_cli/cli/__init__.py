"""From argv to exit code: which commands there are, and which exit code each failure gets."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from xent_cli import __version__, start
from xent_cli.cli.config import WORDS, configurable
from xent_cli.errors import OutputError, UsageError, XentError, printable, without_secrets

if TYPE_CHECKING:
    from typing import TextIO

_COMMANDS = ("compute", "check", "compare", "verify", "calibrate", "inspect")
_INTERRUPTED, _READER_GONE, _BUG = 130, 141, 4


class _LazyGroup(click.Group):
    """Imports the module of a command only when that command runs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"xent_cli.cli.commands.{cmd_name}"), cmd_name)
        return configurable(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("--") and not ctx.resilient_parsing:
            from xent_cli.cli.display.usage import unknown_command

            raise unknown_command(args, _COMMANDS)
        return super().resolve_command(ctx, args)


def _version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from xent_cli.core.kernel.variants import described

    click.echo(f"xent, version {__version__}\nkernel: {described(os.environ.get('XENT_KERNEL'))}")
    context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "XENT"})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and the kernel, and exit.",
)
def cli() -> None:
    """Softmax cross-entropy of model outputs in files: exact, fast, flat in memory.

    \b
    xent compute logits.npy labels.npy                       loss of every sample, and the mean
    xent compute predictions.csv -o losses.csv               logits and labels in one table
    xent check logits.npy labels.npy --max mean_loss=0.35    exit 1 if the mean is above
    xent compare old.parquet new.parquet                     compare saved losses, sample by sample
    xent verify logits.npy labels.npy --loss kernel.npy      check the losses of a kernel
    xent calibrate logits.npy labels.npy -o temperature.json fit a temperature
    xent inspect logits.npy labels.npy                       what files hold, and the command to run

    Options can also be set in the environment (XENT_COMPUTE_THREADS=4) and in a file (xent.toml, or [tool.xent] in
    pyproject.toml), with a table for each command and a key for each option. For completion, put
    `eval "$(_XENT_COMPLETE=bash_source xent)"` into ~/.bashrc; zsh and fish have zsh_source and fish_source.
    """


def main() -> None:
    """Run the command line and exit; `xent_cli.__main__` has prepared the process.

    0 done, 1 a verdict failed and nothing else, 2 usage, 3 no answer possible, 4 a bug, 129 hung up, 130 interrupted,
    141 the reader of standard output went away, 143 terminated.
    """
    start.open_streams()
    code = _BUG
    try:
        code = _run(sys.argv[1:])
    except BaseException as error:
        start.ignore_signals()
        code = _code_of(error)
        # An error that cannot be printed does not change the exit code.
        with suppress(Exception):
            code = _explain(error, code)
    start.ignore_signals()
    _let_go(sys.stdout, sys.stderr)
    sys.exit(code)


def _run(argv: list[str]) -> int:
    asked = os.environ.get("_XENT_COMPLETE")
    if asked:
        from click.shell_completion import shell_complete

        if shell_complete(cli, {}, "xent", "_XENT_COMPLETE", asked):
            hint = "unset it, or set it to bash_source, zsh_source or fish_source"
            raise UsageError(f"_XENT_COMPLETE={asked} is not a kind of completion", hint=hint)
        return 0
    from xent_cli.readers.storage.identity import refuse_changed, watching

    # Not cli.main, which would turn a closed pipe into exit code 1, and that is for verdicts.
    with watching(), cli.make_context("xent", argv) as context:
        try:
            cli.invoke(context)
        except (click.exceptions.Exit, click.ClickException, UsageError, OutputError, BrokenPipeError):
            raise
        except Exception:
            refuse_changed()  # if a file changed, that explains any other error
            raise
    sys.stdout.flush()
    return 0


def _code_of(error: BaseException) -> int:
    """Return the exit code of an error; a signal that arrived first is the cause of whatever followed."""
    asked = start.signal_exit_code()
    if asked is not None:
        return asked
    if isinstance(error, click.exceptions.Exit | XentError):
        return error.exit_code
    if isinstance(error, click.ClickException):
        return UsageError.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return _READER_GONE
    return XentError.exit_code if isinstance(error, OSError) or _out_of(error) else _BUG


def _explain(error: BaseException, code: int) -> int:
    """Print what ended the run on standard error, and return the exit code."""
    if isinstance(error, XentError):
        _print_error(error)
    elif start.signal_exit_code() is not None or isinstance(error, KeyboardInterrupt | click.Abort):
        start.print_signal(code - 128)
    elif isinstance(error, click.ClickException):
        _print_usage(error)
    elif isinstance(error, OSError) and code != _READER_GONE:
        _print_error(_refused(error))
    elif out := _out_of(error):
        _print_error(
            XentError(
                f"out of {out}",
                hint="use fewer --threads, which hold fewer blocks at once, or raise the limit (ulimit)",
            )
        )
    elif code == _BUG:
        _print_bug(error)
    return code


def _out_of(error: BaseException) -> str:
    """Return what the system has run out of, or ""; a library that cannot be mapped into memory is an ImportError."""
    said = str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, ImportError) and ("map segment" in said or "memory" in said)
    ):
        return "memory"
    return "threads" if isinstance(error, RuntimeError) and "start new thread" in said else ""


def _refused(error: OSError) -> XentError:
    found = error.strerror or str(error).strip().split("\n")[0] or type(error).__name__
    return XentError("the system refused", str(error.filename or ""), found=found)


def _let_go(*streams: TextIO) -> None:
    """Discard output that a stream cannot take: Python would try again at exit, complain, and exit with 120."""
    for stream in streams:
        try:
            stream.flush()
        except (OSError, ValueError, XentError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print_error(error: XentError) -> None:
    if not error.hint:
        from xent_cli.cli.display.hints import hint_for, usual_hint

        error.hint = hint_for(error.code, error.data) or usual_hint(error.what)
    click.echo(f"error: {error}", err=True)
    if _wants_json(sys.argv):
        import json

        names = ("code", "what", "where", "found", "expected", "more", "hint")
        fields = {name: without_secrets(getattr(error, name)) for name in names if getattr(error, name)}
        click.echo(json.dumps({"error": {**fields, "exit_code": error.exit_code}}), err=True)


def _print_usage(error: click.ClickException) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.1 prints the help itself
        error.show()
        return
    from xent_cli.cli.display.usage import usage_error

    _print_error(usage_error(error))


def _wants_json(argv: list[str]) -> bool:
    text = " ".join(argv).replace("=", " ").replace("-fjson", "-f json")
    return any(f"{flag} json" in text for flag in ("--format", "-f"))


def _print_bug(error: BaseException) -> None:
    import traceback

    lines = [without_secrets(part) for part in traceback.format_exception(error)]
    what = f"error: a bug in xent {__version__}: {printable(lines[-1].strip().split(chr(10))[-1])}"
    try:
        import tempfile

        with tempfile.NamedTemporaryFile("w", prefix="xent-", suffix=".log", delete=False) as file:
            file.writelines(lines)
    except OSError:
        click.echo(f"{what}; no file could be written, so here is the traceback:", err=True)
        click.echo("".join(printable(line) + "\n" for line in "".join(lines).splitlines()), err=True, nl=False)
    else:
        click.echo(f"{what}; the traceback is in {file.name}", err=True)
