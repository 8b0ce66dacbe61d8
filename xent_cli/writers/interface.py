"""The contract of writers of per-sample rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xent_cli.core.evaluate import BlockLoss


class RowWriter(Protocol):
    """Encodes rows onto a binary stream that the caller opens, closes and publishes.

    A writer keeps no rows after `write` returns, unless its own docstring says which. The loss of an ignored sample is
    empty in text, null in JSON, Parquet and Arrow, and the NaN of `core.nan_kinds` in .npy. A NaN or infinite loss is
    `nan` or `inf` in delimited text, null beside ``"nonfinite": "nan"`` or ``"inf"`` in JSON, and itself elsewhere.
    """

    def write(self, rows: BlockLoss) -> None:
        """Encode the samples of one block; blocks come in order. `loss` is never None here."""

    def finish(self) -> None:
        """Write what belongs at the end of the output."""
