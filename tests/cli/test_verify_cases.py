"""Hard cases for kernels: written to a folder, computed by a kernel, and judged one by one."""

import json
import re
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from tests import forked
from xent_cli.reports.strict_json import json_schema


def kernel_of(page):
    """Return the first program on the page: the kernel in NumPy."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    run = forked.shell("xent verify --write-cases cases", folder)
    assert run.returncode == 0, run.stderr
    return folder / "cases", run.stdout.split()


@pytest.fixture
def cases(written, tmp_path):
    forked.shell(f"cp -r {written[0]} cases", tmp_path)
    return tmp_path / "cases"


def run_kernel(cases, *changes):
    code = kernel_of((cases / "README.md").read_text())
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    subprocess.run([sys.executable, "-c", code], cwd=cases, check=True, capture_output=True)


def verdicts(cases, *args):
    run = forked.shell(f"xent verify --cases . -f json {' '.join(args)}", cases)
    assert run.returncode in (0, 1), run.stderr
    document = json.loads(run.stdout)
    jsonschema.validate(document, json_schema("agreement/verify"))
    found = {case["case"]: case["verdict"] for case in document["cases"]}
    assert (run.returncode == 0) == (set(found.values()) == {"pass"}) == (document["verdict"] == "pass")
    return found, document


def failing(cases, *args):
    return {name for name, verdict in verdicts(cases, *args)[0].items() if verdict == "fail"}


def test_the_kernel_on_the_page_passes_every_case(written, cases):
    run_kernel(cases)
    found, document = verdicts(cases)
    assert list(found) == written[1]
    assert set(found.values()) == {"pass"}
    assert not document["warnings"]


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("z - z.max(axis=-1, keepdims=True)", "z", {"common-offset", "margins"}),
        ("* counted[..., None]", "", {"ignored-first", "ignored-last", "ignored-all"}),
        ("smoothing / k", "0", {"smoothing-ignored", "weights-smoothing-ignored"}),
        ("if weight is None else weight", "", {"class-weights", "weights-smoothing-ignored"}),
        ("where=target > 0", "where=True", {"minus-inf-off-the-label"}),
        ("np.moveaxis(z, 1, -1), y", "z.reshape(len(z), *z.shape[2:], z.shape[1]), y", {"classes-first"}),
        ("[:, slice(*case", "[:, slice(0, z.shape[1])] if 1 else z[:, slice(*case", {"padded-rows"}),
    ],
)
def test_a_kernel_with_one_mistake_fails_the_cases_that_are_about_it(old, new, wrong, cases):
    run_kernel(cases, (old, new))
    found = failing(cases)
    assert wrong <= found
    assert "width-33" not in found or "common-offset" in wrong


def test_a_tolerance_of_a_few_units_finds_the_loss_that_rounds_to_0(cases):
    run_kernel(cases)
    assert "margins" in failing(cases, "--max-ulp 4")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_kernel_may_return_the_mean_or_the_sum(reduction, cases):
    run_kernel(cases)
    divide = "case['divisor']" if reduction == "mean" else "1"
    code = f"""
