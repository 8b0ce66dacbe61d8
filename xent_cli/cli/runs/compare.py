"""What `xent compare` does: read saved results and compare each candidate with the baseline."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from xent_cli import __version__
from xent_cli.cli.group_choice import group_choice
from xent_cli.cli.runs.figures.clusters import saved_cluster_notes
from xent_cli.core.diagnostics import Diagnostic, refuse_warnings
from xent_cli.core.statistics.comparison import (
    Change,
    Comparison,
    Model,
    ModelChange,
    MovedSample,
    adjusted,
    changes_of_divergence,
    changes_of_losses,
    changes_of_summaries,
    mean_change,
)
from xent_cli.core.statistics.flips import flips_of
from xent_cli.core.statistics.paired_test import compare_losses, largest_moves
from xent_cli.errors import UsageError, printable, without_secrets
from xent_cli.readers.saved.align import align
from xent_cli.readers.saved.comparable import figures_of, refuse_unlike, unverified
from xent_cli.readers.saved.documents import are_of_other_tokens
from xent_cli.readers.saved.group_by import column_of, groups, no_such_column
from xent_cli.readers.saved.operand import read_operand, refuse_other_prompts
from xent_cli.readers.saved.predicted import hits_of
from xent_cli.readers.saved.row_order import common_id, row_name
from xent_cli.readers.saved.saved_clusters import numbered, saved_clusters
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.readers.storage.locate import refuse_two_pipes
from xent_cli.readers.storage.reading import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.cli.group_choice import GroupChoice
    from xent_cli.cli.options import Origin
    from xent_cli.core.array_types import IntArray
    from xent_cli.core.statistics.paired_test import PairedComparison
    from xent_cli.readers.saved.align import AlignedLosses
    from xent_cli.readers.saved.saved_results import SavedResults


class CompareOptions(NamedTuple):
    """Options of `xent compare`.

    Fields
    ------
    top
        How many of the samples whose loss changed most are listed.
    choice
        The value of `--cluster`; filled in by `compare`.
    """

    baseline: str
    candidates: tuple[str, ...]
    id_column: str | None
    test: Literal["t", "bootstrap", "permutation"]
    confidence: float
    resamples: int
    seed: int
    by: tuple[str, ...]
    cluster: str | None
    top: int
    strict: bool
    origin: Origin
    choice: GroupChoice | None = None


def compare(options: CompareOptions) -> Comparison:
    """Carry out `xent compare` and return what changed.

    Raises
    ------
    InputError
        If results cannot be read, or are not of the same samples.
    UsageError
        If an option needs saved rows and a result is a summary.
    """
    if not 0.0 < options.confidence < 1.0:
        raise UsageError("--confidence is a share between 0 and 1, such as 0.95")
    options = options._replace(choice=None if options.cluster is None else group_choice(options.cluster, "--cluster"))
    named = [_named(text) for text in (options.baseline, *options.candidates)]
    refuse_two_pipes(*(path for _, path in named))
    asked = options.choice is not None and options.choice.kind == "column"
    columns = (*options.by, options.choice.name) if options.choice is not None and asked else options.by
    results = [read_operand(path, options.id_column, columns, __version__) for _, path in named]
    models = [
        Model(printable(label), without_secrets(path), result.signature)
        for (label, path), result in zip(named, results, strict=True)
    ]
    of_rows = all(result.kind == "rows" for result in results)
    joined_on = common_id(results) if of_rows else None
    if of_rows:
        changes = [
            _rows_against(results[0], result, model, options, joined_on is not None)
            for result, model in zip(results[1:], models[1:], strict=True)
        ]
    else:
        _refuse_for_summaries(options, results)
        changes = [
            _summary_against(results[0], result, model) for result, model in zip(results[1:], models[1:], strict=True)
        ]
    if of_rows and all(change.by_document for change in changes):
        joined_on = "cluster"
    refuse_changed()
    drawn = of_rows and options.test != "t"
    comparison = Comparison(
        version=__version__,
        kind="rows" if of_rows else "summary",
        baseline=models[0],
        candidates=adjusted(changes),
        joined_on=joined_on,
        test=options.test,
        confidence=options.confidence,
        resamples=options.resamples if drawn else None,
        seed=options.seed if drawn else None,
        general_diagnostics=options.origin.config_notes,
    )
    if options.strict:
        refuse_warnings(comparison.diagnostics)
    return comparison


def _named(text: str) -> tuple[str, str]:
    """Split `[label=]path` into label and path; a file may have an = in its name."""
    if is_url(text):  # a URL may have an = in its query
        return without_secrets(text), text
    label, _, path = text.partition("=")
    with suppress(OSError):  # for example because the name is too long
        if Path(text).exists():
            return text, text
    return (label, path) if label and path else (text, text)


def _rows_against(
    baseline: SavedResults,
    candidate: SavedResults,
    model: Model,
    options: CompareOptions,
    by_id: bool,
) -> ModelChange:
    if not by_id and are_of_other_tokens(baseline, candidate):
        from xent_cli.cli.runs.figures.per_document import per_document

        about_samples = {"--test": options.test != "t", "--by": bool(options.by)}
        return per_document(baseline, candidate, model, options.confidence, about_samples)
    refuse_unlike(baseline, candidate, by_id=by_id)
    refuse_other_prompts(baseline, candidate)
    both = align(baseline, candidate, by_id=by_id)
    both = replace(both, clusters=saved_clusters(options.choice, baseline, candidate, both))
    whole = _paired(both, None, options)
    changes = changes_of_losses(both.baseline, both.candidate, whole, weight=both.weight, divisor=both.divisor)
    if both.kl is not None:
        diverged = _paired(replace(both, baseline=both.kl[0], candidate=both.kl[1]), None, options)
        changes += changes_of_divergence(*both.kl, diverged, weight=both.weight, divisor=both.divisor)
    right = hits_of(baseline), hits_of(candidate)
    flips = None
    if right[0] is not None and right[1] is not None:
        before, after = right[0][both.rows], right[1][both.candidate_rows]
        # Every sample has weight 1, as in a summary.
        shares = before.astype(np.float64), after.astype(np.float64)
        of_shares = replace(both, baseline=shares[0], candidate=shares[1], weight=None, divisor=None)
        paired = _paired(of_shares, None, options)
        changes = (*changes, mean_change(paired, metric="accuracy"))
        flips = flips_of(before, after, clustered=both.clusters is not None)
    return ModelChange(
        model=model,
        changes=changes,
        slices=tuple(change for name in options.by for change in _slices(name, baseline, candidate, both, options)),
        moved=tuple(_moved(baseline, both, options.top, by_id)),
        n_ignored=both.n_ignored,
        diagnostics=tuple(_diagnostics(baseline, candidate, model, both, whole, options, by_id)),
        flips=flips,
        clustered_by=None if both.clusters is None else both.clusters.name,
    )


def _diagnostics(
    baseline: SavedResults,
    candidate: SavedResults,
    model: Model,
    both: AlignedLosses,
    whole: PairedComparison,
    options: CompareOptions,
    by_id: bool,
) -> Iterator[Diagnostic]:
    pair = printable(f"{model.label} against {baseline.path}")
    if whole.first_not_finite is not None:
        row = printable(row_name(baseline, int(both.rows[whole.first_not_finite]), by_id=by_id))
        found = f"{whole.n_not_finite} of {whole.n} samples have a NaN or infinite loss (first: {row})"
        yield Diagnostic("loss-not-finite", f"{pair}: {found}")
    if (baseline.predicted is None) != (candidate.predicted is None):
        lacking = baseline if baseline.predicted is None else candidate
        text = (
            f"{printable(lacking.path)} holds no predictions: accuracy is not compared; --columns predicted saves them"
        )
        yield Diagnostic("predictions-in-one", text, note=True)
    yield from unverified(baseline, candidate, by_id=by_id)
    yield from saved_cluster_notes(options.choice, both.clusters, whole)


def _paired(both: AlignedLosses, places: IntArray | None, options: CompareOptions) -> PairedComparison:
    """Compare the means of all samples, or of those at some places."""
    some: Any = slice(None) if places is None else places
    weight, divisor = (None if values is None else values[some] for values in (both.weight, both.divisor))
    cluster = None if both.clusters is None else both.clusters.cluster
    if cluster is not None and places is not None:
        cluster = numbered(cluster[places])
    return compare_losses(
        both.baseline[some],
        both.candidate[some],
        weight=weight,
        divisor=divisor,
        test=options.test,
        confidence=options.confidence,
        resamples=options.resamples,
        seed=options.seed,
        cluster=cluster,
    )


def _slices(
    name: str, baseline: SavedResults, candidate: SavedResults, both: AlignedLosses, options: CompareOptions
) -> Iterator[Change]:
    values = column_of(name, baseline, both.rows)
    if values is None:
        values = column_of(name, candidate, both.candidate_rows)
    if values is None:
        raise no_such_column(name, [baseline, candidate])
    for value, places in groups(values):
        paired = _paired(both, places, options)
        yield mean_change(paired, by=name, value=value)


def _moved(baseline: SavedResults, both: AlignedLosses, top: int, by_id: bool) -> Iterator[MovedSample]:
    for place in largest_moves(both.baseline, both.candidate, top):
        row = both.rows[place]
        yield MovedSample(
            sample=int(row if baseline.sample is None else baseline.sample[row]),
            id=str(baseline.ids[row]) if by_id and baseline.ids is not None else None,
            label=None if baseline.labels is None else str(baseline.labels[row]),
            baseline=float(both.baseline[place]),
            candidate=float(both.candidate[place]),
        )


def _summary_against(baseline: SavedResults, candidate: SavedResults, model: Model) -> ModelChange:
    refuse_unlike(baseline, candidate)
    before, after = figures_of(baseline), figures_of(candidate)
    figures = ((baseline.path, before), (candidate.path, after))
    absent = [printable(path) for path, held in figures if math.isnan(held["mean_loss"])]
    doubts = unverified(baseline, candidate)
    if absent:
        doubts = (Diagnostic("loss-not-finite", f"no finite mean loss in {' and '.join(absent)}"), *doubts)
    return ModelChange(model, changes_of_summaries(before, after), diagnostics=doubts)


def _refuse_for_summaries(options: CompareOptions, results: list[SavedResults]) -> None:
    summary = next(result.path for result in results if result.kind == "summary")
    per_sample = {
        "--test": options.test != "t",
        "--by": bool(options.by),
        "--cluster": options.choice is not None,
        "--top": "top" in options.origin.explicit,
        "--id-column": options.id_column is not None,
    }
    for option in (name for name, used in per_sample.items() if used):
        raise UsageError(
            f"{option} needs the losses of samples, and {printable(summary)} is a summary",
            hint="compare what xent compute -o writes",
        )
