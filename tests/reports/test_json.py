import json
import math
import re
from dataclasses import replace
from functools import reduce

import jsonschema
import ml_dtypes
import numpy as np
import pytest

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.input_description import InputDescription
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.warnings import find_warnings
from xent_cli.reports.interface import Document
from xent_cli.reports.strict_json import json_schema, json_text
from xent_cli.reports.summary.json import as_json

OPTIONS = LossOptions()
INPUTS = {
    "logits": InputDescription("l.npy", "npy", (4, 3), "float32"),
    "labels": InputDescription("y.csv", "csv", (None,), "int64"),
}
FOUR = tuple(np.dtype(d) for d in ("float16", ml_dtypes.bfloat16, "float32", "float64"))
ORDINARY = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [20.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def made(logits, labels, **settings):
    wanted = Outputs(overflow=FOUR, top_k=(1, 5))
    results = [evaluate_block(Block(0, np.array(logits), np.array(labels)), OPTIONS, wanted)]
    totals = reduce(RunTotals.merge, (r.totals for r in results))
    given = {
        "version": "0.1.0",
        "signature": OPTIONS.signature("0.1.0"),
        "inputs": INPUTS,
        "summary": totals.losses.summarize(),
        "diagnostics": find_warnings(totals.losses, OPTIONS, 3),
        "formulas": totals.formulas,
    }
    return Document(**given | settings)


DOCUMENTS = {
    "ordinary": made(ORDINARY, [2, 0, 0, 1], formulas=None),
    "overflow": made(ORDINARY, [2, 0, 0, 1]),
    "no formula tried": made(ORDINARY, [2, 0, 0, 1], formulas=()),
    "nan": made([[math.nan, 0.0, 0.0], *ORDINARY[1:]], [0, 0, 0, 0]),
    "inf": made([[-math.inf, 0.0, 0.0], *ORDINARY[1:]], [0, 0, 0, 0]),
    "beyond float64 when exponentiated": made([[0.0, 1e4, 0.0]], [0]),
    "nothing": made(np.empty((0, 3)), np.empty(0, np.int64)),
    "softmaxed": made([[0.5, 0.25, 0.25]] * 4, [0, 1, 2, 0]),
    "teacher": replace(
        made(ORDINARY, [2, 0, 0, 1]),
        summary=replace(made(ORDINARY, [2, 0, 0, 1]).summary, divergence=(("kl_divergence", 0.25),)),
    ),
    "slices and checks": made(
        ORDINARY,
        [2, 0, 0, 1],
        slices=({"by": "split", "value": "test", "summary": made(ORDINARY, [0, 0, 0, 0]).summary},),
        checks=(
            {"metric": "mean_loss", "kind": "max", "limit": 0.35, "observed": math.nan, "passed": False},
            {"metric": "mean_loss", "kind": "max-increase", "limit": "0.5%", "observed": 0.25, "passed": True},
        ),
    ),
}

every_document = pytest.mark.parametrize("doc", DOCUMENTS.values(), ids=DOCUMENTS)


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(json_schema("summary/summary"))


@every_document
def test_every_document_is_valid(doc):
    jsonschema.Draft202012Validator(json_schema("summary/summary")).validate(as_json(doc))


@every_document
def test_the_text_is_strict_json_and_reads_back_as_the_document(doc):
    text = json_text(as_json(doc))
    assert strict(text) == as_json(doc)
    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema_version": 1,\n')
    assert text.isascii()


def test_keys_are_in_the_order_of_the_contract():
    doc = as_json(DOCUMENTS["slices and checks"])
    assert list(doc) == [
        "schema_version",
        "xent_version",
        "signature",
        "inputs",
        "summary",
        "overflow",
        "slices",
        "checks",
        "warnings",
        "notes",
    ]
    assert " ".join(doc["summary"]) == (
        "n_samples n_ignored n_nan n_inf mean_loss sum_loss std_loss se_loss ci_low ci_high confidence_level"
        " min_loss max_loss worst_sample p50_loss p90_loss p95_loss p99_loss quantiles_exact perplexity"
        " perplexity_low perplexity_high bits"
        " accuracy top_5_accuracy"
    )
    assert " ".join(doc["overflow"][0]) == (
        "dtype n_ok n_imprecise n_underflow n_overflow first_row worst_row max_abs_error max_safe_logit stable"
    )
    assert doc["inputs"]["logits"] == {"path": "l.npy", "format": "npy", "shape": [4, 3], "dtype": "float32"}
    assert doc["inputs"]["labels"]["shape"] == [None]
    assert list(as_json(DOCUMENTS["teacher"])["summary"])[-3:] == ["kl_divergence", "accuracy", "top_5_accuracy"]


def test_fields_that_were_not_requested_are_absent():
    assert list(as_json(DOCUMENTS["ordinary"]))[-3:] == ["summary", "warnings", "notes"]
    assert as_json(DOCUMENTS["no formula tried"])["overflow"] == []


def test_figures_are_those_of_the_summary_to_the_last_digit():
    doc = DOCUMENTS["ordinary"]
    text = json_text(as_json(doc))
    assert f'"mean_loss": {doc.summary.mean_loss!r},' in text
    assert strict(text)["summary"] == doc.summary.as_dict()


def test_a_nan_loss_is_null_and_counted():
    summary = as_json(DOCUMENTS["nan"])["summary"]
    assert (summary["n_nan"], summary["n_samples"], summary["worst_sample"]) == (1, 4, 0)
    missing = "mean_loss sum_loss std_loss se_loss ci_low ci_high max_loss p90_loss p95_loss p99_loss perplexity"
    missing += " perplexity_low perplexity_high bits"
    assert " ".join(name for name, value in summary.items() if value is None) == missing
    assert [w["code"] for w in as_json(DOCUMENTS["nan"])["warnings"]] == ["nan-loss"]


def test_an_infinite_loss_is_null_and_counted():
    summary = as_json(DOCUMENTS["inf"])["summary"]
    assert (summary["n_inf"], summary["mean_loss"], summary["max_loss"], summary["perplexity"]) == (1, None, None, None)
    assert summary["min_loss"] == pytest.approx(2 * math.exp(-20.0), rel=1e-8)


def test_the_textbook_formula_stands_next_to_the_stable_one():
    entries = {entry["dtype"]: entry for entry in as_json(DOCUMENTS["overflow"])["overflow"]}
    assert list(entries) == ["float16", "bfloat16", "float32", "float64"]
    half, double = entries["float16"], entries["float64"]
    assert (half["n_ok"], half["n_overflow"], half["first_row"], half["worst_row"]) == (3, 1, 2, 2)
    assert half["max_safe_logit"] == 11.0859375
    assert (half["stable"]["n_ok"], half["stable"]["first_row"], half["stable"]["worst_row"]) == (4, None, None)
    assert list(half["stable"]) == [key for key in half if key not in {"dtype", "max_safe_logit", "stable"}]
    assert double["n_imprecise"] == 1  # log(1 + 4e-9), computed from a sum that lost most digits of 4e-9


def test_a_path_that_is_not_unicode_can_be_written():
    odd = replace(
        DOCUMENTS["ordinary"], inputs={"logits": InputDescription("\udcff é\x1b.npy", "npy", (1,), "float32")}
    )
    assert strict(json_text(as_json(odd)).encode("utf-8"))["inputs"]["logits"]["path"] == "\udcff é\x1b.npy"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.pop("signature"), "required"),
        (lambda d: d.update(extra=1), "Additional"),
        (lambda d: d.update(schema_version=2), "1 was expected"),
        (lambda d: d["summary"].pop("n_nan"), "required"),
        (lambda d: d["summary"].update(n_samples=-1), "minimum"),
        (lambda d: d["summary"].update(n_samples=1.5), "integer"),
        (lambda d: d["summary"].update(top_0_accuracy=1.0), "Additional|not match"),
        (lambda d: d["summary"].update(accuracy=1.5), "maximum"),
        (lambda d: d["inputs"].pop("logits"), "required"),
        (lambda d: d["inputs"]["logits"].update(size=1), "Additional"),
        (lambda d: d["overflow"][0].update(dtype="int8"), "is not one of"),
        (lambda d: d["overflow"][0]["stable"].pop("n_ok"), "required"),
    ],
)
def test_the_schema_refuses_what_the_contract_does_not_have(change, why):
    doc = as_json(DOCUMENTS["overflow"])
    change(doc)
    with pytest.raises(jsonschema.ValidationError, match=re.compile(why)):
        jsonschema.Draft202012Validator(json_schema("summary/summary")).validate(doc)
