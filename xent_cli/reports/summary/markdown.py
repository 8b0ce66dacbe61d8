"""The summary document as GitHub-flavoured Markdown, for the step summary of a job or for a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import notes_of, warnings_of
from xent_cli.core.number_text import check_cells
from xent_cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xent_cli.reports.interface import Document

# Maximum bytes of a section; all sections together stay below 200 KiB.
_MOST = {"Checks": 64_000, "Warnings": 24_000, "Notes": 16_000, "Slices": 64_000, "Inputs": 24_000}
_LONGEST_CELL = 300
# Text from files must never become markup: all characters but these are written as character references.
_MARKUP = re.compile(r"[^\w .,:;=/%+'()-]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_SHOWN = ("n_samples", "mean_loss", "ci_low", "ci_high", "p50_loss", "p99_loss", "max_loss", "accuracy")


def render(document: Document) -> str:
    """Return verdict, checks, rounded figures, slices, warnings and inputs, in less than 200 KiB for any input."""
    checks = sorted(document.checks or (), key=lambda entry: bool(entry["passed"]))
    failed = sum(not entry["passed"] for entry in checks)
    held = f"{len(checks)} check{'' if len(checks) == 1 else 's'}"
    verdict = f"FAIL: {failed} of {held}" if failed else f"PASS: {held}" if checks else "loss"
    parts = [f"## xent {verdict}\n"]
    if checks:
        rows = (
            [
                "PASS" if c["passed"] else "**FAIL**",
                *map(_text, (c["metric"], c["kind"], *check_cells(c), c["message"])),
            ]
            for c in checks
        )
        heads = ("verdict", "metric", "kind", "limit", "observed", "baseline", "delta", "why")
        parts.append(_table("Checks", heads, rows))
    for title, remarks in (("Warnings", warnings_of(document.diagnostics)), ("Notes", notes_of(document.diagnostics))):
        if remarks:
            parts.append(_table(title, ("code", "message"), ((_text(f.code), _text(f.message)) for f in remarks)))
    figures = ((name, _number(value)) for name, value in document.summary.as_dict().items())
    parts.append(_table("Summary", ("figure", "value"), figures))
    if document.formulas:
        counts = ("n_ok", "n_imprecise", "n_underflow", "n_overflow")
        fates = ((f.dtype, *(str(getattr(f.naive, name)) for name in counts)) for f in document.formulas)
        parts.append(_table("Textbook formula", ("dtype", "ok", "imprecise", "inf", "nan"), fates))
    if document.slices:
        figures_by = [(entry, entry["summary"].as_dict()) for entry in document.slices]
        shown = [*_SHOWN, *(["bits_per_unit"] if any("bits_per_unit" in found for _, found in figures_by) else [])]
        rows_by = (
            [_text(str(entry["by"])), _text(entry["value"] or ""), *(_number(found.get(name)) for name in shown)]
            for entry, found in figures_by
        )
        parts.append(_table("Slices", ("by", "value", *shown), rows_by))
    inputs = (
        [
            _text(role),
            _text(i.path),
            _text(i.format),
            " x ".join("?" if n is None else str(n) for n in i.shape),
            _text(i.dtype),
        ]
        for role, i in document.inputs.items()
    )
    parts.append(_table("Inputs", ("input", "path", "format", "shape", "dtype"), inputs))
    parts.append(f"xent {_text(document.version)}, {_text(document.signature)}; losses in nats\n")
    return "\n".join(parts)


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write the rows that fit, and the number of the others."""
    heads = list(heads)
    lines = [f"### {title}\n", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    room, beyond = _MOST.get(title, 8_000), 0
    for row in rows:
        line = f"| {' | '.join(row)} |"
        room -= len(line.encode()) + 1
        if room < 0:
            beyond += 1
        else:
            lines.append(line)
    return "\n".join([*lines, *([f"\n{beyond} more left out"] if beyond else [])]) + "\n"


def _number(value: float | int | bool | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower()


def _text(text: str) -> str:
    """Escape text so that it is shown literally, on one line, shortened if long.

    Examples
    --------
    >>> _text("mean_loss is 0.4"), _text("a|b <i>")
    ('mean_loss is 0.4', 'a&#124;b &#60;i&#62;')
    """
    shown = printable(text)
    shown = shown if len(shown) <= _LONGEST_CELL else f"{shown[:_LONGEST_CELL]}…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", shown)
