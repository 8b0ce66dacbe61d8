"""Options from files and from the environment, named as on the command line, which overrides both."""

from __future__ import annotations

import os
import re
import stat
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from xent_cli.errors import InputError, UsageError, did_you_mean, listing, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.core.diagnostics import Diagnostic

_OWN, _SHARED = "xent.toml", "pyproject.toml"
# A larger file is not a configuration, and would be read at every start.
_LARGEST = 1 << 20
# Options that a file may not set unless --config names it: where to write, what to fetch, who computes, and whether a
# failed check passes. A folder unpacked from an archive might contain a configuration file.
_OUTPUTS = frozenset({"output", "gradients", "report", "plot", "write-cases"})
_NEVER = frozenset({"scheduler", "exit-zero"})
# Except in the folder where xent was started.
_HERE = frozenset({"report", "baseline"})
_URL = re.compile(r"([a-z]+:)?[A-Za-z][A-Za-z0-9+.-]+://")
_NOTES = "xent_cli.cli.config.notes"
# Keys in click's context: for the file that the options came from, and for the words typed after `xent`.
CONFIGURATION = "xent_cli.cli.config.path"
WORDS = "xent_cli.cli.config.words"
_EXAMPLE = 'a table for each command, a key for each option, as in [check] and, below it, max = "mean_loss=0.35"'
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def configurable(command: click.Command) -> click.Command:
    """Add ``--config`` to a command, and to each of its options an environment variable named after the option.

    click would name the variables after the parameters in the code.
    """
    if all(parameter.name != "config" for parameter in command.params):
        if command.callback is not None:
            command.callback = _with_notes(command.callback)
        for key, option in _options(command).items():
            own = _variable(command, key)
            # XENT_KERNEL is for all commands; a command's own variable overrides it.
            option.envvar = own if option.envvar is None else [own, str(option.envvar)]
        command.params.append(
            click.Option(
                ["--config"],
                type=click.Path(readable=False),
                metavar="FILE",
                is_eager=True,
                expose_value=False,
                callback=_configure,
                help=f"File with default options; default: the nearest {_OWN}, or {_SHARED} with [tool.xent].",
            )
        )
    return command


