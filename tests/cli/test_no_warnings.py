"""No numbers cause a warning of Python or NumPy: there is a result, or an error in one sentence."""

import itertools

import click
import numpy as np
import pytest

from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import XentError

N, K = 12, 5
RANDOM = np.random.default_rng(0)
BASE = RANDOM.normal(0, 3, (N, K))
PROBS = np.exp(BASE) / np.exp(BASE).sum(axis=1, keepdims=True)
LABELS = RANDOM.integers(0, K, N)


def odd():
    """Return logits with NaN, +inf and -inf here and there, and a row without a possible class."""
    z = BASE.copy()
    z[0, 0], z[2, 1], z[3, 2] = np.nan, np.inf, -np.inf
    z[1] = -np.inf
    return z


LOGITS = {
    "plain": BASE,
    "odd": odd(),
    "nan": np.full((N, K), np.nan),
    "inf": np.full((N, K), np.inf),
    "-inf": np.full((N, K), -np.inf),
    "huge": BASE * 1e307,
    "subnormal": BASE * 1e-310,
    "opposite": np.where(BASE > 0, 1.7e308, -1.7e308),
    "float16": (np.clip(BASE, -3, 3) * 2e4).astype("f2"),
    "float32": (np.clip(BASE, -3, 3) * 1e38).astype("f4"),
    "int64": (BASE * 9e17).astype("i8"),
    "bool": BASE > 0,
    "one class": BASE[:, :1],
    "many classes": RANDOM.normal(0, 300, (N, 300)),
}
ONE_HOT = np.eye(K)[LABELS]
SECONDS = {
    "sparse": (LABELS, []),
    "some ignored": (np.where(np.arange(N) % 2, LABELS, -100), ["--ignore-index", "-100"]),
    "all ignored": (np.full(N, -100), ["--ignore-index", "-100"]),
    "dense": (PROBS, ["--labels", "dense"]),
    "one-hot": (ONE_HOT, ["--labels", "dense"]),
    "teacher": (BASE[::-1], ["--labels-from", "logits"]),
    "odd teacher": (odd(), ["--labels-from", "logits"]),
    "opposite teacher": (LOGITS["opposite"], ["--labels-from", "logits"]),
    "teacher of probabilities": (ONE_HOT, ["--labels-from", "probs"]),
}
OPTIONS = [
    [],
    ["--temperature", "1e-300"],
    ["--temperature", "1e300"],
    ["--label-smoothing", "0.1"],
    ["--class-weight", "tiny_classes.npy"],
    ["--class-weight", "huge_classes.npy"],
    ["--sample-weight", "some.npy"],
    ["--sample-weight", "none.npy"],
    ["--sample-weight", "tiny.npy", "--gradients", "g.npy"],
    ["--sample-weight", "huge.npy"],
    ["--overflow-report"],
    ["--precision", "float32", "--label-smoothing", "0.2"],
    ["--gradients", "g.npy", "--gradient-dtype", "float16"],
    ["--gradients", "g.npy", "--gradient-dtype", "bfloat16"],
    ["--report", "r.md", "--report", "r.xml", "--report", "r.json"],
    ["-o", "o.jsonl"],
    ["-o", "o.npy"],
    ["-f", "table", "--top", "3"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, array in LOGITS.items():
        np.save(folder / f"{name}.npy", array)
    for name, (array, _) in SECONDS.items():
        np.save(folder / f"second {name}.npy", array)
    weights = {"some": np.arange(N) % 2, "none": np.zeros(N), "tiny": np.full(N, 1e-320), "huge": np.full(N, 1e300)}
    weights |= {"tiny_classes": np.full(K, 5e-324), "huge_classes": np.full(K, 1e308)}
    for name, array in weights.items():
        np.save(folder / f"{name}.npy", np.asarray(array, float))
    return folder


def ran(argv):
    """Run a command; return whether it had a result. A warning would be raised as an exception here."""
    run = runner().invoke(cli, argv, standalone_mode=False)
    known = run.exception is None or isinstance(run.exception, XentError | click.ClickException | SystemExit)
    assert known, (argv, run.exception)
    return run.exception is None


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("first", LOGITS)
def test_odd_numbers_have_an_answer_or_an_error(first, second, folder, monkeypatch):
    monkeypatch.chdir(folder)
    inputs = [f"{first}.npy", f"second {second}.npy", *SECONDS[second][1]]
    # Each pair is tried with a third of the options, and its neighbours with the other thirds.
    turn = (list(LOGITS).index(first) + list(SECONDS).index(second)) % 3
    for options in itertools.islice(OPTIONS, turn, None, 3):
        ran(["compute", *inputs, *options])
    ran(["compute", *inputs, "--from", ("probs", "log-probs")[turn % 2]])
    ran(["check", *inputs, "--max", "mean_loss=1", "--min", "p99_loss=0"])
    ran(["verify", *inputs, "--loss", "some.npy"])
    ran(["inspect", *inputs[:2]])


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation"])
def test_odd_losses_are_compared_or_refused(test, folder, monkeypatch):
    monkeypatch.chdir(folder)
    losses = {"a": [1, 2, 3, 4], "b": [1, np.inf, np.nan, 2], "c": [1e308, 1, 1e307, 0], "d": [5e-324, 0, 1e-310, 0]}
    for name, values in losses.items():
        np.save(folder / f"{name}.npy", np.array(values, float))
    for ours, theirs in itertools.product(losses, losses):
        ran(["compare", f"{ours}.npy", f"{theirs}.npy", "--test", test, "--resamples", "20"])


def test_a_plain_run_has_an_answer(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert ran(["compute", "plain.npy", "second sparse.npy"])
    assert ran(["compute", "plain.npy", "second teacher.npy", "--labels-from", "logits"])
