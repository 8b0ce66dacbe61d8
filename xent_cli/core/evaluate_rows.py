"""Evaluate rows that all count: check their labels, and compute losses and what is counted along with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.counted_rows import Evaluated
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.labels.check_labels import check_dense, check_sparse
from xent_cli.core.options import LossOptions
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.core.block import Block
    from xent_cli.core.confidence.calibration import Calibration
    from xent_cli.core.kernel.cross_entropy import RowLosses
    from xent_cli.core.kernel.streamed_logits import StreamedLosses
    from xent_cli.core.kernel.textbook_formula import FormulaTotals
    from xent_cli.core.options import Outputs


def evaluate_rows(block: Block, weight: FloatArray | None, options: LossOptions, outputs: Outputs) -> Evaluated:
    """Check the labels of rows and compute the requested outputs.

    Parameters
    ----------
    weight
        [n] sample weights, or None; those of the block are not used.

    Raises
    ------
    RowError
        At an invalid label or soft label.
    """
    if block.logit_bounds is not None or block.label_bounds is not None:
        from xent_cli.core.evaluate_partial import evaluate_partial

        return evaluate_partial(block, weight, options, outputs)
    labels, ignored, written = check_labels(block, options)
    # Found before rows are scaled or exponentiated, which does not change which entry is the highest.
    likeliest = labels.argmax(axis=1) if labels.ndim == 2 and (outputs.top_k or outputs.digest) else None
    unnormalised: dict[str, int] = {}
    if options.source != "logits" or labels.ndim == 2:
        from xent_cli.core.checks.probabilities import labels_as_declared, logits_as_declared

        logits, off = logits_as_declared(block.logits, options, block.start)
        labels, labels_off = labels_as_declared(labels, options, block.start)
        unnormalised = {"unnormalised": off, "unnormalised_labels": labels_off}
        block = block._replace(logits=logits)
    scale = None
    if outputs.gradient_dtype is not None:
        scale = np.full(len(block.logits), 1.0) if weight is None else weight
        # A divisor of 0 is refused at the end of the run: then no sample counts.
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            scale = scale / outputs.gradient_denominator
    streamed = _streamed(block, labels, options, outputs)
    rows = streamed[0] if streamed else _losses(block, labels, options, outputs.gradient_dtype, scale)
    if rows.gradient is not None and ignored is not None:
        rows.gradient[ignored] = 0
    if rows.gradient is not None and options.binary:
        rows = rows._replace(gradient=rows.gradient[:, 1:])
    ranks = streamed[1].ranks if streamed else None
    if outputs.top_k and not streamed:
        ranks = _ranks(block, labels if likeliest is None else likeliest, rows, options)
    scored = None if ignored is None else ~ignored
    label_range = None
    if labels.ndim == 1:
        counted = labels if scored is None else labels[scored]
        label_range = (int(counted.min()), int(counted.max())) if counted.size else None
    return Evaluated(
        rows,
        ignored,
        written,
        divisor_of(weight, labels, options),
        ranks,
        {"softmaxed": rows.softmaxed, "label_range": label_range, **unnormalised},
        likeliest,
        _calibration(block, labels, rows, weight, options, outputs, scored) if outputs.calibration else None,
        _formulas(block, labels, rows, options, outputs, scored) if outputs.overflow else (),
        _beside(block, labels, options, outputs) if outputs.figures and options.labels_source != "labels" else {},
        streamed[1].peaks if streamed else None,
    )


def only_losses(options: LossOptions, outputs: Outputs) -> bool:
    """Whether all that is computed from logits are losses against class indices and ranks, by the compiled kernel."""
    if options.source != "logits" or options.labels_source != "labels" or options.labels != "sparse":
        return False
    plain = options.kernel != "numpy" and not (options.label_smoothing or options.masked or options.sample_weighted)
    more = outputs.gradient_dtype or outputs.overflow or outputs.calibration or outputs.worst or outputs.columns
    return plain and not options.binary and not more


def check_labels(block: Block, options: LossOptions) -> tuple[AnyArray, BoolArray | None, IntArray | None]:
    """Return labels that a kernel can use, which samples are ignored, and sparse labels as written in the input."""
    if block.logits.dtype.kind not in "biuf":
        raise InputError("logits are not numbers", found=f"dtype {block.logits.dtype}", expected="floats or integers")
    num_classes = block.logits.shape[1]
    if options.labels_source in ("logits", "log-probs"):
        return block.labels, block.unscored, None
    if options.labels == "dense":
        check_dense(block.labels, start=block.start)
        return block.labels, block.unscored, None
    return check_sparse(
        block.labels,
        num_classes,
        ignore_index=options.ignore_index,
        ignore_missing=options.ignore_missing,
        unscored=block.unscored,
        start=block.start,
        first_class=options.first_class,
    )


def divisor_of(weight: FloatArray | None, labels: AnyArray, options: LossOptions) -> FloatArray | None:
    """Return the weight of each loss in the divisor of the mean; None if all are 1."""
    # As in PyTorch, class weights enter the divisor with sparse labels, and only the losses with dense ones.
    by_class = options.class_weight[labels] if options.class_weight is not None and labels.ndim == 1 else None
    if weight is None or by_class is None:
        return by_class if weight is None else weight
    return weight * by_class


def _losses(
    block: Block, labels: AnyArray, options: LossOptions, gradient_dtype: str | None, scale: FloatArray | None
) -> RowLosses:
    """Call the kernel for the kind of values that the inputs hold."""
    if options.labels_source != "labels":
        from xent_cli.core.kernel.distillation import teacher_cross_entropy

        return teacher_cross_entropy(block.logits, labels, options, gradient_dtype=gradient_dtype, gradient_scale=scale)
    if options.source != "logits":
        from xent_cli.core.kernel.from_probabilities import probability_cross_entropy

        return probability_cross_entropy(block.logits, labels, options, start=block.start)
    return cross_entropy(block.logits, labels, options, gradient_dtype=gradient_dtype, gradient_scale=scale)


def _streamed(
    block: Block, labels: AnyArray, options: LossOptions, outputs: Outputs
) -> tuple[RowLosses, StreamedLosses] | None:
    """Compute losses and ranks as the classes are read, if the logits are `StreamedLogits`; else return None."""
    if isinstance(block.logits, np.ndarray):
        return None
    from xent_cli.core.kernel.cross_entropy import streamed_cross_entropy

    return streamed_cross_entropy(block.logits, labels, options, ranks=bool(outputs.top_k))


def _beside(block: Block, labels: AnyArray, options: LossOptions, outputs: Outputs) -> Mapping[str, FloatArray]:
    """Compute the requested figures of the divergence from a teacher, and those of true labels."""
    found: dict[str, FloatArray] = {}
    if outputs.divergences:
        from xent_cli.core.kernel.teacher_figures import teacher_figures

        found = teacher_figures(block.logits, labels, options, outputs.divergences)
    return found if block.true_labels is None else found | _at_true_labels(block, labels, options)


def _at_true_labels(block: Block, teacher: AnyArray, options: LossOptions) -> dict[str, FloatArray]:
    """Compare the probabilities that a model and its teacher give to the true labels."""
    from xent_cli.core.evaluate_partial import true_labels
    from xent_cli.core.kernel.label_figures import label_figures

    truth = true_labels(block, options)
    own = replace(options, labels="sparse", labels_source="labels")
    source: Any = options.labels_source
    taught = replace(own, source=source, temperature=options.teacher_temperature)
    loss, teacher_loss = (
        _losses(block._replace(logits=rows), truth, side, None, None).loss
        for rows, side in ((block.logits, own), (teacher, taught))
    )
    return label_figures(loss, teacher_loss)


def unsmoothed_losses(block: Block, labels: IntArray, options: LossOptions) -> FloatArray:
    """Return -log of the probability of a class of each row, in nats: the loss without smoothing or class weights."""
    plain: Any = {"label_smoothing": 0.0, "class_weight": None, "labels": "sparse", "labels_source": "labels"}
    return _losses(block, labels, replace(options, **plain), None, None).loss


def _same_loss(a: LossOptions, b: LossOptions) -> bool:
    """Whether both give the same losses to samples that are not ignored."""
    same: Any = {"sample_weighted": False, "masked": False}
    a, b = (replace(options, axis=0, ignore_index=(), ignore_missing=False, shift=0, **same) for options in (a, b))
    return a.class_weight is b.class_weight and a == b


def _ranks(block: Block, index: IntArray, rows: RowLosses, options: LossOptions) -> IntArray:
    """Rank each label among the logits, from 0; for dense labels, the likeliest class."""
    plain = options.labels == "sparse" and not options.label_smoothing and options.class_weight is None
    certain = rows.loss if plain and options.temperature == 1.0 and options.source == "logits" else None
    return label_ranks(block.logits, index, certain)


def _formulas(
    block: Block, labels: AnyArray, rows: RowLosses, options: LossOptions, outputs: Outputs, scored: BoolArray | None
) -> tuple[FormulaTotals, ...]:
    """Compare the textbook formula with the true losses, in each requested dtype."""
    from xent_cli.core.kernel.textbook_formula import try_formulas

    # The textbook formula knows no smoothing, weights or temperature, so the reference must not either.
    plain = LossOptions(labels=options.labels, kernel=options.kernel)
    truth = rows.loss if _same_loss(options, plain) else cross_entropy(block.logits, labels, plain).loss
    return tuple(
        try_formulas(block.logits, labels, truth, dtype, start=block.start, scored=scored) for dtype in outputs.overflow
    )


def _calibration(
    block: Block,
    labels: AnyArray,
    rows: RowLosses,
    weight: FloatArray | None,
    options: LossOptions,
    outputs: Outputs,
    scored: BoolArray | None,
) -> Calibration | None:
    """Compare the confidence in the predicted classes with their accuracy; None for dense labels."""
    if labels.ndim == 2 or outputs.calibration is None:
        return None
    from xent_cli.core.confidence.calibration import Calibration, Judged
    from xent_cli.core.kernel.brier import brier_scores
    from xent_cli.core.totals.quantiles import EXACT_ROWS

    predicted = block.logits.argmax(axis=1)
    predicted_loss = unsmoothed_losses(block, predicted, options)
    samples = Judged(labels, predicted, rows.loss, predicted_loss, brier_scores(block.logits, labels, options), weight)
    if scored is not None:
        samples = Judged(*(None if values is None else values[scored] for values in samples))  # type: ignore[arg-type]
    exact_rows = EXACT_ROWS // outputs.states
    return Calibration.of(samples, outputs.calibration, classes=outputs.by_class, exact_rows=exact_rows)


def class_weight_of(found: Evaluated, options: LossOptions) -> FloatArray | None:
    """Return the class weight in the loss of each sample; 0 where there is no loss."""
    if options.class_weight is None or found.labels is None:
        return None
    if found.ignored is None:
        return options.class_weight[found.labels - options.first_class]
    index = np.where(found.ignored, options.first_class, found.labels) - options.first_class
    weights: FloatArray = np.where(found.ignored, 0.0, options.class_weight[index])
    return weights
