"""Options from files and by environment: names as on the command line, which wins over both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN, _SHARED = "xent.toml", "pyproject.toml"
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def configurable(command: click.Command) -> click.Command:
    """Give a command ``--config``, and every option of it an environment variable of the option's name.

    click would name the variables after what an option is called in the code.
    """
    if all(parameter.name != "config" for parameter in command.params):
        for key, option in _options(command).items():
            option.envvar = f"XENT_{command.name}_{key}".replace("-", "_").upper()
        command.params.append(
            click.Option(
                ["--config"],
                type=click.Path(),
                metavar="FILE",
                is_eager=True,
                expose_value=False,
                callback=_configure,
                help=f"Defaults of options. Without it: the nearest {_OWN}, or {_SHARED} with [tool.xent].",
            )
        )
    return command


def _configure(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """Put what the file says below environment and command line."""
    group = context.parent.command if context.parent is not None else None
    if context.resilient_parsing or not isinstance(group, click.Group):
        return
    found = _nearest(Path.cwd()) if path is None else (path, _read(path, must=True) or {})
    if found is None:
        return
    source, tables = found
    for name, table in tables.items():
        command = group.get_command(context, name)
        if command is None:
            commands = group.list_commands(context)
            hint = _meant(name, commands) or f"tables are named after commands: {', '.join(commands)}"
            raise UsageError(f"{source}: unknown table or key {name}", hint=hint)
        if not isinstance(table, dict):
            raise UsageError(f"{source}: {name} is a command", found=repr(table), expected=f"a table [{name}]")
        values = _checked(source, command, table)
        if command is context.command:
            context.default_map = values


def _nearest(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """Look for a configuration in a folder and those above; of two in one folder, that of xent's own name counts."""
    for place in (folder, *folder.parents):
        for name in (_OWN, _SHARED):
            tables = _read(str(place / name), must=False)
            if tables is not None:
                return str(place / name), tables
    return None


def _read(path: str, *, must: bool) -> dict[str, Any] | None:
    """Tables of a file; None where there is none, or nothing about xent in it."""
    try:
        text = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if must:
            raise UsageError(f"--config {path}: no such file") from None
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration", found=error.strerror or str(error)) from None
    shared = Path(path).name == _SHARED
    # Most projects' files say nothing of xent; a parser need not be loaded to see that.
    if shared and not must and b"xent" not in text:
        return None
    import tomllib

    try:
        whole: dict[str, Any] = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML", found=str(error)) from None
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
    """Values by the names the code has; each of the type its option has, and accepted by it."""
    options = _options(command)
    values = {}
    for key, value in table.items():
        option = options.get(key)
        if option is None or option.name is None:
            told = f"{source}: [{command.name}] has no key {key}"
            raise UsageError(told, hint=_meant(key, options) or f"keys are options: {', '.join(options)}")
        wanted = _type(option)
        for entry in value if option.multiple and isinstance(value, list) else [value]:
            if type(entry) is not wanted and not (wanted is float and type(entry) is int):
                raise UsageError(f"{source}: {command.name}.{key}", found=repr(entry), expected=_TYPES[wanted])
        given = [value] if option.multiple and not isinstance(value, list) else value
        try:
            option.type_cast_value(click.Context(command, resilient_parsing=True), given)
        except click.BadParameter as error:
            raise UsageError(f"{source}: {command.name}.{key}: {error.message}") from None
        values[option.name] = given
    return values


def _options(command: click.Command) -> dict[str, click.Option]:
    """Every option by its long name without the dashes; of a pair of flags, the one that switches on."""
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


def _meant(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""
