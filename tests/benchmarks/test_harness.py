from __future__ import annotations

import json
import os
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import report
from benchmarks.case import Case, Goal, Missing, Sample, at_most, faster, peak_below
from benchmarks.chart import chart
from benchmarks.growth import Growth, off_line
from benchmarks.process import command
from benchmarks.race import judge, race

ROOT = Path(__file__).parents[2]
MACHINE = {
    "date": "2026-01-02",
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "system": "Linux",
    "python": "3.12.0",
    "versions": {"numpy": "2.0.0"},
    "commit": "abc1234",
}


def results():
    runs = {"xent": iter([9.0, 1.0, 1.0, 2.0]), "other": iter([9.0, 3.0, 4.0, 4.0])}
    contenders = {name: lambda times=times: Sample(next(times), 50_000_000) for name, times in runs.items()}

    def absent():
        raise Missing("absent is not installed")

    goals = (
        faster("beside other", "xent", "other", 2.0),
        at_most("time", "xent", "other", 0.1),
        peak_below("peak memory", "xent", 80),
        faster("beside what is not there", "xent", "absent", 2.0),
    )
    outcome = race(Case("c", "a case", {**contenders, "absent": absent}, goals), rounds=3)
    case = {
        "name": "c",
        "title": outcome.title,
        "seconds": outcome.seconds,
        "peaks": outcome.peaks,
        "skipped": outcome.skipped,
        "verdicts": [{name: getattr(verdict, name) for name in verdict.__slots__} for verdict in outcome.verdicts],
    }
    return {"machine": MACHINE, "rounds": 3, "quick": False, "cases": {"c": case}}


def test_contenders_run_in_turn_and_the_warm_up_is_not_counted():
    order = []
    contenders = {name: lambda name=name: (order.append(name), Sample(1.0))[1] for name in "ab"}
    outcome = race(Case("c", "", contenders), rounds=2)
    assert "".join(order) == "ababab"
    assert {name: len(seconds) for name, seconds in outcome.seconds.items()} == {"a": 2, "b": 2}


def test_a_goal_is_held_to_the_median_of_the_ratios_of_each_round():
    seconds = {"ours": [1.0, 10.0, 1.0], "theirs": [2.0, 30.0, 10.0]}
    assert judge(faster("", "ours", "theirs", 3.0), seconds, {}).median == 3.0
    assert judge(faster("", "ours", "theirs", 3.0), seconds, {}).met
    assert not judge(at_most("", "ours", "theirs", 0.3), seconds, {}).met
    byte = Goal("", "ours", "theirs", "time", 1.0, work_ours=10.0)
    assert judge(byte, seconds, {}).median == pytest.approx(1 / 30)


def test_a_missing_contender_is_skipped_and_reported():
    text = report.markdown(results())
    assert "| absent | skipped: absent is not installed |" in text
    assert "beside what is not there" not in text


def test_the_table_has_every_goal_its_measurement_and_whether_it_is_met():
    text = report.markdown(results())
    assert "## Goals: 2 of 3 met" in text
    assert "| a case | beside other | 3.00 (2.50 to 3.50) | at least 2.00 | yes |" in text
    assert "| a case | time | 0.33 (0.29 to 0.42) | at most 0.10 | **no** |" in text
    assert "| a case | peak memory | 50 MB (50 MB to 50 MB) | at most 80 MB | yes |" in text
    assert "abc1234" in text


def pages(folder, text):
    """Write a README and a page on performance with the same text."""
    (folder / "docs").mkdir()
    both = folder / "README.md", folder / "docs" / "performance.md"
    for page in both:
        page.write_text(text)
    return both


def test_sections_are_written_between_the_markers_and_can_be_rewritten(tmp_path):
    readme, whole = pages(tmp_path, "# head\n<!-- performance -->\nold\n<!-- /performance -->\ntail\n")
    report.write_pages(tmp_path, results())
    once = readme.read_text(), whole.read_text()
    report.write_pages(tmp_path, results())
    assert (readme.read_text(), whole.read_text()) == once
    for text in once:
        assert text.startswith("# head\n<!-- performance -->\n")
        assert text.endswith("<!-- /performance -->\ntail\n")
        assert "old" not in text
    assert "| a case: xent | other | 3.00 times as fast |" in once[1]
    assert "| a case" not in once[0]  # Not a row of the README.


def test_each_row_of_the_readme_was_measured():
    cases = json.loads((ROOT / "benchmarks" / "results" / "results.json").read_text())["cases"]
    for name, goal in report.README_ROWS:
        assert goal in [verdict["goal"] for verdict in cases[name]["verdicts"]], (name, goal)


def test_a_page_without_markers_is_refused(tmp_path):
    pages(tmp_path, "# head\n")
    with pytest.raises(ValueError, match="has no <!-- performance -->"):
        report.write_pages(tmp_path, results())


def test_a_straight_line_is_distinguished_from_a_bent_one():
    assert off_line([1, 2, 4], [1.5, 2.5, 4.5]) == pytest.approx(0.0, abs=1e-12)
    assert off_line([1, 2, 3, 4], [1.0, 4.0, 9.0, 16.0]) > 0.05


def test_the_chart_is_a_drawing_with_a_panel_of_time_and_one_of_memory():
    drawing = chart([Growth("rows", [1, 2], [0.1, 0.2], [3e7, 3e7], 0.0)])
    root = xml.etree.ElementTree.fromstring(drawing)
    titles = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "seconds against rows" in titles
    assert "peak MB against rows" in titles
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 4


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory is the system's to tell")
def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_harness(tmp_path):
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    small = command(sys.executable, "-I", "-S", "-c", "pass", work=tmp_path)()
    large = command(sys.executable, "-I", "-S", "-c", "x = b'x' * 100_000_000", work=tmp_path)()
    assert small.peak < 50_000_000
    assert large.peak - small.peak > 90_000_000


def test_a_process_that_fails_is_an_error_and_a_missing_module_a_reason_to_skip(tmp_path):
    with pytest.raises(RuntimeError, match="exited 3"):
        command(sys.executable, "-c", "raise SystemExit(3)", work=tmp_path)()
    with pytest.raises(Missing, match="no_such_module is not installed"):
        command("true", work=tmp_path, needs=("no_such_module",))()
