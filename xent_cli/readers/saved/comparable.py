"""Whether two saved results share settings, labels and samples, and which of these are unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.number_text import shape_text
from xent_cli.core.options import settings_of
from xent_cli.errors import InputError
from xent_cli.readers.saved.predicted import hits_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.saved.saved_results import SavedResults

# In the order of the signature, weights last.
_WEIGHTS = ("class_weight", "sample_weight")


def refuse_unlike(baseline: SavedResults, candidate: SavedResults, *, by_id: bool = False) -> None:
    """Refuse results with different settings or labels, and figures over different numbers of samples.

    A different kernel is not a reason to refuse: see `other_kernels`. If both have labels in their rows, these are
    compared one by one when the rows are aligned.

    Raises
    ------
    InputError
        With the differences by name.
    """
    refuse_other_settings(baseline, candidate)
    if _in_other_shapes(baseline, candidate):
        raise InputError(
            "losses of different shapes",
            candidate.path,
            found=shape_text(candidate.shape or ()),
            expected=f"{shape_text(baseline.shape or ())} as in {baseline.path}",
        )
    if _have_digests(baseline, candidate, by_id=by_id) and baseline.digest != candidate.digest:
        raise InputError(
            "different labels",
            candidate.path,
            found=f"labels with digest {candidate.digest}",
            expected=f"{baseline.digest} as in {baseline.path}",
            hint="both must be scored against the same labels (and sample weights), in the same order",
        )


def refuse_other_settings(baseline: SavedResults, candidate: SavedResults) -> None:
    """Refuse results with different settings, and figures over different numbers of samples.

    Raises
    ------
    InputError
        With the differences by name.
    """
    unlike = [f"{name} {found}, not {wanted}" for name, found, wanted in _unlike(baseline, candidate)]
    if unlike:
        raise InputError(
            "results that cannot be compared",
            candidate.path,
            found="; ".join(unlike),
            expected=f"the same as in {baseline.path}",
            hint="compute both of the same samples with the same options",
        )


def unverified(baseline: SavedResults, candidate: SavedResults, *, by_id: bool = False) -> tuple[Diagnostic, ...]:
    """Warn about unknown settings and labels, which cannot be checked to be the same.

    Different kernels are noted: their losses differ by a unit or two in the last place.
    """
    found = []
    kernels = other_kernels(baseline, candidate)
    if kernels is not None:
        message = f"the {kernels[1]} kernel computed {candidate.path}, and the {kernels[0]} kernel {baseline.path}"
        found.append(Diagnostic("other-kernel", f"{message}: the last digits of losses may differ", note=True))
    silent = [result.path for result in (baseline, candidate) if result.signature is None]
    if silent:
        message = f"{_listed(silent, 'no settings')}: whether both were computed with the same ones is not known"
        found.append(Diagnostic("settings-unknown", message))
    if not _have_digests(baseline, candidate, by_id=by_id) and not _have_labels(baseline, candidate):
        silent = [result.path for result in (baseline, candidate) if result.digest is None and result.labels is None]
        lacking = _listed(silent, "no labels, nor a digest of them") if silent else "rows joined by id hold no labels"
        found.append(Diagnostic("labels-unknown", f"{lacking}: whether both are of the same labels is not known"))
    return tuple(found)


def other_kernels(baseline: SavedResults, candidate: SavedResults) -> tuple[str, str] | None:
    """Return the kernels of both if they are known and different."""
    if baseline.signature is None or candidate.signature is None:
        return None
    ours, theirs = settings_of(baseline.signature)["kernel"], settings_of(candidate.signature)["kernel"]
    return None if ours == theirs else (ours, theirs)


def figures_of(result: SavedResults) -> Mapping[str, Any]:
    """Return the figures of saved results by name: those of a document, or computed from rows and their weights."""
    if result.summary is not None:
        return result.summary
    from xent_cli.core.totals.total_losses import total_losses

    assert result.loss is not None
    assert result.ignored is not None
    ignored = result.ignored if result.weight is None else result.ignored | (result.weight == 0)
    divisor = divisor_of(result.weight, result.class_weight)
    divergence = None if result.kl is None else {"kl_divergence": result.kl}
    totals = total_losses(
        "", result.loss, ignored=ignored, weight=result.weight, divisor=divisor, divergence=divergence
    )
    figures = totals.summarize().as_dict()
    hits = hits_of(result)
    if hits is not None and totals.n_samples:
        figures["accuracy"] = int(np.count_nonzero(hits & ~ignored)) / totals.n_samples
    return figures


def divisor_of(weight: FloatArray | None, class_weight: FloatArray | None) -> FloatArray | None:
    """Return the weight of each loss in the divisor of the mean; None if all are 1."""
    if weight is None or class_weight is None:
        return class_weight if weight is None else weight
    return weight * class_weight


def _unlike(baseline: SavedResults, candidate: SavedResults) -> Iterator[tuple[str, str, str]]:
    if "summary" in (baseline.kind, candidate.kind):
        ours, theirs = figures_of(baseline), figures_of(candidate)
        for count in ("n_samples", "n_ignored"):
            if ours.get(count) != theirs.get(count):
                yield count, str(theirs.get(count)), str(ours.get(count))
    if baseline.signature is not None and candidate.signature is not None:
        settings = settings_of(baseline.signature), settings_of(candidate.signature)
        for name in settings[0] | settings[1]:
            wanted, found = (side.get(name, "absent") for side in settings)
            if wanted != found and name != "kernel":
                yield name, found, wanted
        return
    weights = _weights(baseline), _weights(candidate)
    for name in _WEIGHTS:
        wanted, found = (side[name] for side in weights)
        if wanted != found:
            yield name, found, wanted


def _weights(result: SavedResults) -> dict[str, str]:
    """Return which weights the figures were computed with, if settings and columns say so."""
    there = {"class_weight": result.class_weight, "sample_weight": result.weight}
    settings = {} if result.signature is None else settings_of(result.signature)
    found = {}
    for name in _WEIGHTS:
        # With dense labels the loss itself contains the class weights; all rows count the same.
        if settings.get("labels") == "dense" and name == "class_weight":
            found[name] = "none"
        else:
            found[name] = "none" if there[name] is None and settings.get(name, "none") == "none" else "given"
    return found


def _in_other_shapes(baseline: SavedResults, candidate: SavedResults) -> bool:
    """Whether arrays with the same number of losses have different shapes, so that positions do not match."""
    if baseline.shape is None or candidate.shape is None or baseline.loss is None or candidate.loss is None:
        return False
    return baseline.loss.size == candidate.loss.size and baseline.shape != candidate.shape


def _have_digests(baseline: SavedResults, candidate: SavedResults, *, by_id: bool) -> bool:
    """Whether both have digests that can be compared: these depend on the order of the samples."""
    if baseline.digest is None or candidate.digest is None or _have_labels(baseline, candidate):
        return False
    return not by_id or np.array_equal(np.asarray(baseline.ids, object), np.asarray(candidate.ids, object))


def _have_labels(baseline: SavedResults, candidate: SavedResults) -> bool:
    return baseline.labels is not None and candidate.labels is not None


def _listed(paths: list[str], what: str) -> str:
    paths = list(dict.fromkeys(paths))
    return f"{' and '.join(paths)} {'holds' if len(paths) == 1 else 'hold'} {what}"
