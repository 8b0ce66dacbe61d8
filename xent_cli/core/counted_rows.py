"""Find which samples of a block count, and put their results back in place among the others."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL, check_mask, check_weights, either, ignored_labels
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.block import Block
    from xent_cli.core.confidence.calibration import Calibration
    from xent_cli.core.kernel.cross_entropy import RowLosses
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.options import LossOptions


class Evaluated(NamedTuple):
    """Results for the rows of a block.

    Fields
    ------
    rows
        Losses, divergences and gradients.
    ignored
        [n] True where a sample has no loss; None if every sample has one.
    labels
        [n] sparse labels as written in the input, or None.
    divisor
        [n] weight of each loss in the divisor of the mean; None if all are 1.
    ranks
        [n] rank of each label among the logits, or None.
    counts
        Fields of `LossTotals` that cannot be computed from the losses.
    likeliest
        [n] class of the highest entry of each row of dense labels, if needed, or None.
    calibration, formulas
        As in `RunTotals`.
    beside
        [n] other figures of the divergence from a teacher, by name.
    peaks
        [n] class of the highest logit, if it is already known, or None.
    """

    rows: RowLosses
    ignored: BoolArray | None
    labels: IntArray | None
    divisor: FloatArray | None
    ranks: IntArray | None
    counts: Mapping[str, Any]
    likeliest: IntArray | None = None
    calibration: Calibration | None = None
    formulas: tuple[FormulaTotals, ...] = ()
    beside: Mapping[str, FloatArray] = MappingProxyType({})
    peaks: IntArray | None = None

    def divergence(self, *, figures: bool) -> Mapping[str, FloatArray] | None:
        """Return the figures [n] of the divergence from a teacher by name: those always computed, then the others.

        Parameters
        ----------
        figures
            Whether more than the mean is wanted.
        """
        if self.rows.kl is None:
            return self.beside or None
        found = {"kl_divergence": self.rows.kl, **self.beside}
        # With a teacher, these are ranks of its likeliest class.
        if figures and self.ranks is not None and "same_top" not in found:
            found["same_top"] = np.where(np.isnan(self.rows.kl), np.nan, self.ranks == 0)
        return found

    def with_left_out(self, start: int, rows: IntArray, left_out: BoolArray) -> Evaluated:
        """Insert the samples that were left out: they have no loss, no label and a gradient of 0.

        Parameters
        ----------
        start
            Number of the first sample of the block.
        rows
            [n] positions in the block of the samples that these results are for, ascending.
        left_out
            [m] True at all other positions.
        """

        def put(values: AnyArray | None, fill: float) -> Any:
            if values is None:
                return None
            all_rows = np.full((left_out.size, *values.shape[1:]), fill, values.dtype)
            all_rows[rows] = values
            return all_rows

        ignored = left_out.copy()
        if self.ignored is not None:
            ignored[rows] = self.ignored
        losses = self.rows._replace(
            loss=put(self.rows.loss, np.nan),
            kl=put(self.rows.kl, np.nan),
            gradient=put(self.rows.gradient, 0),
        )
        return self._replace(
            rows=losses,
            ignored=ignored,
            labels=put(self.labels, NO_LABEL),
            divisor=put(self.divisor, 0.0),
            ranks=put(self.ranks, 0),
            likeliest=put(self.likeliest, 0),
            formulas=tuple(formula.numbered(start, rows) for formula in self.formulas),
            beside={name: put(values, np.nan) for name, values in self.beside.items()},
        )


def weights_and_left_out(block: Block, options: LossOptions) -> tuple[FloatArray | None, BoolArray | None]:
    """Return sample weights [n], 0 where masked, and which samples are left out; either is None if there are none.

    Masked samples and those of weight 0 are left out; nothing else about a masked sample is checked. Samples without a
    label or with an ignored one are left out too, unless the kernel for logits and class indices skips them
    itself, which costs less.

    Raises
    ------
    RowError
        At an invalid entry of the mask, or an invalid weight of a sample that is not masked.

    Examples
    --------
    >>> from xent_cli.core.block import Block
    >>> from xent_cli.core.options import LossOptions
    >>> block = Block(0, np.zeros((3, 2)), np.zeros(3), weights=np.array([2.0, 0.0, np.nan]), mask=np.array([1, 1, 0]))
    >>> weights_and_left_out(block, LossOptions())
    (array([2., 0., 0.]), array([False,  True,  True]))
    """
    left_out = None if block.mask is None else ~check_mask(block.mask, start=block.start)
    weight = None
    if block.weights is not None:
        raw = block.weights.reshape(-1)
        weight = check_weights(raw if left_out is None else np.where(left_out, 0, raw), start=block.start)
        left_out = either(left_out, weight == 0)
    if block.true_labels is not None:
        ignored = ignored_labels(block.true_labels, options.ignore_index, ignore_missing=options.ignore_missing)
        left_out = either(left_out, ignored)
    if options.labels == "dense" or options.source != "logits":
        left_out = either(left_out, block.unscored)
        if options.labels == "sparse":
            ignored = ignored_labels(block.labels, options.ignore_index, ignore_missing=options.ignore_missing)
            left_out = either(left_out, ignored)
    if block.absent is not None:
        _refuse_absent(block.absent if left_out is None else block.absent & ~left_out, block.start)
    return weight, left_out if left_out is not None and left_out.any() else None


def _refuse_absent(absent: BoolArray, start: int) -> None:
    if absent.any():
        row = start + int(np.argmax(absent))
        expected = "a number for each class of a sample that counts"
        raise RowError("missing value", row, "logits", "nothing", expected, code="missing-value")


@contextmanager
def renumbered_errors(start: int, rows: IntArray) -> Iterator[None]:
    """Turn the row numbers of errors about some `rows` of a block into sample numbers of the whole input."""
    try:
        yield
    except RowError as error:
        raise error.at_row(start + int(rows[error.row])) from None
