"""What a writer of per-sample rows is given and what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from xent_cli.core.evaluate import BlockLoss


class RowWriter(Protocol):
    """Encodes rows onto a binary stream that somebody else opens, closes and publishes.

    A writer keeps no row once `write` returns, unless its own docstring says which. Ignored samples have no loss: empty
    in text, null in JSON, Parquet and Arrow, in .npy the NaN of `core.nan_kinds`. A NaN or infinite loss is `nan`,
    `inf` in delimited text, null beside ``"nonfinite": "nan"`` or ``"inf"`` in JSON, itself elsewhere.
    """

    def write(self, rows: BlockLoss) -> None:
        """Encode the samples of one block; blocks come in order. `loss` is never None here."""

    def finish(self) -> None:
        """Write what must stand at the end."""
