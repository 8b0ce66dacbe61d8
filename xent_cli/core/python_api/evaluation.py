"""`evaluate`: the figures of arrays, of their groups, and per unit of text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xent_cli.core.confidence.calibration import EQUAL_WIDTH
from xent_cli.core.diagnostics import warnings_of
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import Outputs
from xent_cli.core.python_api.arguments import called_with, top_k_of
from xent_cli.core.python_api.groups import grouped
from xent_cli.core.python_api.hints import hinting, with_hints
from xent_cli.core.python_api.summary import LossSummary, Slice
from xent_cli.core.run_totals import RunTotals, per_unit
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.warnings import find_warnings
from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xent_cli.core.confidence.calibration import Binning
    from xent_cli.core.python_api.arguments import Call
    from xent_cli.core.python_api.functions import Precision
    from xent_cli.core.python_api.groups import Grouping


@hinting()
def evaluate(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
    top_k: tuple[int, ...] = (1,),
    by: Any = None,
    macro: Any = None,
    units: ArrayLike | None = None,
    cluster: Any = "default",
    calibration: bool = False,
) -> LossSummary:
    """Mean loss, its interval, sum, standard deviation, quantiles and accuracy; sums are exact and rounded once.

    Parameters
    ----------
    sample_weight
        Weights w >= 0, one for each sample or one for each position along the first axis: the mean is
        ``sum(w l) / sum(w)``. A sample of weight 0 is left out of every figure.
    top_k
        Values of k for the accuracy among the k highest logits; a tie goes to the lower class index.
    by
        Groups of samples, whose figures become `LossSummary.slices`: "label", the number of an axis of `logits`, a
        mapping from names to arrays with a number or a text for each sample or for each position along the first axis,
        a series with a name, or a list of these.
    macro
        Groups whose means are averaged: ``macro_loss`` is the mean over groups of their means, and
        ``macro_perplexity`` that of their perplexities. "label", the number of an axis, or an array as for `by`.
    units
        Number of bytes or words of each sample, or of each position along the first axis with all its samples, or of
        all samples together: ``bits_per_unit = sum(l) / (ln 2 sum(u))``.
    cluster
        Which samples are not independent, for `se_loss` and the interval: the number of an axis, an array as for `by`,
        or "none"; by default the first axis if samples have several.
    calibration
        Whether to compute the expected calibration error `ece`, in 15 bins of equal width, and the Brier score `brier`;
        labels must be class indices.

    Other parameters and errors are as for `softmax_cross_entropy_with_grad`.

    Examples
    --------
    >>> evaluate([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0]).mean_loss
    1.4076059644443801
    >>> evaluate([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [-100, 2], ignore_index=(-100, -1), mask=[True, True]).n_ignored
    1
    >>> found = evaluate([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0, 1, 1], by={"lang": ["de", "en", "en"]}, units=6)
    >>> [(entry.value, entry.summary.n_samples) for entry in found.slices], dict(found.by_group)["bits_per_unit"]
    ([('de', 1), ('en', 2)], 0.5)
    """
    call = called_with(
        logits,
        labels,
        axis=axis,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        mask=mask,
        temperature=temperature,
        precision=precision,
    )
    groups = grouped(call, logits, axis, by=by, macro=macro, units=units, cluster=cluster)
    if calibration and call.options.labels != "sparse":
        raise UsageError("calibration needs the label of each sample", found="rows of probabilities")
    return summary_of(groups.call, top_k_of(top_k), groups, EQUAL_WIDTH if calibration else None)


def summary_of(
    call: Call, top_k: tuple[int, ...], groups: Grouping | None = None, binning: Binning | None = None
) -> LossSummary:
    """Evaluate checked arguments; `InputError` if no sample counts."""
    outputs = Outputs(top_k=top_k) if groups is None else groups.outputs._replace(top_k=top_k)
    outputs = outputs._replace(calibration=binning)
    found = RunTotals(LossTotals(call.options.signature("")))
    for block in call.blocks:
        found = found.merge(evaluate_block(block, call.options, outputs).totals)
    totals = found.losses
    totals.refuse_nothing()
    summary = found.summarize()
    if groups is not None:
        summary = per_unit(summary, totals, groups.total_units, has_error=groups.has_error)
    warnings = with_hints(warnings_of(find_warnings(totals, call.options, call.num_classes)))
    slices = () if found.slices is None else found.slices.summaries()
    return LossSummary.of(replace(summary, warnings=warnings), (Slice(*entry) for entry in slices))
