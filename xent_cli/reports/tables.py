"""Shared parts of the tables on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xent_cli.errors import printable


class PipeConsole(Console):
    """A console that leaves a closed pipe to the caller; rich would exit with 1, which is reserved for verdicts."""

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise BrokenPipeError


def new_table(*heads: str) -> Table:
    """Create a table with these column heads."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        left = head in ("metric", "kind", "dtype", "formula")
        table.add_column(safe(head), justify="left" if left else "right", overflow="fold")
    return table


def safe(text: str) -> str:
    """Escape text from a file, so that neither control characters nor markup reach the terminal."""
    return escape(printable(text))
