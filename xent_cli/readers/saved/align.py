"""Aligns the saved rows of two runs, which must have the same samples with the same labels and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.saved.comparable import divisor_of
from xent_cli.readers.saved.row_order import more_of, order_by_id, order_by_place, row_name

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray, IntArray
    from xent_cli.readers.saved.saved_results import SavedResults


class SavedClusters(NamedTuple):
    """The clusters of aligned samples.

    Fields
    ------
    name
        What defines the clusters: "axis 0", 'column "doc"'.
    cluster
        [n] number of the cluster of each sample, from 0 in order of appearance.
    """

    name: str
    cluster: IntArray


@dataclass(frozen=True, slots=True)
class AlignedLosses:
    """Losses of the same samples in two runs, without the ignored ones.

    Fields
    ------
    baseline, candidate
        [n] nats; may be NaN or inf.
    rows, candidate_rows
        [n] positions of the samples in the two files.
    n_ignored
        Number of samples that have no loss in either file, or weight 0.
    weight, divisor
        [n] weight of each loss in the sum and in the divisor of the mean, the same for both; None if all are 1.
    kl
        [n] KL divergences of the baseline and of the candidate, if both have them.
    clusters
        Clusters of the samples; None if samples are independent, or if that is not known yet.
    """

    baseline: FloatArray
    candidate: FloatArray
    rows: IntArray
    candidate_rows: IntArray
    n_ignored: int
    weight: FloatArray | None = None
    divisor: FloatArray | None = None
    kl: tuple[FloatArray, FloatArray] | None = None
    clusters: SavedClusters | None = None


def align(baseline: SavedResults, candidate: SavedResults, *, by_id: bool) -> AlignedLosses:
    """Put the rows of `candidate` in the order of `baseline`.

    A row counts as ignored if neither file has a loss for it. If one file does not distinguish NaN from ignored and the
    other file has a loss, the missing one is NaN; if neither file distinguishes them, the two are not compared.

    Raises
    ------
    InputError
        If the number, ids, order, labels or weights of the samples differ, a sample is ignored in only one of them,
        or no sample is left.
    """
    assert baseline.loss is not None
    assert candidate.loss is not None
    assert baseline.ignored is not None
    assert candidate.ignored is not None
    order = order_by_id(baseline, candidate) if by_id else order_by_place(baseline, candidate)
    weight = _weights(baseline, candidate, order, "weight")
    class_weight = _weights(baseline, candidate, order, "class_weight")
    without = baseline.ignored, candidate.ignored[order]
    if weight is not None:
        without = without[0] | (weight == 0), without[1] | (weight == 0)
    _refuse_other_labels(baseline, candidate, order, without[0] & without[1])
    unclear = _unclear(baseline), _unclear(candidate)[order]
    only = without[0] & ~without[1] & ~unclear[0], without[1] & ~without[0] & ~unclear[1]
    _refuse_ignored_in_one(baseline, candidate, only[0], baseline)
    _refuse_ignored_in_one(candidate, baseline, only[1], baseline)
    _refuse_unclear(baseline, candidate, unclear[0] & unclear[1])
    rows = np.flatnonzero(~(without[0] & without[1]))
    if rows.size == 0:
        raise InputError("nothing left to compare", candidate.path, found=f"{order.size} samples, all without a loss")
    candidate_rows = order[rows]
    losses = baseline.loss[rows], candidate.loss[candidate_rows]
    weight, class_weight = (None if values is None else values[rows] for values in (weight, class_weight))
    divisor = divisor_of(weight, class_weight)
    if divisor is not None and not divisor.any():
        raise InputError("nothing left to compare", candidate.path, found="weights that sum to 0")
    kl = None
    if baseline.kl is not None and candidate.kl is not None:
        kl = baseline.kl[rows], candidate.kl[candidate_rows]
    return AlignedLosses(*losses, rows, candidate_rows, order.size - rows.size, weight, divisor, kl)


def _refuse_other_labels(baseline: SavedResults, candidate: SavedResults, order: IntArray, ignored: BoolArray) -> None:
    if baseline.labels is None or candidate.labels is None:
        return
    ours, theirs = _comparable(baseline.labels, candidate.labels[order])
    unlike = np.asarray(ours != theirs) & ~ignored
    if unlike.any():
        row = int(np.argmax(unlike))
        values = f"{candidate.labels[order[row]]}", f"{baseline.labels[row]}"
        error = _different("labels", "label", baseline, candidate, unlike, values)
        error.hint = "the two are not of the same samples"
        raise error


def _weights(baseline: SavedResults, candidate: SavedResults, order: IntArray, name: str) -> FloatArray | None:
    """Return the weights of the samples, which must be the same in both files.

    Raises
    ------
    InputError
        If only one file has weights, or they differ.
    """
    ours: FloatArray | None = getattr(baseline, name)
    theirs: FloatArray | None = getattr(candidate, name)
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        without, there = (baseline, candidate) if ours is None else (candidate, baseline)
        raise InputError(
            "weights in one file only",
            without.path,
            found=f'no column "{name}"' if without.format != "npy" else "an array, which has no place for weights",
            expected=f"weights as in {there.path}",
            hint="compute both with the same weights, and save rows as .parquet, .arrow, .csv, .tsv or .jsonl",
        )
    unlike = ours != theirs[order]
    if unlike.any():
        row = int(np.argmax(unlike))
        values = f"{theirs[order[row]]:g}", f"{ours[row]:g}"
        raise _different("weights", name, baseline, candidate, unlike, values)
    return ours


def _different(
    what: str, column: str, baseline: SavedResults, candidate: SavedResults, unlike: BoolArray, values: tuple[str, str]
) -> InputError:
    """Return the error for a column that differs; `values` are the first ones that do, of candidate and baseline."""
    return InputError(
        f"different {what}",
        f'{candidate.path} {row_name(baseline, int(np.argmax(unlike)))}, column "{column}"',
        found=values[0],
        expected=f"{values[1]} as in {baseline.path}",
        more=more_of(unlike),
    )


def _comparable(a: AnyArray, b: AnyArray) -> tuple[AnyArray, AnyArray]:
    return (a, b) if a.dtype == b.dtype else (a.astype(str), b.astype(str))


def _unclear(result: SavedResults) -> BoolArray:
    assert result.ignored is not None
    return np.zeros(result.ignored.size, np.bool_) if result.unclear is None else result.unclear


def _refuse_unclear(baseline: SavedResults, candidate: SavedResults, unclear: BoolArray) -> None:
    if unclear.any():
        raise InputError(
            "NaN that may be an ignored sample or a loss",
            f"{candidate.path} {row_name(baseline, int(np.argmax(unclear)))}",
            found=f"NaN, as in {baseline.path}",
            expected="one or the other, marked as such",
            hint="plain NaN says neither: xent compute -o marks ignored samples, in .npy too",
            more=more_of(unclear),
        )


def _refuse_ignored_in_one(first: SavedResults, second: SavedResults, only: BoolArray, named: SavedResults) -> None:
    if only.any():
        raise InputError(
            "ignored in one file only",
            f"{second.path} {row_name(named, int(np.argmax(only)))}",
            found="a loss",
            expected=f"none as in {first.path}",
            hint="compute both with the same --ignore-index",
            more=more_of(only),
        )