def _configure(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """Use the values of the file as defaults, which the environment and the command line override."""
    group = context.parent.command if context.parent is not None else None
    if context.resilient_parsing or not isinstance(group, click.Group):
        return
    context.meta[_NOTES] = _unknown_variables(context.command)
    found = _nearest(Path.cwd()) if path is None else _Found(path, _read(path, must=True) or {})
    if found is None:
        return
    source, tables = found.path, found.tables
    context.meta[CONFIGURATION] = source
    for name, table in tables.items():
        command = group.get_command(context, name)
        if command is None:
            commands = group.list_commands(context)
            hint = did_you_mean(name, commands, quote="") or f"tables are named after commands: {', '.join(commands)}"
            raise UsageError(f"{source}: unknown table or key {name}", hint=hint)
        if not isinstance(table, dict):
            raise UsageError(f"{source}: {name} is a command", found=repr(table), expected=f"a table [{name}]")
        values = _checked(source, command, table)
        if command is context.command:
            context.default_map = values if path is not None else _allowed(context, found, values)


class _Found(NamedTuple):
    """A configuration file.

    Fields
    ------
    here
        Whether it is in the working directory, not above it.
    """

    path: str
    tables: dict[str, Any]
    here: bool = False


def _nearest(folder: Path) -> _Found | None:
    """Find the configuration in a folder or the nearest one above, up to the root of a repository.

    If a folder has both files, xent.toml is used.
    """
    for place in (folder, *folder.parents):
        for name in (_OWN, _SHARED):
            tables = _read(str(place / name), must=False)
            if tables is not None:
                return _Found(str(place / name), tables, place == folder)
        if os.path.lexists(place / ".git"):
            return None
    return None


def _allowed(context: click.Context, found: _Found, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a file may set without --config; the others are named in a warning."""
    keys = {option.name: key for key, option in _options(context.command).items()}
    kept, passed_over = {}, []
    for name, value in values.items():
        key = keys[name]
        texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
        doubtful = key in _OUTPUTS or key in _HERE or any(_URL.match(text) for text in texts)
        if key in _NEVER or (doubtful and not (found.here and key in _HERE)):
            passed_over.append(key)
        else:
            kept[name] = value
    from xent_cli.core.diagnostics import Diagnostic

    said = []
    if kept:
        message = f"options are taken from {found.path}; --config names another file"
        said.append(Diagnostic("config-found", message, note=True))
    if passed_over:
        verb, what = ("is", "it") if len(passed_over) == 1 else ("are", "them")
        which = f"{found.path}: {listing(passed_over)} of [{context.command.name}] {verb} ignored"
        hint = f"in a file that was not named; --config {found.path} takes {what}"
        said.append(Diagnostic("config-ignored", f"{which} {hint}"))
    context.meta[_NOTES] += tuple(said)
    return kept


def _unknown_variables(command: click.Command) -> tuple[Diagnostic, ...]:
    """Return a warning for each variable that is named after the command, and after none of its options."""
    prefix = _variable(command, "")
    names = [name for name in os.environ if name.startswith(prefix)]
    if not names:
        return ()
    from xent_cli.core.diagnostics import Diagnostic

    known = [_variable(command, key) for key in (*_options(command), "config")]
    return tuple(
        Diagnostic(
            "unknown-variable",
            f"the environment variable {name} is no option of xent {command.name}"
            + (f": {hint}" if (hint := did_you_mean(name, known, cutoff=0.8, quote="")) else ""),
        )
        for name in sorted(names)
        if name not in known
    )


def _variable(command: click.Command, key: str) -> str:
    return f"XENT_{command.name}_{key}".replace("-", "_").upper()


def notes_of(context: click.Context) -> tuple[Diagnostic, ...]:
    """Return notes on what an unnamed configuration changed; printed before any work, and part of every document."""
    found: tuple[Diagnostic, ...] = context.meta.get(_NOTES, ())
    return found


def _with_notes(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that it first prints what an unnamed configuration changed."""

    @wraps(callback)
    def noted(**flags: Any) -> Any:
        context = click.get_current_context()
        for diagnostic in notes_of(context):
            if not flags["quiet"] or (context.command.name == "check" and not diagnostic.note):
                click.echo(printable(diagnostic.line()), err=True)
        return callback(**flags)

    return noted


def _content(path: str, *, must: bool) -> bytes | None:
    """Read a small file, without ever waiting (for the writer of a FIFO, say)."""
    kind = Path(path).stat().st_mode
    if not stat.S_ISREG(kind):
        if not must and Path(path).name == _SHARED:
            return None  # a file of another tool, which does not mention xent
        raise OSError("a folder" if stat.S_ISDIR(kind) else "a pipe or a device")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST and (b"xent" in content or Path(path).name != _SHARED):
        raise OSError("more than 1 MiB")
    return content


def _read(path: str, *, must: bool) -> dict[str, Any] | None:
    """Return the tables of a file; None if it does not exist or does not mention xent."""
    shared = Path(path).name == _SHARED
    try:
        text = _content(path, must=must)
    except (FileNotFoundError, NotADirectoryError):
        if must:
            raise UsageError(f"--config {path}: no such file", hint="is the path right?") from None
        return None
    except OSError as error:
        if not must and not os.path.lexists(path):  # in a folder that may not be searched
            return None
        hint = "" if must else "move it, or name another file with --config"
        found = error.strerror or str(error)
        raise InputError("cannot read the configuration", path, found, "a file of options", hint) from None
    # Most projects' files do not mention xent, and finding that out needs no parser.
    if text is None or (shared and not must and b"xent" not in text):
        return None
    import tomllib

    try:
        whole: dict[str, Any] = tomllib.loads(text.decode())
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not TOML", found="bytes that are not UTF-8", hint=_EXAMPLE) from None
    except (ValueError, RecursionError) as error:
        said = str(error)[:1].lower() + str(error)[1:]
        raise UsageError(f"{path}: not TOML: {said}", hint=_EXAMPLE) from None
    if not shared:
        return whole
    tool = whole.get("tool", {})
    tables = tool.get("xent") if isinstance(tool, dict) else None
    if tables is not None and not isinstance(tables, dict):
        raise UsageError(f"{path}: tool.xent is a table", found=repr(tables))
    if tables is None and must:
        raise UsageError(f"--config {path}: there is no table [tool.xent]")
    return tables


def _checked(source: str, command: click.Command, table: dict[str, Any]) -> dict[str, Any]:
    """Return the values by the name of their parameter, checked for their type and by their option."""
    options = _options(command)
    values = {}
    for key, value in table.items():
        option = options.get(key)
        if option is None or option.name is None:
            unknown = f"{source}: [{command.name}] has no key {key}"
            raise UsageError(
                unknown, hint=did_you_mean(key, list(options), quote="") or f"keys are options: {', '.join(options)}"
            )
        wanted = _type(option)
        for entry in value if option.multiple and isinstance(value, list) else [value]:
            also_text = isinstance(entry, str) and getattr(option.type, "takes_text", False)
            if type(entry) is not wanted and not (wanted is float and type(entry) is int) and not also_text:
                raise UsageError(f"{source}: {command.name}.{key}", found=repr(entry), expected=_TYPES[wanted])
        whole = [value] if option.multiple and not isinstance(value, list) else value
        try:
            option.type_cast_value(click.Context(command, resilient_parsing=True), whole)
        except click.BadParameter as error:
            raise UsageError(f"{source}: {command.name}.{key}: {error.message}") from None
        values[option.name] = whole
    return values


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options by long name without dashes; a pair of flags has the name of the one that switches on."""
    return {
        max(option.opts, key=len).removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option) and option.name not in ("config", "help")
    }


def _type(option: click.Option) -> type:
    if option.is_flag:
        return bool
    if isinstance(option.type, click.types.IntParamType):
        return int
    return float if isinstance(option.type, click.types.FloatParamType) else str
