"""Two models that split the same documents into different tokens, compared by their losses per unit of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.statistics.comparison import Change, ModelChange
from xent_cli.core.statistics.per_unit import compare_per_unit
from xent_cli.errors import UsageError, printable
from xent_cli.readers.saved.comparable import refuse_other_settings, unverified
from xent_cli.readers.saved.documents import same_documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.statistics.comparison import Model
    from xent_cli.readers.saved.saved_results import SavedResults


def per_document(
    baseline: SavedResults,
    candidate: SavedResults,
    model: Model,
    confidence: float,
    about_samples: Mapping[str, bool],
) -> ModelChange:
    """Compare two models document by document.

    Parameters
    ----------
    about_samples
        Options that require the same samples in both, and whether each is used.

    Raises
    ------
    InputError
        If settings or documents differ.
    UsageError
        If such an option is used.
    """
    for option, used in about_samples.items():
        if used:
            needed = f"{option} requires the same tokens in both, and {printable(candidate.path)} has different ones"
            raise UsageError(needed, hint="documents are compared by bits per unit, with Student's t")
    refuse_other_settings(baseline, candidate)
    ours, theirs = same_documents(baseline, candidate)
    found = compare_per_unit((ours.loss, ours.units), (theirs.loss, theirs.units), confidence=confidence)
    mark = "n/a" if found.significant is None else "~" if not found.significant else "higher"
    mark = "lower" if mark == "higher" and found.delta < 0 else mark
    bits = Change(
        "bits_per_unit",
        found.baseline,
        found.candidate,
        found.delta,
        found.n,
        low=found.low,
        high=found.high,
        p=found.p,
        mark=mark,
    )
    before, after = (_power(value) for value in (found.baseline, found.candidate))
    perplexity = Change("unit_perplexity", before, after, after - before, found.n)
    differ = f"{printable(model.label)} has different tokens from {printable(baseline.path)}"
    text = f"{differ}: {found.n} documents (column cluster) are compared by bits per unit"
    notes = [Diagnostic("compared-by-document", text, note=True)]
    notes += [one for one in unverified(baseline, candidate) if one.code in ("settings-unknown", "other-kernel")]
    if not math.isclose(ours.units.sum(), theirs.units.sum(), rel_tol=1e-9):
        counts = f"{ours.units.sum():.12g} units in {printable(baseline.path)}, {theirs.units.sum():.12g} in"
        warning = f"{counts} {printable(candidate.path)}: are these the same documents, counted in the same unit?"
        notes.append(Diagnostic("other-units", warning))
    return ModelChange(model, (bits, perplexity), diagnostics=tuple(notes))


def _power(bits: float) -> float:
    try:
        return math.exp2(bits)
    except OverflowError:
        return math.inf
