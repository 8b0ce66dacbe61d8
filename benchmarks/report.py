"""The measurements as JSON, as a Markdown table, and as the section of the README about speed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_BEGIN, _END = "<!-- performance -->", "<!-- /performance -->"


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


def readme_section(results: Mapping[str, Any]) -> str:
    """What the README says about speed, whole, markers included.

    Each line is a goal that was measured, in the words and with the figures of the results.
    """
    cases = results["cases"].values()
    lines = [_BEGIN, "", "| what | beside | measured |", "|---|---|---|"]
    for case in cases:
        for verdict in case["verdicts"]:
            if verdict["theirs"] and verdict["theirs"].startswith("xent"):
                continue
            beside = verdict["theirs"] or "itself"
            lines.append(f"| {case['title']}: {verdict['ours']} | {beside} | {_phrase(verdict)} |")
    lines += ["", _machine(results) + " Written by `python -m benchmarks`; no figure is typed by hand.", "", _END]
    return "\n".join(lines)


def write_readme(path: Path, results: Mapping[str, Any]) -> None:
    """Put the section between the markers of the README.

    Raises
    ------
    ValueError
        Where the markers are not there, both and in this order.
    """
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{path} has no {_BEGIN} ... {_END}")
    path.write_text(head + readme_section(results) + tail, encoding="utf-8")


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