import json, numpy as np
for case in json.load(open("manifest.json"))["cases"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        for kind in ("loss", "gradient"):
            values = np.load(f"{{case['name']}}/{{kind}}.npy").astype(np.float64)
            divisor = {divide} or (float("nan") if kind == "loss" else 1)
            values = (values.sum() if kind == "loss" else values) / divisor
            np.save(f"{{case['name']}}/{{kind}}.npy", np.float32(values))
"""
    subprocess.run([sys.executable, "-c", code], cwd=cases, check=True)
    assert not failing(cases, f"--reduction {reduction}")
    number = cases / "ignored-all" / "loss.npy"
    np.save(number, np.float32(0))
    assert not failing(cases, f"--reduction {reduction}")
    np.save(number, np.float32(1))
    assert failing(cases, f"--reduction {reduction}") == {"ignored-all"}


def test_cases_that_were_not_run_are_named_and_strict_refuses_them(cases):
    run_kernel(cases)
    (cases / "ties" / "loss.npy").unlink()
    (cases / "ties" / "gradient.npy").unlink()
    (cases / "width-7" / "gradient.npy").unlink()
    found, document = verdicts(cases)
    assert "ties" not in found
    assert document["not_run"] == ["ties"]
    assert [entry["code"] for entry in document["warnings"]] == ["cases-not-run"]
    assert "width-7 (gradient)" in document["warnings"][0]["message"]
    run = forked.shell("xent verify --cases . --strict", cases)
    assert (run.returncode, run.stdout) == (3, "")


def test_lines_and_tables_name_the_case_that_fails_and_say_what_is_hard(cases):
    run_kernel(cases)
    loss = cases / "ties" / "loss.npy"
    np.save(loss, np.load(loss) + np.float32(0.5))
    run = forked.shell("xent verify --cases .", cases)
    assert run.returncode == 1
    lines = dict(line.split("\t", 1) for line in run.stdout.splitlines())
    assert (lines["verdict"], lines["ties"], lines["margins"]) == ("fail", "fail", "pass")
    assert lines["ties.loss.n_mismatched"] == "10"
    shown = forked.shell("xent verify --cases . -f table --exit-zero", cases)
    assert shown.returncode == 0
    assert "FAIL: 1 of 23 cases" in shown.stdout
    assert "ties: Several logits share the maximum" in shown.stdout


def test_a_folder_whose_inputs_have_changed_is_refused(cases):
    run_kernel(cases)
    np.save(cases / "ties" / "logits.npy", np.zeros((10, 5), np.float32))
    run = forked.shell("xent verify --cases .", cases)
    assert run.returncode == 3
    assert "an input of a case has changed" in run.stderr
    (cases / "ties" / "logits.npy").unlink()
    assert forked.shell("xent verify --cases .", cases).returncode == 3


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"written_by": "x"}', '{"written_by": "xent", "format": 9}', "{", "\xff"]
)
def test_an_invalid_manifest_is_refused(text, cases):
    (cases / "manifest.json").write_text(text, encoding="latin-1")
    run = forked.shell("xent verify --cases .", cases)
    assert run.returncode == 3
    assert "Traceback" not in run.stderr


def test_a_name_that_leads_out_of_the_folder_is_refused(cases):
    manifest = json.loads((cases / "manifest.json").read_text())
    manifest["cases"][0]["name"] = "../elsewhere"
    (cases / "manifest.json").write_text(json.dumps(manifest))
    run = forked.shell("xent verify --cases .", cases)
    assert (run.returncode, "not a manifest of cases" in run.stderr) == (3, True)


def test_cases_never_replace_what_is_there(cases):
    before = sorted(path.name for path in cases.iterdir())
    run = forked.shell("xent verify --write-cases cases", cases.parent)
    assert run.returncode == 3
    assert "will not replace folder" in run.stderr
    assert sorted(path.name for path in cases.iterdir()) == before
    assert not list(cases.parent.glob(".*.tmp"))


def test_cases_are_written_into_an_empty_folder_and_are_the_same_bytes_every_time(written, tmp_path):
    (tmp_path / "empty").mkdir()
    assert forked.shell("xent verify --write-cases empty", tmp_path).returncode == 0
    files = sorted(path.relative_to(written[0]) for path in written[0].rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path / "empty") for p in (tmp_path / "empty").rglob("*") if p.is_file())
    assert all((written[0] / file).read_bytes() == (tmp_path / "empty" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("--cases . --label-smoothing 0.1", "--label-smoothing"),
        ("x.npy --cases .", "LOGITS"),
        ("--cases . --loss x.npy", "--loss"),
        ("--cases . --engine dask", "--engine"),
        ("--write-cases x --cases .", "--cases"),
        ("--write-cases x -f json", "--format"),
        ("", "LOGITS"),
    ],
)
def test_an_option_that_each_case_sets_is_a_usage_error(command, named, cases):
    run = forked.shell(f"xent verify {command}", cases)
    assert run.returncode == 2
    assert named in run.stderr
