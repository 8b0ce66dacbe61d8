"""Fits a temperature to the inputs of a run, in passes over the samples on its engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from xent_cli.core.confidence.fit_block import fit_block
from xent_cli.core.confidence.temperature import PassTotals, fit_temperature
from xent_cli.core.metrics import GAIN
from xent_cli.core.options import Outputs
from xent_cli.errors import InputError, RowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xent_cli.core.confidence.temperature import Step, TemperatureFit
    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.cluster_rule import ClusterRule
    from xent_cli.core.totals.summary import LossSummary
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.paired_inputs import Pair


def fit_on(
    pair: Pair,
    options: LossOptions,
    outputs: Outputs,
    engine: Engine,
    *,
    rule: ClusterRule | None = None,
    folds: int = 1,
    track: Callable[[Any], Any] = iter,
) -> TemperatureFit:
    """Fit a temperature to all samples that count; see `fit_temperature`.

    Parameters
    ----------
    rule
        Which cluster each sample belongs to, or None.
    track
        Shows the progress of each pass.

    Raises
    ------
    InputError
        At an invalid row, or if no temperature minimises the loss.
    """
    # The temperature is fitted to the plain loss, without class weights and label smoothing.
    options = replace(options, label_smoothing=0.0, class_weight=None)

    def run(step: Step) -> PassTotals:
        function = partial(fit_block, options=options, outputs=outputs, rule=rule, step=step)
        blocks: Iterable[PassTotals] = track(engine.map(function, pair.tasks()))
        return reduce(PassTotals.merge, blocks)

    try:
        return fit_temperature(run, folds)
    except RowError as error:
        raise pair.complete(error, options) from None
    except InputError as error:
        error.where = error.where or pair.logits.info.path
        raise


def with_gain(
    summary: LossSummary, pair: Pair, options: LossOptions, engine: Engine, track: Callable[[Any], Any]
) -> LossSummary:
    """Add to the figures of a run by how many nats the best temperature would lower its mean loss."""
    fit = fit_on(pair, options, Outputs(figures=False), engine, track=track)
    gain = summary.mean_loss - fit.after.mean_loss
    return replace(summary, calibration=(*summary.calibration, (GAIN, gain)))


def refuse_unfit(pair: Pair, source: str, what: str) -> None:
    """Refuse inputs that a temperature cannot be fitted to: anything but logits with labels, and pipes.

    Raises
    ------
    UsageError
        If the options say that the inputs are not logits with labels.
    InputError
        If an input is a pipe.
    """
    if pair.tokens_only:
        from xent_cli.cli.runs.inputs.declared_kind import refused_beside_tokens

        raise refused_beside_tokens(what)
    if pair.partial:
        from xent_cli.core.checks.every_class import needs_every_class

        raise needs_every_class(what)
    if source != "logits":
        hint = "log-probs are logits too: leave --from out" if source == "log-probs" else ""
        raise UsageError(f"{what} is about logits, and --from says {source}", hint=hint)
    if pair.label_form != "sparse":
        raise UsageError(f"{what} needs the label of each sample", hint="labels are rows of probabilities here")
    if not pair.again:
        raise InputError(
            "an input that can be read only once",
            pair.logits.info.path,
            found="a pipe",
            expected=f"files, which {what} reads several times",
            hint="save it to a file first",
        )
