"""The one loop: blocks in, losses and totals out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xent_cli.core.cross_entropy import cross_entropy
from xent_cli.core.exact_sum import ExactSum
from xent_cli.core.labels import SUM_TOLERANCE, check_dense, check_sparse, check_weights
from xent_cli.core.options import LossOptions
from xent_cli.core.ranks import label_ranks
from xent_cli.core.totals import LossTotals
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from xent_cli.core.block import AnyArray, Block, BoolArray, FloatArray, IntArray, Task
    from xent_cli.core.cross_entropy import RowLosses
    from xent_cli.core.naive import FormulaTotals
    from xent_cli.core.options import Wanted
    from xent_cli.core.slices import LossSlices

    Item = TypeVar("Item")
    Result = TypeVar("Result")


class Map(Protocol):
    """How an engine runs tasks: results come in task order. The built-in `map` is one."""

    def __call__(self, function: Callable[[Item], Result], tasks: Iterable[Item], /) -> Iterator[Result]:
        """Call `function` on each task."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockLoss:
    """What came of one block.

    Fields
    ------
    start, size
        First sample and number of samples.
    totals
        Of this block alone.
    loss
        [n] nats, NaN where ignored; None unless asked for, as are all below.
    ignored
        [n] True where a sample has no loss; None where every sample has one.
    labels
        [n] sparse labels as they stand in the input, or None where they are dense.
    ids
        [n] names, or None.
    kl
        [n] KL divergence from a teacher in nats, or None.
    gradient
        [n, k], or None.
    groups
        [n, m] texts of the columns whose values name slices, or None.
    """

    start: int
    size: int
    totals: LossTotals
    loss: FloatArray | None = None
    ignored: BoolArray | None = None
    labels: IntArray | None = None
    ids: AnyArray | None = None
    kl: FloatArray | None = None
    gradient: AnyArray | None = None
    groups: AnyArray | None = None


def evaluate_blocks(
    tasks: Iterable[Task],
    options: LossOptions,
    wanted: Wanted,
    map: Map = map,  # noqa: A002
) -> Iterator[BlockLoss]:
    """Evaluate every task, in order; `map` says where."""
    return map(partial(evaluate_block, options=options, wanted=wanted), tasks)


def evaluate_block(task: Task, options: LossOptions, wanted: Wanted) -> BlockLoss:
    """Load a block, check its labels, compute its losses and total them.

    Raises
    ------
    RowError
        At a label, soft label or weight that is not valid.
    """
    block = task.load()
    labels, ignored, given = _check(block, options)
    weight, divisor = _weights(block, labels, options)
    scale = None
    if wanted.gradient_dtype is not None:
        scale = np.full(len(block.logits), 1.0) if weight is None else weight
        scale = scale / wanted.gradient_denominator
    rows = _losses(block, labels, options, wanted.gradient_dtype, scale)
    if rows.gradient is not None and ignored is not None:
        rows.gradient[ignored] = 0
    ranks = _ranks(block, labels, rows, options) if wanted.top_k else None
    totals = LossTotals.from_losses(
        options.signature(""),
        rows.loss,
        start=block.start,
        ignored=ignored,
        weight=weight,
        divisor=divisor,
        figures=wanted.figures,
        worst_wanted=max(1, wanted.worst),
        labels=given,
        ids=block.ids,
        ranks=ranks,
        top_k=wanted.top_k,
        kl=rows.kl,
    )
    totals = _notice(totals, block, labels, ignored, rows, options, wanted)
    if wanted.by:
        totals = replace(totals, slices=_slices(block, ignored, rows, weight, divisor, ranks, wanted))
    if not wanted.losses:
        return BlockLoss(block.start, rows.loss.size, totals, gradient=rows.gradient)
    if ignored is not None:
        rows.loss[ignored] = np.nan
        if rows.kl is not None:
            rows.kl[ignored] = np.nan
    # The labels may be on loan from a reader that uses their memory again for the next block.
    given = None if given is None else given.copy()
    columns = rows.loss, ignored, given, block.ids, rows.kl, rows.gradient, block.groups
    return BlockLoss(block.start, rows.loss.size, totals, *columns)


def weigh_block(task: Task, options: LossOptions) -> ExactSum:
    """What the mean of a block's losses is divided by; with it, gradients of the mean can be had in one pass."""
    block = task.load()
    labels, ignored, _ = _check(block, options)
    _, divisor = _weights(block, labels, options)
    if divisor is None:
        n = len(labels) - (0 if ignored is None else int(np.count_nonzero(ignored)))
        return ExactSum.of_count(n)
    return ExactSum.of(divisor if ignored is None else divisor[~ignored])


def _losses(
    block: Block, labels: AnyArray, options: LossOptions, gradient_dtype: str | None, scale: FloatArray | None
) -> RowLosses:
    """The kernel for what the inputs hold."""
    if options.labels_source != "labels":
        from xent_cli.core.teacher import teacher_cross_entropy

        return teacher_cross_entropy(block.logits, labels, options, gradient_dtype=gradient_dtype, gradient_scale=scale)
    if options.source != "logits":
        from xent_cli.core.probabilities import given_cross_entropy

        return given_cross_entropy(block.logits, labels, options, start=block.start)
    return cross_entropy(block.logits, labels, options, gradient_dtype=gradient_dtype, gradient_scale=scale)


