"""`xent inspect` of partly known rows: the probability that they list, and the command that uses them."""

import json

import numpy as np
import pytest

from tests.cli.test_top_k_columns import FORMS, INDEX, LOG_P, STUDENT, N, jsonl, labelled, lists
from tests.forked import xent
from tests.megatron_writer import cache

MASS = np.exp(LOG_P).sum(axis=1)


def inspected(folder, *files):
    run = xent("inspect", *files, "-f", "json", cwd=folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check(kept, mass):
    assert (kept["rows"], kept["above_1"]) == (len(mass), int((mass > 1).sum()))
    expected = [mass.min(), np.median(mass), mass.mean()]
    assert [kept["min"], kept["median"], kept["mean"]] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", [*FORMS, "top.npz"])
def test_the_mass_that_rows_keep_is_shown_with_the_line_that_uses_them(tmp_path, form):
    np.save(tmp_path / "z.npy", STUDENT)
    if form == "top.npz":
        np.savez(tmp_path / form, indices=INDEX, values=LOG_P)
    else:
        write, records = FORMS[form]
        write(tmp_path / form, records())
    found = inspected(tmp_path, form)
    check(found["files"][0]["values"]["kept_mass"], MASS)
    assert "soft_labels" not in found["files"][0]["values"]  # rows of some classes have no sum or mean of their own
    assert found["readings"] == [f"xent compute LOGITS {form} --labels-from log-probs"]
    (line,) = inspected(tmp_path, "z.npy", form)["readings"]
    assert line == f"xent compute z.npy {form} --labels-from log-probs"
    assert xent(*line.split()[1:], cwd=tmp_path).returncode == 0


def test_rows_of_probabilities_and_of_too_much_of_them(tmp_path):
    values = np.exp(LOG_P)
    values[3] *= 1.004 / values[3].sum()
    np.savez(tmp_path / "top.npz", topk_ids=INDEX, topk_probs=values)
    found = inspected(tmp_path, "top.npz")
    check(found["files"][0]["values"]["kept_mass"], values.sum(axis=1))
    assert found["files"][0]["values"]["kept_mass"]["above_1"] == 1
    assert found["readings"] == ["xent compute LOGITS top.npz --labels-from probs"]


def test_labels_beside_the_highest_and_a_cache_of_megatron(tmp_path):
    jsonl(tmp_path / "a.jsonl", labelled(lists()))
    found = inspected(tmp_path, "a.jsonl")
    check(found["files"][0]["values"]["kept_mass"], MASS)
    assert found["readings"][0] == "xent compute a.jsonl"
    cache(tmp_path / "dp0__0.tar", {0: [(INDEX.reshape(N, 1, -1), LOG_P.reshape(N, 1, -1))]}, "float32")
    found = inspected(tmp_path, "dp0__0.tar")
    check(found["files"][0]["values"]["kept_mass"], np.exp(LOG_P.astype(np.float32).astype(np.float64)).sum(axis=1))
    assert found["readings"] == ["xent compute LOGITS dp0__0.tar"]
