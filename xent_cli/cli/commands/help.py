"""What `--help` looks like: the options that matter first, the others by subject, examples at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

INPUT, LOSS, OUTPUT, CLUSTER, GENERAL = "Input", "Loss", "Output", "Threads and clusters", "General"
_MOST_USED = "Most used"
# In this order; a section of one command alone comes before them.
_SHARED_SECTIONS = (INPUT, LOSS, OUTPUT, CLUSTER, GENERAL)


class Option(click.Option):
    """An option with its section of `--help`."""

    def __init__(self, *args: Any, section: str = GENERAL, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section


class Temperature(click.FloatRange):
    """A number in a range, or the path of a file; a configuration file may have either."""

    takes_text = True

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a number, or the text if it is not one."""
        try:
            float(value)
        except ValueError:
            return value
        return super().convert(value, param, ctx)


def option(*names: str, section: str, **settings: Any) -> Callable[[Any], Any]:
    """Return `click.option` for a section of `--help`."""
    return click.option(*names, cls=Option, section=section, **settings)


def stacked(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return several options as one decorator."""

    def apply(command: Any) -> Any:
        for decorate in reversed(options):
            command = decorate(command)
        return command

    return apply


def without(*names: str) -> Callable[[Any], Any]:
    """Return a decorator that removes parameters of these names from a command that shares its options with others."""

    def apply(command: Any) -> Any:
        command.params = [parameter for parameter in command.params if parameter.name not in names]
        return command

    return apply


def complete_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete file names in a shell, for an option whose value is more than a path."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_metrics(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a metric in a shell, up to the = before its limit."""
    from click.shell_completion import CompletionItem

    from xent_cli.core.metrics import METRICS

    return [CompletionItem(f"{name}=") for name in METRICS if name.startswith(incomplete)]


def complete_columns(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a column of the inputs that are already on the line."""
    from xent_cli.cli.commands.column_completion import complete

    return complete(context, parameter, incomplete)


class Command(click.Command):
    """A command whose `--help` groups its options.

    Parameters
    ----------
    most_used
        Names of the options that come first, in that order.
    examples
        Lines for a shell, shown before the options.
    """

    def __init__(
        self, *args: Any, most_used: Sequence[str] = (), examples: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.most_used = tuple(most_used)
        self.examples = tuple(examples)

    def sections(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """Return the options by section of `--help`: most used, of this command only, shared with other commands."""
        options = [entry for entry in self.get_params(ctx) if isinstance(entry, click.Option) and not entry.hidden]
        first = [entry for name in self.most_used for entry in options if entry.name == name]
        found: dict[str, list[click.Option]] = {_MOST_USED: first}
        for entry in options:
            if entry not in first:
                found.setdefault(getattr(entry, "section", GENERAL), []).append(entry)
        own = [title for title in found if title not in _SHARED_SECTIONS]
        return {title: found[title] for title in (*own, *_SHARED_SECTIONS) if found.get(title)}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the options section by section."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        for title, options in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl([record for entry in options if (record := entry.get_help_record(ctx))])
