"""Every case of the manifest through the command: losses, mean and gradient of a high-precision reference, or an error.

Inputs are facts from the published tests and issue reports of TensorFlow, PyTorch, optax, Keras, scikit-learn and
scipy, and adversarial ones; `provenance` says which. Expected values have up to 800 digits and are rounded once.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests import forked

HERE = Path(__file__).parent
CASES = {case["id"]: case for case in json.loads((HERE / "manifest.json").read_text())}
VALUES = [name for name, case in CASES.items() if "expected" in case]
ERRORS = [name for name, case in CASES.items() if "error" in case]


def command(case, out):
    folder = HERE / "cases" / case["id"]
    args = ["compute", str(folder / "logits.npy"), str(folder / "labels.npy")]
    for name, value in case["options"].items():
        if name in ("class_weight", "sample_weight"):
            value = folder / f"{name}.npy"
        args += [f"--{name.replace('_', '-')}", str(value)]
    if out is not None:
        args += ["-o", str(out / "loss.npy"), "-f", "table", "--report", str(out / "summary.json")]
    return args


def number(value):
    return math.nan if value is None else float(value)


def assert_close(found, expected, *, relative, ulps):
    """Assert that numbers are within a relative error or some ULP, whichever is more; inf and NaN must agree."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    allowed = np.maximum(relative * np.abs(expected[finite]), ulps * np.spacing(np.abs(expected[finite])))
    assert (np.abs(found[finite] - expected[finite]) <= allowed).all(), (found, expected)


@pytest.mark.parametrize("name", VALUES)
def test_losses_mean_and_gradient_are_those_of_the_reference(name, tmp_path):
    case = CASES[name]
    args = command(case, tmp_path)
    if "gradient" in case["expected"]:
        args += ["--gradients", str(tmp_path / "gradient.npy"), "--gradient-dtype", "float64"]
    run = forked.xent(*args)
    assert run.returncode == 0, run.stderr
    exact = case["dtype"] in ("float16", "float32", ">f4", "bool", "int32") and not case["options"].get("temperature")
    sparse = case["labels_kind"] == "sparse" and "label_smoothing" not in case["options"]
    relative = 0 if exact and sparse else 1e-13
    losses = [number(value) for value in case["expected"]["loss"]]
    assert_close(np.load(tmp_path / "loss.npy").ravel(), losses, relative=relative, ulps=4)
    mean = json.loads((tmp_path / "summary.json").read_text())["summary"]["mean_loss"]
    expected = number(case["expected"]["mean"])
    expected = expected if math.isfinite(expected) else math.nan  # JSON has null for both
    assert_close([number(mean)], [expected], relative=max(relative, 1e-15), ulps=4)
    if "gradient" in case["expected"]:
        gradient = np.load(HERE / "cases" / name / "expected_gradient.npy")
        assert_close(np.load(tmp_path / "gradient.npy"), gradient, relative=1e-12, ulps=4)


@pytest.mark.parametrize("name", ERRORS)
def test_invalid_input_is_refused_and_explained(name):
    run = forked.xent(*command(CASES[name], None))
    usage = name in ("error-axis-range", "error-smoothing-range")
    assert run.returncode == (2 if usage else 3), run
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    assert run.stderr.lower().count("error") >= 1
