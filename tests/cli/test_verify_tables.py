"""`xent verify` of losses and gradients in tables: rows by their ids, columns by the classes that they name."""

import json

import numpy as np
import pytest

from tests import forked
from tests.readers.test_ids_weights_and_groups import SUFFIXES, write
from xent_cli import softmax_cross_entropy_with_grad

RNG = np.random.default_rng(3)
ROWS = 12
NAMES = ["cat", "dog", "emu"]
IDS = [f"s{i}" for i in range(ROWS)]
LOGITS = RNG.normal(size=(ROWS, 3)).round(3)
LABELS = RNG.integers(0, 3, ROWS)
LOSS, GRADIENT = softmax_cross_entropy_with_grad(LOGITS, LABELS)
TURNED = RNG.permutation(ROWS)


def verify(folder, *args):
    run = forked.xent("verify", *args, "--reduction", "none", "-f", "json", cwd=folder)
    return run.returncode, json.loads(run.stdout) if run.returncode < 2 else run.stderr


@pytest.fixture
def folder(tmp_path):
    """Write logits with ids and labels in one table."""
    columns = {f"logit_{name}": LOGITS[:, place] for place, name in enumerate(NAMES)}
    write(tmp_path / "logits.csv", {"id": IDS, "label": [NAMES[label] for label in LABELS], **columns})
    return tmp_path


def gradients(names, order=range(ROWS), **more):
    columns = {name: GRADIENT[list(order), place] for name, place in names.items()}
    return {"id": [IDS[i] for i in order], **more, **columns}


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        *((suffix, {"grad_emu": 2, "grad_cat": 0, "grad_dog": 1}) for suffix in SUFFIXES),
        ("csv", {"dog": 1, "emu": 2, "cat": 0}),
        ("parquet", {"g2": 2, "g1": 1, "g0": 0}),
        ("jsonl", {"d_emu_dx": 2, "d_dog_dx": 1, "d_cat_dx": 0}),
    ],
)
def test_gradients_go_by_the_names_of_the_classes(folder, suffix, names):
    write(folder / f"g.{suffix}", gradients(names))
    code, found = verify(folder, "logits.csv", "--gradient", f"g.{suffix}")
    assert code == 0, found
    assert found["verdict"] == "pass"


def test_gradients_of_other_classes_are_refused(folder):
    write(folder / "g.csv", gradients({"grad_cat": 0, "grad_cow": 1, "grad_emu": 2}))
    code, told = verify(folder, "logits.csv", "--gradient", "g.csv")
    assert code == 3
    assert "names of different classes" in told
    assert "cow" in told


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_losses_and_gradients_in_another_order_are_refused_or_joined(folder, suffix):
    loss = {"id": [IDS[i] for i in TURNED], "label": [NAMES[LABELS[i]] for i in TURNED], "loss": LOSS[TURNED]}
    write(folder / f"loss.{suffix}", loss)
    write(folder / f"g.{suffix}", gradients({"grad_cat": 0, "grad_dog": 1, "grad_emu": 2}, TURNED))
    for candidate in (["--loss", f"loss.{suffix}"], ["--gradient", f"g.{suffix}"]):
        code, told = verify(folder, "logits.csv", *candidate)
        assert code == 3, told
        assert "s are in a different order" in told
        assert "--join id" in told
        code, found = verify(folder, "logits.csv", *candidate, "--join", "id")
        assert code == 0, found


def test_rows_as_xent_writes_them_are_verified(folder):
    for name in ("rows.csv", "rows.parquet", "rows.jsonl", "rows.arrow"):
        assert forked.xent("compute", "logits.csv", "-o", name, cwd=folder).returncode == 0
        code, found = verify(folder, "logits.csv", "--loss", name)
        assert code == 0, found


def test_a_row_that_is_wrong_is_found_whatever_the_order(folder):
    wrong = LOSS.copy()
    wrong[5] += 0.01
    write(folder / "loss.csv", {"id": [IDS[i] for i in TURNED], "loss": wrong[TURNED]})
    code, found = verify(folder, "logits.csv", "--loss", "loss.csv", "--join", "id")
    assert code == 1
    assert found["loss"]["worst"][0]["sample"] == 5


def test_there_must_be_something_to_join(folder):
    np.save(folder / "loss.npy", LOSS)
    code, told = verify(folder, "logits.csv", "--loss", "loss.npy", "--join", "id")
    assert code == 2, told
