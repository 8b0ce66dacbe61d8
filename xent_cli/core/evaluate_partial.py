"""Evaluate rows of log-probabilities that are only partly known: the loss and the divergence, or bounds on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.every_class import refuse_partial
from xent_cli.core.counted_rows import Evaluated
from xent_cli.core.kernel.cross_entropy import RowLosses
from xent_cli.core.kernel.distillation import log_distribution, teacher_cross_entropy
from xent_cli.core.kernel.label_figures import label_figures
from xent_cli.core.kernel.partial_rows import Bounds, partial_divergence, rest_of
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.labels.check_labels import check_sparse, either
from xent_cli.errors import RowError

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.block import Block
    from xent_cli.core.options import LossOptions, Outputs

# Counts the samples whose loss is known only within bounds.
BOUNDED = "n_bounded"


def evaluate_partial(block: Block, divisor: FloatArray | None, options: LossOptions, outputs: Outputs) -> Evaluated:
    """Evaluate rows that all count and in which either side may be only partly known.

    If only bounds of a loss are known, it is NaN and the sample counts in `BOUNDED`; the bounds are in the figures
    ``mean_loss_at_least`` and ``mean_loss_at_most``.

    Parameters
    ----------
    divisor
        [n] weight of each loss in the divisor of the mean; None if all are 1.

    Raises
    ------
    UsageError
        If options or outputs need every class of a row.
    RowError
        At an invalid label, or a row that cannot be part of a distribution.
    """
    refuse_partial(options, outputs)
    if options.labels_source == "labels":
        return _against_labels(block, divisor, options, outputs)
    return _against_reference(block, divisor, options, outputs)


def _against_labels(block: Block, divisor: FloatArray | None, options: LossOptions, outputs: Outputs) -> Evaluated:
    n, k = block.logits.shape
    bounds = Bounds.of(block.logit_bounds, n)
    label, ignored, written = check_sparse(
        block.labels,
        k,
        ignore_index=options.ignore_index,
        ignore_missing=options.ignore_missing,
        unscored=block.unscored,
        start=block.start,
        first_class=options.first_class,
    )
    loss = -block.logits[np.arange(n), label]
    bounded = np.isnan(loss)
    numbers = np.arange(block.start, block.start + n)
    rest = rest_of(np.asarray(block.logits, np.float64), bounds.cap, bounds.width, numbers, "logits")
    with np.errstate(divide="ignore"):
        least = np.where(bounded, -np.log(np.minimum(rest.most, rest.high)), loss)
    figures = {"mean_loss_at_least": least, "mean_loss_at_most": np.where(bounded, np.inf, loss)}
    ranks = label_ranks(bounds.at_face(block.logits), label) if outputs.top_k else None
    ignored, figures[BOUNDED] = _left_out(ignored, bounded, options)
    scored = label if ignored is None else label[~ignored]
    counts = {"label_range": (int(scored.min()), int(scored.max())) if scored.size else None}
    return Evaluated(RowLosses(loss, 0, None), ignored, written, divisor, ranks, counts, beside=figures)


def _against_reference(block: Block, divisor: FloatArray | None, options: LossOptions, outputs: Outputs) -> Evaluated:
    n = len(block.logits)
    own_bounds, ref_bounds = Bounds.of(block.logit_bounds, n), Bounds.of(block.label_bounds, n)
    own, ref = np.asarray(block.logits, np.float64), np.asarray(block.labels, np.float64)
    if block.logit_bounds is None:
        own = log_distribution(own, options.source, options.temperature)
    if block.label_bounds is None:
        ref = log_distribution(ref, options.labels_source, options.teacher_temperature)
    found = partial_divergence(own, own_bounds, ref, ref_bounds, block.start)
    loss, kl = found.loss, found.kl
    ends = {"kl_low": found.kl_low, "kl_high": found.kl_high, "kl_face_value": found.face}
    ends |= {"mean_loss_at_least": found.loss_low, "mean_loss_at_most": found.loss_high}
    # Rows in which every class is known exactly are treated like those of any teacher.
    whole = np.flatnonzero(
        (own_bounds.width == 0) & (ref_bounds.width == 0) & ~np.isnan(own).any(axis=1) & ~np.isnan(ref).any(axis=1)
    )
    if whole.size:
        exact = teacher_cross_entropy(block.logits[whole], ref[whole], replace(options, labels_source="log-probs"))
        assert exact.kl is not None
        loss[whole], kl[whole] = exact.loss, exact.kl
        for name in ends:
            ends[name][whole] = exact.loss if name.startswith("mean") else exact.kl
    own_face, ref_face = own_bounds.at_face(own), ref_bounds.at_face(ref)
    if block.label_bounds is not None and np.isnan(ref_bounds.face).all():
        del ends["kl_face_value"]  # neither file has a floor for unknown classes
    invalid = np.isnan(found.kl_low)
    likeliest = ref_face.argmax(axis=1)
    ranks = label_ranks(own_face, likeliest)
    ends["same_top"] = np.where(invalid, np.nan, ranks == 0)
    if block.true_labels is not None and outputs.figures:
        ends |= _at_true_labels(block, (own, own_bounds), (ref, ref_bounds), options)
    bounded = np.isnan(loss) & ~invalid
    ignored, ends[BOUNDED] = _left_out(None, bounded, options)
    return Evaluated(
        RowLosses(loss, 0, None, kl=kl),
        ignored,
        None,
        divisor,
        ranks if outputs.top_k else None,
        {},
        likeliest if outputs.digest else None,
        beside=ends,
    )


def _left_out(
    ignored: BoolArray | None, bounded: BoolArray, options: LossOptions
) -> tuple[BoolArray | None, FloatArray]:
    """Ignore samples whose loss is only bounded, if requested; return which are ignored, and which still bounded."""
    if options.bounded == "ignore" and bounded.any():
        return either(ignored, bounded), np.zeros(bounded.size)
    return ignored, bounded.astype(np.float64)


def _at_true_labels(
    block: Block, own: tuple[FloatArray, Bounds], ref: tuple[FloatArray, Bounds], options: LossOptions
) -> dict[str, FloatArray]:
    """Compare the probabilities of the true labels.

    If a floor is used in place of a probability, the difference of the probabilities is off by at most the floor, which
    is less than their rounding; the ratio of the perplexities is not known. Without a floor, as for a label that is not
    among the k highest, neither is.
    """
    label = true_labels(block, options)
    at = np.arange(len(label)), label
    known = [rows[at] for rows, _ in (own, ref)]
    faces = [
        np.where(np.isnan(values), bounds.face, values) for values, (_, bounds) in zip(known, (own, ref), strict=True)
    ]
    figures = label_figures(-faces[0], -faces[1])
    figures["log_ppl_ratio"] = known[1] - known[0]
    return figures


def true_labels(block: Block, options: LossOptions) -> IntArray:
    """Return the true labels [n] of a block as class indices.

    Raises
    ------
    RowError
        At a label that is not a class.
    """
    labels: AnyArray | None = block.true_labels
    assert labels is not None
    try:
        return check_sparse(labels, block.logits.shape[1], start=block.start, first_class=options.first_class).label
    except RowError as error:
        raise error.for_role("true_labels") from None
