"""Mistakes in a command line, worded like all other errors, and what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xent_cli.cli.config import WORDS
from xent_cli.cli.display.shell import quoted
from xent_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

# What click calls the type of an invalid value, and what people call it.
_KINDS = {
    "is not a valid integer range": "is not a whole number",
    "is not a valid integer": "is not a whole number",
    "is not a valid float range": "is not a number",
    "is not a valid float": "is not a number",
}


def unknown_command(words: Sequence[str], commands: Sequence[str]) -> UsageError:
    """Return the error for a first word that is not a command; if it is a file, compute was left out.

    Examples
    --------
    >>> print(unknown_command(["logits.npy", "labels.npy"], ["compute"]))
    no such command: logits.npy
    hint: did you mean xent compute logits.npy labels.npy?
    """
    name = words[0]
    close = get_close_matches(name, commands, n=1)
    if close:
        line = ["xent", close[0], *words[1:]]
    elif name == "-" or "/" in name or "." in name or Path(name).exists():
        line = ["xent", "compute", *words]
    else:
        return UsageError(f"no such command: {name}", hint=f"commands are {', '.join(commands)}; xent --help says more")
    return UsageError(f"no such command: {name}", hint=f"did you mean {' '.join(map(quoted, line))}?")


def usage_error(error: click.ClickException) -> UsageError:
    """Turn an error of click into one of xent."""
    context = getattr(error, "ctx", None)
    command = "xent" if context is None else context.command_path
    see = "" if context is None else f"{command} --help lists the options"
    if isinstance(error, click.NoSuchOption):
        return UsageError(f"no such option: {error.option_name}", hint=_option_meant(error, context) or see)
    if isinstance(error, click.MissingParameter):
        usage = "" if context is None else f"usage: {command} {' '.join(context.command.collect_usage_pieces(context))}"
        return UsageError(f"missing {_name_of(error.param)}", hint=usage)
    if isinstance(error, click.BadOptionUsage):
        return UsageError(
            f"{error.option_name} needs a value" if "requires" in error.message else error.message, hint=see
        )
    if isinstance(error, click.BadParameter):
        message = error.message.rstrip(".")
        for kind, plain in _KINDS.items():
            message = message.removesuffix(kind) + plain if message.endswith(kind) else message
        return UsageError(f"{_name_of(error.param)}: {message}", hint=see)
    message = error.format_message().rstrip(".")
    if "unexpected extra argument" in message:
        usage = "" if context is None else f"usage: {command} {' '.join(context.command.collect_usage_pieces(context))}"
        see = ("" if context is None else _pattern_meant(context.meta.get(WORDS, ())[1:], command)) or usage
    return UsageError(message[:1].lower() + message[1:], hint=see)


def _option_meant(error: click.NoSuchOption, context: click.Context | None) -> str:
    """Suggest the option that was probably meant; an option may also be in the wrong place, before the command."""
    if context is not None and isinstance(context.command, click.Group):
        return f"options come after a command: xent compute {error.option_name} ..."
    if context is None:
        return ""
    known = _names_of(context.command)
    group = None if context.parent is None else context.parent.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            other = group.get_command(context, name)
            if other is not None and error.option_name in _names_of(other):
                return f"{error.option_name} is an option of xent {name}"
    return did_you_mean(error.option_name, known, quote="")


def _names_of(command: click.Command) -> list[str]:
    return [name for option in command.params for name in option.opts if isinstance(option, click.Option)]


def _pattern_meant(words: Sequence[str], command: str) -> str:
    """Suggest quotes where the files typed are those that a pattern finds, in order: the shell has replaced it."""
    files = [Path(word) for word in words if _is_file(word)]
    for first in files:
        pattern = str(first.parent / f"*{first.suffix}")
        found = [file for file in files if file.match(pattern)]
        if len(found) > 1 and found == sorted(first.parent.glob(f"*{first.suffix}")):
            others = [str(file) for file in files if file not in found]
            line = " ".join(map(quoted, (pattern, *others)))
            return f"a shell replaces a pattern by the files, unless it stands in quotes: {command} {line}"
    return ""


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # too long for a file name
        return False


def _name_of(parameter: click.Parameter | None) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return "an argument" if parameter is None else str(parameter.metavar or parameter.name).upper()
