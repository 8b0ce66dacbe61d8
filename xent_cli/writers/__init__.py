"""Writers of per-sample rows; each implements `interface.RowWriter`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.writers.interface import RowWriter

SUFFIXES = (".tsv", ".csv", ".jsonl", ".npy", ".parquet", ".arrow")


def format_of(path: str) -> str:
    """Return the format that the suffix of a file names; a folder/ takes Parquet parts.

    Examples
    --------
    >>> format_of("losses.csv"), format_of("losses/")
    ('csv', 'parquet')
    """
    if path.endswith("/"):
        return "parquet"
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        folder = bool(path) and Path(path).is_dir()
        raise UsageError(
            f"-o {path}: the suffix names the format, and must be one of {', '.join(SUFFIXES)}",
            hint=f"for Parquet parts in that folder: -o {path}/"
            if folder
            else "for example -o rows.csv, which spreadsheets open",
        )
    return suffix[1:]


def open_writer(name: str, stream: BinaryIO, columns: RowFormat) -> RowWriter:
    """Return a writer of a format: tsv, csv, jsonl, npy, parquet or arrow."""
    if name in ("tsv", "csv"):
        from xent_cli.writers.delimited import DelimitedWriter

        return DelimitedWriter(stream, columns, "\t" if name == "tsv" else ",")
    if name == "jsonl":
        from xent_cli.writers.jsonl import JsonLinesWriter

        return JsonLinesWriter(stream, columns)
    if name == "npy":
        from xent_cli.writers.npy import NpyWriter

        return NpyWriter(stream, columns)
    from xent_cli.writers import arrow

    return arrow.ParquetWriter(stream, columns) if name == "parquet" else arrow.ArrowWriter(stream, columns)
