import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from tests.reports.documents import FAILS, HOSTILE, INCREASE, PASSES, PLAIN, SUMMARY, checked, hostile
from xent_cli.errors import UsageError, printable
from xent_cli.reports import format_of
from xent_cli.reports.summary import markdown


def html(document):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown.render(document))


def rows(page):
    """Return the text of every cell, as a reader sees it."""
    found = re.findall(r"<tr>\n(.*?)</tr>", page, re.DOTALL)
    cells = (re.findall(r"<t[dh]>(.*?)</t[dh]>", row, re.DOTALL) for row in found)
    plain = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
    return [[re.sub("&[a-z]+;", lambda m: plain[m[0]], cell) for cell in row] for row in cells]


def test_the_verdict_comes_first_and_failed_checks_before_the_others():
    page = html(checked(PASSES, FAILS, INCREASE))
    assert page.startswith("<h2>xent FAIL: 2 of 3 checks</h2>")
    verdicts = [row[:5] for row in rows(page) if row[0] in ("PASS", "<strong>FAIL</strong>")]
    assert verdicts == [
        ["<strong>FAIL</strong>", "accuracy", "min", "0.9", "0.75"],
        ["<strong>FAIL</strong>", "mean_loss", "max-increase", "0.5%", "0.25"],
        ["PASS", "mean_loss", "max", "0.5", "0.25"],
    ]
    assert html(checked(PASSES)).startswith("<h2>xent PASS: 1 check</h2>")


def test_figures_are_rounded_and_version_signature_and_inputs_are_said():
    page = html(replace(PLAIN, summary=replace(SUMMARY, mean_loss=1 / 3)))
    assert ["mean_loss", "0.333333"] in rows(page)
    assert ["logits", "l.npy", "npy", "5 x 3", "float32"] in rows(page)
    assert "xent 0.1.0, xent|axis:-1|from:logits" in page


def test_text_from_files_is_shown_as_it_is_and_never_markup():
    page = html(hostile())
    assert set(re.findall(r"<(\w+)", page)) == {"h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "p", "strong"}
    shown = {row[1] for row in rows(page) if len(row) == 2 and row[0] == "odd"}
    for text in HOSTILE:
        told = printable(text).strip()
        assert told in shown or f"{told[:300]}…" in shown, text


def test_nothing_in_it_is_a_link_for_a_renderer_that_makes_some():
    text = markdown.render(hostile())
    assert "://" not in text
    assert "www." not in text
    assert "@" not in text


def test_it_stays_below_200_kib_and_says_what_was_left_out():
    text = markdown.render(hostile(times=400))
    assert len(text.encode()) < 200 * 1024
    assert re.search(r"^\d+ more left out$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a.json", ("json", "a.json")),
        ("A.MD", ("md", "A.MD")),
        ("junit.xml", ("xml", "junit.xml")),
        ("md:/tmp/summary", ("md", "/tmp/summary")),
        ("json:a.md", ("json", "a.md")),
    ],
)
def test_the_suffix_or_a_prefix_names_the_form(text, form):
    assert format_of(text) == form


@pytest.mark.parametrize("text", ["summary", "a.txt", "md:", "pdf:a", ""])
def test_another_form_is_refused(text):
    with pytest.raises(UsageError, match="must be one of"):
        format_of(text)
