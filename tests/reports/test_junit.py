import re
from xml.etree import ElementTree

import junitparser
import pytest

from tests.reports.documents import FAILS, INCREASE, PASSES, PLAIN, checked, hostile
from xent_cli.reports.summary.junit import render

DOCUMENTS = [PLAIN, checked(PASSES), checked(PASSES, FAILS, INCREASE), hostile()]


def parsed(document):
    (suite,) = junitparser.JUnitXml.fromstring(render(document).encode())
    return suite


def test_every_check_is_a_case_and_says_what_was_observed_where_it_fails():
    suite = parsed(checked(PASSES, FAILS, INCREASE))
    cases = list(suite)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 2, 0, 0)
    assert [case.name for case in cases] == ["mean_loss max 0.5", "accuracy min 0.9", "mean_loss max-increase 0.5%"]
    assert [case.is_passed for case in cases] == [True, False, False]
    assert cases[1].result[0].message == "accuracy is 0.75, below the minimum 0.9"
    assert "from 0.125 to 0.25, by 0.125" in cases[2].result[0].message


@pytest.mark.parametrize("document", [PLAIN, checked(PASSES)])
def test_success_is_a_case_too(document):
    (case,) = parsed(document)
    assert case.is_passed


def test_version_signature_inputs_and_figures_are_properties():
    properties = {p.name: p.value for p in parsed(checked(PASSES)).properties()}
    assert properties["xent_version"] == "0.1.0"
    assert properties["signature"] == "xent|axis:-1|from:logits"
    assert properties["logits"] == "l.npy (npy, float32)"
    assert properties["mean_loss"] == "0.25"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_surefire_requires_is_there_in_its_order(document):
    """Surefire's schema is the stricter one: one suite, properties before cases, and every required attribute."""
    suite = ElementTree.fromstring(render(document))
    assert suite.tag == "testsuite"
    assert set(suite.attrib) == {"name", "time", "tests", "errors", "skipped", "failures"}
    assert re.fullmatch("properties(,testcase)+", ",".join(child.tag for child in suite))
    for case in suite.iter("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
        assert re.fullmatch(r"[0-9]{0,3}(\.[0-9]{0,3})?", case.get("time"))
        assert [child.tag for child in case] in ([], ["failure"])
        assert all(set(failure.attrib) == {"message", "type"} and len(failure) == 0 for failure in case)
    for entry in suite.iter("property"):
        assert set(entry.attrib) == {"name", "value"}


def test_what_xml_cannot_hold_is_escaped():
    text = render(hostile())
    assert re.search("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text) is None
    text.encode()
    names = [case.get("name") for case in ElementTree.fromstring(text).iter("testcase")]
    assert r"slice:\x00\x01\x1b[31mred\x7f=\x00\x01\x1b[31mred\x7f:bits max 1" in names
    assert "slice:<script>alert(1)</script>=<script>alert(1)</script>:bits max 1" in names
