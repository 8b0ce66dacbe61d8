"""The measurements as a Markdown table, and as the sections about speed of the README and the docs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_BEGIN, _END = "<!-- performance -->", "<!-- /performance -->"
# Ten goals that tell a reader what to expect, by case and figure; docs/performance.md has them all.
README_ROWS = (
    ("npy", "time beside a PyTorch script"),
    ("npy", "peak memory"),
    ("gradient", "beside PyTorch backward and np.save"),
    ("csv-10", "time beside reading alone"),
    ("parquet-list", "time beside reading alone"),
    ("rows-text", "rows.csv beside pandas to_csv of the same columns"),
    ("kernel-10", "float64 arithmetic beside PyTorch float32"),
    ("kernel-1000", "float64 arithmetic beside PyTorch float32"),
    ("kernel-1000", "AVX2 beside PyTorch's AVX2"),
    ("kernel-50257", "float64 arithmetic beside PyTorch float32"),
)


def markdown(results: Mapping[str, Any]) -> str:
    """Every goal, then every contender."""
    cases = results["cases"].values()
    verdicts = [(case, verdict) for case in cases for verdict in case["verdicts"]]
    met = sum(verdict["met"] for _, verdict in verdicts)
    lines = [
        f"# Measured {results['machine']['date']}",
        "",
        _machine(results),
        "",
        f"## Goals: {met} of {len(verdicts)} met",
        "",
        "| what | figure | measured (quartiles) | goal | met |",
        "|---|---|---|---|---|",
        *(_goal_line(case, verdict) for case, verdict in verdicts),
        "",
        "## Contenders",
        "",
    ]
    for case in cases:
        lines += [f"### {case['title']}", "", "| contender | median s | peak MB |", "|---|---|---|"]
        lines += _contender_lines(case)
        lines += [f"| {name} | skipped: {reason} | |" for name, reason in case["skipped"].items()]
        lines.append("")
    for growth in results.get("growth", {}).values():
        straight = "straight" if growth["straight"] else "NOT straight"
        lines += [
            f"### Against {growth['against']}: {straight}",
            "",
            f"Off a straight line by at most {growth['off']:.0%} of the longest run; peak memory between "
            f"{min(growth['peaks']) / 1e6:.0f} and {max(growth['peaks']) / 1e6:.0f} MB.",
            "",
        ]
    return "\n".join(lines)


def section(results: Mapping[str, Any], chosen: Sequence[tuple[str, str]] | None = None) -> str:
    """Return what a page says about speed, whole, markers included.

    Each line is a goal that was measured, in the words and with the figures of the results: all of them, or the chosen
    ones by case and figure.
    """
    lines = [_BEGIN, "", "| what | beside | measured |", "|---|---|---|"]
    for name, case in results["cases"].items():
        for verdict in case["verdicts"]:
            if (name, verdict["goal"]) not in chosen if chosen else (verdict["theirs"] or "").startswith("xent"):
                continue
            beside = verdict["theirs"] or "itself"
            lines.append(f"| {case['title']}: {verdict['ours']} | {beside} | {_phrase(verdict)} |")
    lines += ["", _machine(results) + " Written by `python -m benchmarks`; no figure is typed by hand.", "", _END]
    return "\n".join(lines)


def write_pages(root: Path, results: Mapping[str, Any]) -> None:
    """Put the sections about speed between the markers of README.md and docs/performance.md.

    Raises
    ------
    ValueError
        If a page lacks the markers, in this order.
    """
    for page, chosen in ((root / "README.md", README_ROWS), (root / "docs" / "performance.md", None)):
        text = page.read_text(encoding="utf-8")
        head, begin, rest = text.partition(_BEGIN)
        _, end, tail = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"{page} has no {_BEGIN} ... {_END}")
        page.write_text(head + section(results, chosen) + tail, encoding="utf-8")


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['date']}, commit {machine['commit']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}, {versions}; "
        f"medians of {results['rounds']} rounds in which every contender ran in turn"
        f"{', on small data (--quick)' if results['quick'] else ''}."
    )


def _goal_line(case: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    sign = "at least" if verdict["at_least"] else "at most"
    low, high = _figure(verdict, verdict["low"]), _figure(verdict, verdict["high"])
    return (
        f"| {case['title']} | {verdict['goal']} | {_figure(verdict, verdict['median'])} ({low} to {high}) "
        f"| {sign} {_figure(verdict, verdict['limit'])} | {'yes' if verdict['met'] else '**no**'} |"
    )


def _contender_lines(case: Mapping[str, Any]) -> Iterable[str]:
    for name, seconds in case["seconds"].items():
        peak = statistics.median(case["peaks"][name])
        yield f"| {name} | {statistics.median(seconds):.4g} | {f'{peak / 1e6:.0f}' if peak else ''} |"


def _figure(verdict: Mapping[str, Any], value: float) -> str:
    return f"{value / 1e6:.0f} MB" if verdict["figure"] == "peak" else f"{value:.2f}"


def _phrase(verdict: Mapping[str, Any]) -> str:
    value = _figure(verdict, verdict["median"])
    words = {"speed": "times as fast", "time": "of its time", "memory": "of its memory", "peak": "at its peak"}
    return f"{value} {words[verdict['figure']]}"
