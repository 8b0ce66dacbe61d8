"""A comparison as text: delimited for programs, Markdown for people."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from xent_cli.core.number_text import csv_cell, spell
from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.core.statistics.comparison import Change, Comparison, Model, ModelChange, MovedSample
    from xent_cli.core.statistics.flips import Flips

_FIGURES = ("baseline", "candidate", "delta", "delta_percent", "low", "high", "p")
# A p-value below every float.
_TINY = "<1e-300"
_LATER = ("n_clusters", "design_effect", "mde", "p_holm")
_COLUMNS = ("metric", *_FIGURES, "n", "change", "label", "by", "value", *_LATER)
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w))")


def delimited_changes(comparison: Comparison, delimiter: str) -> str:
    """Return one line per figure, at full precision; a missing figure is an empty cell."""
    lines = [list(_COLUMNS)]
    for candidate in comparison.candidates:
        for change in (*candidate.changes, *candidate.slices):
            figures = [_plain(change, name) for name in _FIGURES]
            named = [csv_cell(text or "", delimiter) for text in (candidate.model.label, change.by, change.value)]
            later = [_plain(change, name) for name in _LATER]
            lines.append([change.metric, *figures, str(change.n), change.mark, *named, *later])
    return "".join(f"{delimiter.join(line)}\n" for line in lines)


def plain_moved(comparison: Comparison) -> str:
    """Return one line per sample that changed most: candidate, sample, id if there is one, both losses."""
    lines = []
    for candidate in comparison.candidates:
        for rank, moved in enumerate(candidate.moved, 1):
            named = [] if moved.id is None else [printable(moved.id)]
            losses = spell(moved.baseline), spell(moved.candidate)
            label = printable(candidate.model.label)
            lines.append("\t".join([f"moved_{rank}", label, str(moved.sample), *named, *losses]) + "\n")
    return "".join(lines)


def markdown_changes(comparison: Comparison) -> str:
    """Return a heading and a table of rounded figures for each candidate."""
    parts = []
    if len(comparison.candidates) > 1:
        parts.append(f"### {escaped(f'Mean loss against {_called(comparison.baseline)}')}\n")
        parts.append(_markdown_table(overview_heads(comparison), overview(comparison), left=1))
    for candidate in comparison.candidates:
        parts.append(f"### {escaped(heading(comparison, candidate))}\n")
        parts.append(
            _markdown_table(heads(comparison), (cells(change, comparison) for change in _all(candidate)), left=1)
        )
        if candidate.flips is not None:
            parts.append(f"{escaped(flips_text(candidate.flips))}\n")
        if candidate.moved:
            parts.append(_markdown_table(moved_heads(comparison, candidate), moved_rows(comparison, candidate), left=0))
    parts.append(f"{escaped(footnote(comparison))}\n")
    return "\n".join(parts)


def heading(comparison: Comparison, candidate: ModelChange) -> str:
    """Return a heading that names both models."""
    return f"{_called(candidate.model)} against {_called(comparison.baseline)}"


def footnote(comparison: Comparison) -> str:
    """Return one line that says how the figures were computed."""
    if comparison.kind == "summary":
        return "summaries: no losses of samples, so no intervals (n/a)"
    seed = f"seed {comparison.seed}"
    tests = {
        "t": "Student's paired t",
        "bootstrap": f"bootstrap (BCa) of {comparison.resamples} resamples, {seed}",
        "permutation": f"t interval; p by all signs or, beyond {comparison.resamples}, so many at random, {seed}",
    }
    joined = "position" if comparison.joined_on is None else printable(comparison.joined_on)
    ignored = {candidate.n_ignored for candidate in comparison.candidates}
    parts = [tests[comparison.test], "~ where the interval holds 0", f"joined by {joined}"]
    clustered = {
        f"{_counted(c.changes[0].n_clusters)} ({c.clustered_by})" for c in comparison.candidates if c.clustered_by
    }
    parts += map(printable, sorted(clustered))
    marks = [change.mark for candidate in comparison.candidates for change in _all(candidate)]
    parts += ["mde: the difference that 4 of 5 comparisons would find"] if "~" in marks else []
    parts += ["slices are each tested alone"] if any(candidate.slices for candidate in comparison.candidates) else []
    parts += [f"samples without a loss left out: {max(ignored)}"] if any(ignored) else []
    return "; ".join(parts)


def _counted(clusters: int | None) -> str:
    return f"{clusters} cluster{'' if clusters == 1 else 's'}"


def flips_text(flips: Flips) -> str:
    """Return one line about predictions that became right or wrong.

    Examples
    --------
    >>> from xent_cli.core.statistics.flips import Flips
    >>> flips_text(Flips(9, 5, 0, 0.0625))
    'predictions: 5 wrong -> right, 0 right -> wrong of 9; McNemar p = 0.0625 (exact)'
    """
    counts = f"{flips.wrong_to_right} wrong -> right, {flips.right_to_wrong} right -> wrong of {flips.n}"
    p = f"p = {flips.p:.3g}" if flips.p else f"p {_TINY}"
    return f"predictions: {counts}; McNemar {p} (exact{', not clustered' if flips.clustered else ''})"


def plain_flips(comparison: Comparison) -> str:
    """Return one line per candidate whose rows hold predictions."""
    return "".join(
        f"{printable(candidate.model.label)}: {flips_text(candidate.flips)}\n"
        for candidate in comparison.candidates
        if candidate.flips is not None
    )


def heads(comparison: Comparison) -> list[str]:
    """Return the heads of the columns that `cells` fills."""
    interval = f"{100 * comparison.confidence:.10g} % interval"
    holm = ["p (Holm)"] if len(comparison.candidates) > 1 else []
    return ["metric", "baseline", "candidate", "delta", "delta %", interval, "p", *holm, "n"]


def cells(change: Change, comparison: Comparison | None = None) -> list[str]:
    """Return a change as rounded text; a difference that chance could explain is "~", as in benchstat.

    The minimum detectable difference is given with it. With a `comparison`, the cells are those of its `heads`.

    Examples
    --------
    >>> from xent_cli.core.statistics.comparison import Change
    >>> cells(Change("mean_loss", 2.0, 2.5, 0.5, 9, low=-0.1, high=1.1, p=0.09, mark="~", mde=0.8))
    ['mean_loss', '2', '2.5', '+0.5', '~ (mde 0.8)', '[-0.1, +1.1]', '0.09', '9']
    """
    interval, p = f"[{change.low:+.6g}, {change.high:+.6g}]", _chance(change.p)
    if math.isnan(change.low):
        interval = p = change.mark
    share = f"{_signed(change.delta_percent, 3 if abs(change.delta_percent) < 1000 else 6)} %"
    if change.mark == "~" or math.isnan(change.delta_percent):
        share = _undecided(change) if change.mark == "~" else "n/a"
    sides = f"{change.baseline:.6g}", f"{change.candidate:.6g}", _signed(change.delta)
    name = change.metric if change.by is None else f"{change.by}={'' if change.value is None else change.value}"
    named = () if comparison is None else heads(comparison)
    holm = [p if math.isnan(change.p_holm) else _chance(change.p_holm)] if "p (Holm)" in named else []
    return [printable(name), *sides, share, interval, p, *holm, str(change.n)]


def _chance(p: float) -> str:
    """Write a p-value; a formula may give one that is too small for a float, and is then 0.

    Examples
    --------
    >>> _chance(0.03456), _chance(0.0)
    ('0.0346', '<1e-300')
    """
    return f"{p:.3g}" if p else _TINY


def _undecided(change: Change) -> str:
    return "~" if math.isnan(change.mde) else f"~ (mde {change.mde:.3g})"


def overview_heads(comparison: Comparison) -> list[str]:
    """Return the heads of the columns that `overview` fills."""
    return ["model", *heads(comparison)[1:]]


def overview(comparison: Comparison) -> list[list[str]]:
    """Return the change of the mean loss of each of several candidates as rounded text."""
    found = []
    for candidate in comparison.candidates:
        first = candidate.changes[0]
        found.append([printable(candidate.model.label), *cells(first, comparison)[1:]])
    return found


def moved_heads(comparison: Comparison, candidate: ModelChange) -> list[str]:
    """Return the heads of the columns that `moved_rows` fills."""
    named, labelled = _named(candidate.moved)
    identity = [printable(comparison.joined_on or "id")] if named else []
    return ["moved", "sample", *identity, *(["label"] if labelled else []), "baseline", "candidate", "delta"]


def moved_rows(comparison: Comparison, candidate: ModelChange) -> list[list[str]]:
    """Return the samples that changed most as rounded text."""
    named, labelled = _named(candidate.moved)
    rows = []
    for rank, moved in enumerate(candidate.moved, 1):
        texts = [moved.id] * named + [moved.label] * labelled
        delta = moved.candidate - moved.baseline
        figures = f"{moved.baseline:.6g}", f"{moved.candidate:.6g}", _signed(delta)
        rows.append([str(rank), str(moved.sample), *(printable(text or "") for text in texts), *figures])
    return rows


def escaped(text: str) -> str:
    r"""Escape text so that Markdown shows it literally.

    Examples
    --------
    >>> print(escaped("a|b <c> d_e_f _g_"))
    a\|b \<c\> d_e_f \_g\_
    """
    return _MARKDOWN.sub(r"\\\1", printable(text))


def _signed(value: float, digits: int = 6) -> str:
    return f"{value:+.{digits}g}" if value and not math.isnan(value) else f"{abs(value):g}"


def _plain(change: Change, name: str) -> str:
    value = getattr(change, name)
    without = name in ("low", "high", "p", "delta_percent", *_LATER) and (value is None or math.isnan(value))
    return "" if without else spell(value)


def _called(model: Model) -> str:
    return printable(model.path if model.label == model.path else f"{model.label} ({model.path})")


def _all(candidate: ModelChange) -> tuple[Change, ...]:
    return (*candidate.changes, *candidate.slices)


def _named(moved: tuple[MovedSample, ...]) -> tuple[bool, bool]:
    return any(sample.id is not None for sample in moved), any(sample.label is not None for sample in moved)


def _markdown_table(head: list[str], rows: Iterable[list[str]], left: int) -> str:
    aligned = [":--" if i < left else "--:" for i in range(len(head))]
    lines = [[escaped(text) for text in head], aligned, *([escaped(text) for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
