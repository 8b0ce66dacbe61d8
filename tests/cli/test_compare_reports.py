"""`xent compare --report`: the four forms say the same, appear together, and never replace a result."""

import json
import re

import junitparser
import numpy as np
import pytest

from tests import forked
from tests.cli.test_process import DIGITS
from tests.cli.test_reports import xent
from tests.reports.test_html import Page

WORSE = (DIGITS[0].replace("digits_logits", "digits_worse_logits"), DIGITS[1])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    for name, inputs in (("old", DIGITS), ("new", WORSE)):
        run = xent("compute", *inputs, "--columns", "predicted", "-q", "-o", str(folder / f"{name}.parquet"))
        assert run[0] == 0, run
    return folder


@pytest.fixture(scope="module")
def reports(saved):
    wanted = [word for form in ("json", "md", "html", "xml") for word in ("--report", str(saved / f"r.{form}"))]
    old, new = (str(saved / f"{name}.parquet") for name in ("old", "new"))
    code, out, _ = xent("compare", f"main={old}", f"same={old}", f"wide={new}", "--by", "label", "-f", "json", *wanted)
    assert code == 0
    return json.loads(out), {form: (saved / f"r.{form}").read_text("utf-8") for form in ("json", "md", "html", "xml")}


def test_the_document_is_that_of_standard_output(reports):
    assert json.loads(reports[1]["json"]) == reports[0]


def test_the_page_has_every_candidate_and_what_changed(reports):
    page = Page(reports[1]["html"])
    assert len(page.all("h1")) == 1
    for told in ("2 candidates", "same (", "wide (", "0.383003", "McNemar", "Mean loss by slice", "UTC", "--by label"):
        assert told in page.text, told
    (worse,) = re.findall(r'<td class="fail"><bdi>(\+0\.257754)</bdi>', reports[1]["html"])[:1]
    assert worse == "+0.257754"
    assert not re.search(r"<script|https?://", reports[1]["html"])


def test_the_page_draws_nothing_and_needs_no_matplotlib(saved, tmp_path):
    rows, page = [str(saved / f"{name}.parquet") for name in ("old", "new")], tmp_path / "r.html"
    found = xent("compare", *rows, "--report", str(page), script="import sys\nsys.modules['matplotlib'] = None\n")
    assert found[0] == 0, found
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_junit_fails_what_is_worse_beyond_chance_and_nothing_else(reports):
    suite = junitparser.TestSuite.fromstring(reports[1]["xml"])
    failed = {case.name for case in suite if case.result}
    assert "wide: mean_loss" in failed
    assert "wide: accuracy" in failed
    assert not any(name.startswith("same") for name in failed)
    assert suite.failures == len(failed)
    assert suite.tests == len(list(suite))


def test_markdown_is_that_of_standard_output(saved, reports):
    old, new = (str(saved / f"{name}.parquet") for name in ("old", "new"))
    _, out, _ = xent("compare", f"main={old}", f"same={old}", f"wide={new}", "--by", "label", "-f", "md")
    assert reports[1]["md"] == out


@pytest.mark.parametrize("report", ["json:{0}/new.parquet", "md:{0}/old.parquet"])
def test_a_report_never_replaces_a_result(saved, report):
    before = (saved / "new.parquet").read_bytes()
    target = report.format(saved)
    code, _, err = xent("compare", str(saved / "old.parquet"), f"n={saved / 'new.parquet'}", "--report", target)
    assert code == 2
    assert "an output would replace an input" in err
    assert (saved / "new.parquet").read_bytes() == before


def test_a_comparison_that_fails_leaves_no_report(saved, tmp_path):
    code, _, _ = xent("compare", str(saved / "old.parquet"), "no-such.parquet", "--report", str(tmp_path / "r.md"))
    assert code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("candidate", "title"),
    [
        ([0.5, 1.0, 2.0], "mean_loss the same as the baseline&#39;s"),
        ([0.5, 1.0, float("nan")], "mean_loss without a finite difference"),
        ([1.5, 2.0, 3.0], "mean_loss compared"),  # each by the same amount, which no test can judge
    ],
)
def test_the_title_says_how_the_mean_changed(candidate, title, tmp_path):
    for name, losses in (("a", [0.5, 1.0, 2.0]), ("b", candidate)):
        np.save(tmp_path / f"{name}.npy", losses)
    run = forked.xent("compare", "a.npy", "b.npy", "--report", "r.html", "-q", cwd=tmp_path)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert run.returncode == 0
    assert f"<h1>xent compare: {title}</h1>" in page
    assert "+nan" not in page
