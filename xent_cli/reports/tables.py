"""What tables for people on a terminal have in common."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xent_cli.errors import printable


class PipeConsole(Console):
    """A console that lets a closed pipe be the caller's matter; rich would exit with 1, which is for verdicts."""

    def on_broken_pipe(self) -> None:
        """Raise again."""
        raise BrokenPipeError


def new_table(*heads: str) -> Table:
    """Make a table with these heads."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        left = head in ("metric", "kind", "dtype", "formula")
        table.add_column(safe(head), justify="left" if left else "right", overflow="fold")
    return table


def safe(text: str) -> str:
    """Text from a file: neither control characters nor markup reach the terminal."""
    return escape(printable(text))
