"""Warnings and notes are distinguished in every report."""

import io
import json
from dataclasses import replace

import pytest

from tests.reports.documents import PASSES, checked
from xent_cli import reports
from xent_cli.core.diagnostics import Diagnostic

REMARKS = (Diagnostic("shard-skipped", "one shard is empty", note=True), Diagnostic("odd", "this is odd"))
DOCUMENT = replace(checked(PASSES), diagnostics=REMARKS)


def written(form, document):
    stream = io.BytesIO()
    reports.write(form, document, stream)
    return stream.getvalue().decode()


def test_the_document_has_a_list_of_warnings_and_one_of_notes():
    told = json.loads(written("json", DOCUMENT))
    assert told["warnings"] == [{"code": "odd", "message": "this is odd"}]
    assert told["notes"] == [{"code": "shard-skipped", "message": "one shard is empty"}]


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_page_has_a_section_of_warnings_and_then_one_of_notes(form):
    text = written(form, DOCUMENT)
    places = [text.index(word) for word in ("Warnings", "this is odd", "Notes", "one shard is empty")]
    assert places == sorted(places)
    assert "Notes" not in written(form, replace(DOCUMENT, diagnostics=REMARKS[1:]))
    assert "Warnings" not in written(form, replace(DOCUMENT, diagnostics=REMARKS[:1]))


def test_junit_has_a_property_for_each_warning_and_note():
    text = written("xml", DOCUMENT)
    assert '<property name="warning.odd" value="this is odd" />' in text
    assert '<property name="note.shard-skipped" value="one shard is empty" />' in text


def test_an_annotation_is_a_notice_and_stands_behind_the_warnings():
    from xent_cli.reports.summary.github import render

    assert render(DOCUMENT).splitlines() == [
        "::warning title=xent%3A odd::this is odd",
        "::notice title=xent%3A shard-skipped::one shard is empty",
    ]