def _check(block: Block, options: LossOptions) -> tuple[AnyArray, BoolArray | None, IntArray | None]:
    """Labels a kernel can use, which samples are ignored, and the sparse labels as given."""
    if block.logits.dtype.kind not in "biuf":
        raise InputError("logits are not numbers", found=f"dtype {block.logits.dtype}", expected="floats or integers")
    num_classes = block.logits.shape[1]
    if options.labels_source in ("logits", "log-probs"):
        return block.labels, block.unscored, None
    if options.labels == "dense":
        check_dense(block.labels, start=block.start)
        return block.labels, block.unscored, None
    index, ignored = check_sparse(
        block.labels,
        num_classes,
        ignore_index=options.ignore_index,
        unscored=block.unscored,
        start=block.start,
    )
    given = index
    if ignored is not None and options.ignore_index is not None:
        given = np.where(ignored, options.ignore_index, index)
    return index, ignored, given


def _same_loss(a: LossOptions, b: LossOptions) -> bool:
    """Whether the losses of samples that are not ignored are the same under both."""
    a, b = (replace(options, axis=0, ignore_index=None, shift=0, sample_weighted=False) for options in (a, b))
    return a.class_weight is b.class_weight and a == b


def _weights(block: Block, labels: AnyArray, options: LossOptions) -> tuple[FloatArray | None, FloatArray | None]:
    """What each loss counts in the sum and in the divisor of the mean; None where that is 1."""
    weight = None if block.weights is None else check_weights(block.weights, start=block.start)
    # As in PyTorch, class weights enter the divisor with sparse labels, and only the losses with dense ones.
    by_class = options.class_weight[labels] if options.class_weight is not None and labels.ndim == 1 else None
    if weight is None or by_class is None:
        return weight, by_class if weight is None else weight
    return weight, weight * by_class


def _ranks(block: Block, labels: AnyArray, rows: RowLosses, options: LossOptions) -> IntArray:
    """Place of each label among the logits, from 0; of dense labels, that of the likeliest class."""
    plain = labels.ndim == 1 and not options.label_smoothing and options.class_weight is None
    index = labels if labels.ndim == 1 else labels.argmax(axis=1)
    certain = rows.loss if plain and options.temperature == 1.0 and options.source == "logits" else None
    return label_ranks(block.logits, index, certain)


def _slices(
    block: Block,
    ignored: BoolArray | None,
    rows: RowLosses,
    weight: FloatArray | None,
    divisor: FloatArray | None,
    ranks: IntArray | None,
    wanted: Wanted,
) -> LossSlices:
    """The samples by the values of the columns asked for."""
    from xent_cli.core.group_totals import Scored
    from xent_cli.core.slices import slices_of

    assert block.groups is not None
    scored = None if ignored is None else ~ignored

    def kept(values: AnyArray) -> AnyArray:
        return values if scored is None else values[scored]

    loss = kept(rows.loss)
    product = None
    if divisor is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            product = loss if weight is None else loss * kept(weight)
    samples = Scored(
        sample=kept(np.arange(block.start, block.start + rows.loss.size)),
        loss=loss,
        product=product,
        divisor=None if divisor is None else kept(divisor),
        hits={} if ranks is None else {k: kept(ranks) < k for k in sorted(set(wanted.top_k))},
        kl=None if rows.kl is None else kept(rows.kl),
    )
    return slices_of(wanted.by, block.groups, samples, scored, figures=wanted.figures)


def _notice(
    totals: LossTotals,
    block: Block,
    labels: AnyArray,
    ignored: BoolArray | None,
    rows: RowLosses,
    options: LossOptions,
    wanted: Wanted,
) -> LossTotals:
    """Add what is counted beside the losses."""
    scored = None if ignored is None else ~ignored
    label_range = None
    unnormalised = rows.unnormalised
    if labels.ndim == 1:
        counted = labels if scored is None else labels[scored]
        label_range = (int(counted.min()), int(counted.max())) if counted.size else None
    elif options.labels_source in ("labels", "probs"):
        with np.errstate(over="ignore"):
            off = np.abs(labels.sum(axis=1, dtype=np.float64) - 1.0) > SUM_TOLERANCE
        unnormalised += int(np.count_nonzero(off))
    formulas: tuple[FormulaTotals, ...] = ()
    if wanted.overflow:
        from xent_cli.core.naive import try_formulas

        # The textbook formula knows no smoothing, weights or temperature; nor may what it is held against.
        usual = LossOptions(labels=options.labels)
        truth = rows.loss if _same_loss(options, usual) else cross_entropy(block.logits, labels, usual).loss
        formulas = tuple(
            try_formulas(block.logits, labels, truth, dtype, start=block.start, scored=scored)
            for dtype in wanted.overflow
        )
    profile = None
    if wanted.profile and labels.ndim == 1:
        from xent_cli.core.profile import profile_of, unsmoothed

        predicted = block.logits.argmax(axis=1)
        predicted_loss = _losses(block, predicted, unsmoothed(options), None, None).loss
        profile = profile_of(labels, rows.loss, predicted, predicted_loss, scored)
    digest = None
    if wanted.digest:
        from xent_cli.core.label_digest import label_digest

        digest = label_digest(labels, block.start, ignored, block.weights)
    return replace(
        totals,
        digest=digest,
        softmaxed=rows.softmaxed,
        unnormalised=unnormalised,
        label_range=label_range,
        formulas=formulas,
        profile=profile,
    )
