import re
from dataclasses import replace

from tests.reports.documents import FAILS, PASSES, PLAIN, checked, hostile
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import printable
from xent_cli.reports.summary.github import render


def test_a_failed_check_is_an_error_and_a_passed_one_nothing():
    assert render(checked(PASSES, FAILS)) == ("::error title=xent check::accuracy is 0.75, below the minimum 0.9\n")
    assert render(checked(PASSES)) == ""
    assert render(PLAIN) == ""


def test_a_diagnostic_is_a_warning_behind_the_errors():
    lines = render(replace(checked(FAILS), diagnostics=(Diagnostic("nan-loss", "NaN losses: 1"),))).splitlines()
    assert lines[1] == "::warning title=xent%3A nan-loss::NaN losses: 1"


def test_ten_are_reported_and_then_how_many_were_left_out():
    lines = render(checked(*[FAILS] * 13)).splitlines()
    assert [line.startswith("::error ") for line in lines] == [True] * 10 + [False]
    assert lines[10] == "3 more annotations left out"
    assert len(render(checked(*[FAILS] * 10)).splitlines()) == 10


def unescaped(text):
    return text.replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")


def test_no_text_ends_a_command_or_starts_one():
    doc = hostile()
    for diagnostic in doc.diagnostics:
        (line,) = re.split(r"\r\n|\r|\n", render(replace(PLAIN, diagnostics=(diagnostic,))).removesuffix("\n"))
        title, message = re.fullmatch(r"::warning title=([^:,]*)::(.*)", line, re.DOTALL).groups()
        assert unescaped(title) == "xent: odd"
        told = [printable(text) for text in re.split(r"\r\n|\r|\n", diagnostic.message)]
        assert unescaped(message).split("\n") == told
