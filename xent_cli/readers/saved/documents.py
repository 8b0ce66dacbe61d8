"""Rows from two tokenisers, summed by document: the tokens differ, but the documents and their units are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.errors import InputError, listing

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.readers.saved.saved_results import SavedResults


class Documents(NamedTuple):
    """Sums over the documents of one result.

    Fields
    ------
    names
        [G] numbers or texts, ascending.
    loss, units
        [G] nats, and units of text.
    """

    names: AnyArray
    loss: FloatArray
    units: FloatArray


def are_of_other_tokens(baseline: SavedResults, candidate: SavedResults) -> bool:
    """Whether two results have documents with units, but not the same tokens."""
    if any(result.clusters is None or result.units is None for result in (baseline, candidate)):
        return False
    if baseline.loss is None or candidate.loss is None or baseline.loss.size != candidate.loss.size:
        return True
    if baseline.labels is not None and candidate.labels is not None:
        return not np.array_equal(baseline.labels, candidate.labels)
    return None not in (baseline.digest, candidate.digest) and baseline.digest != candidate.digest


def same_documents(baseline: SavedResults, candidate: SavedResults) -> tuple[Documents, Documents]:
    """Sum the rows of both by document.

    Raises
    ------
    InputError
        If one has a document that the other lacks, a document has no units, or it has two numbers of units.
    """
    ours, theirs = documents_of(baseline), documents_of(candidate)
    for one, other, path, where in (
        (ours, theirs, baseline.path, candidate.path),
        (theirs, ours, candidate.path, baseline.path),
    ):
        lacking = sorted({*map(str, one.names.tolist())} - {*map(str, other.names.tolist())})
        if lacking:
            raise InputError(
                "different documents",
                where,
                found=f"no document {listing(lacking)}",
                expected=f"the documents of {path}",
                hint="column cluster names the document of each row",
            )
    order = {str(name): place for place, name in enumerate(theirs.names.tolist())}
    places = np.array([order[str(name)] for name in ours.names.tolist()])
    return ours, Documents(*(values[places] for values in theirs))


def documents_of(result: SavedResults) -> Documents:
    """Sum the losses and units of the rows that count by document."""
    assert result.loss is not None
    assert result.ignored is not None
    assert result.clusters is not None
    assert result.units is not None
    counted = ~result.ignored if result.weight is None else ~result.ignored & (result.weight > 0)
    if not counted.any():
        raise InputError("nothing left to average", result.path, found="rows that are all ignored")
    clusters = result.clusters[counted]
    if clusters.dtype == object and any(name is None for name in clusters.tolist()):
        raise InputError("a row without a document", result.path, expected="a value of cluster in every row")
    weight = np.ones(clusters.size) if result.weight is None else result.weight[counted]
    names, at = np.unique(clusters, return_inverse=True)
    loss = np.bincount(at, result.loss[counted] * weight, names.size).astype(np.float64)
    amounts = result.units[counted]
    if result.units_shared:
        units = np.zeros(names.size)
        units[at] = amounts
        if (units[at] != amounts).any():
            row = names[at[np.argmax(units[at] != amounts)]]
            raise InputError("two numbers of units for one document", result.path, found=f"document {row}")
    else:
        units = np.bincount(at, amounts * weight, names.size).astype(np.float64)
    if not units.sum() > 0:
        raise InputError("no units", result.path, found="units that sum to 0", expected="at least one unit")
    return Documents(names, loss, units)
