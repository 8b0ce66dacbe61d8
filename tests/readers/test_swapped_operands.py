"""Swapped operands are recognised by their content, and operands that fit are not touched."""

import numpy as np
import pytest

from tests.forked import xent
from tests.readers.test_ids_weights_and_groups import SUFFIXES, write
from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_operands

LOGITS = np.random.default_rng(0).normal(size=(8, 3))
LABELS = np.arange(8) % 3


@pytest.fixture
def files(tmp_path):
    """Write logits and labels as arrays and as tables."""
    np.save(tmp_path / "z.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    np.save(tmp_path / "y column.npy", LABELS[:, None])
    for suffix in SUFFIXES:
        write(tmp_path / f"z.{suffix}", {f"logit_{i}": LOGITS[:, i] for i in range(3)})
        write(tmp_path / f"y.{suffix}", {"label": LABELS})
    write(tmp_path / "y ids.csv", {"id": [f"s{i}" for i in range(8)], "label": LABELS})
    return lambda name: None if name is None else str(tmp_path / name)


def error_of(files, logits, labels):
    with pytest.raises(InputError) as caught:
        open_operands(files(logits), files(labels), None, ReadOptions())
    return caught.value


@pytest.mark.parametrize("logits", ["z.npy", *(f"z.{suffix}" for suffix in SUFFIXES)])
@pytest.mark.parametrize("labels", ["y.npy", "y ids.csv", *(f"y.{suffix}" for suffix in SUFFIXES)])
def test_swapped_operands_are_reported_with_the_line_that_is_right(files, logits, labels):
    told = error_of(files, labels, logits)
    assert told.what == "LOGITS and LABELS are swapped"
    assert told.hint.startswith("xent compute ")
    assert told.hint.index(logits) < told.hint.index(labels)
    pair = open_operands(files(logits), files(labels), None, ReadOptions())
    assert pair.num_classes == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_hot_labels_in_place_of_probabilities_are_swapped_too(tmp_path, suffix):
    probs = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    names = ("cat", "dog", "fox")
    write(tmp_path / f"p.{suffix}", {name: probs[:, i] for i, name in enumerate(names)})
    write(tmp_path / f"y.{suffix}", {name: (i == LABELS).astype(float) for i, name in enumerate(names)})
    done = xent("compute", f"y.{suffix}", f"p.{suffix}", "--from", "probs", cwd=tmp_path)
    assert done.returncode == 3
    assert "LOGITS and LABELS are swapped" in done.stderr
    line = done.stderr.split("hint: ")[1].strip()
    assert line == f"xent compute p.{suffix} y.{suffix} --from probs"
    done = xent(*line.split()[1:], "--reduction", "mean", "-q", cwd=tmp_path)
    assert float(done.stdout) == pytest.approx(-np.log(probs[np.arange(8), LABELS]).mean(), rel=1e-9)


@pytest.mark.parametrize("labels", ["y.npy", "y ids.csv", "y.csv", "y.parquet"])
def test_labels_alone_are_not_logits(files, labels):
    told = error_of(files, labels, None)
    assert told.what == "labels where logits belong"
    assert "LOGITS" in told.hint


@pytest.mark.parametrize("predictions", ["y.npy", "y column.npy", "y.csv", "y.jsonl"])
def test_predictions_are_not_logits(files, predictions):
    assert error_of(files, predictions, "y.npy").what == "predictions in place of logits"


def test_other_errors_are_not_changed(files, tmp_path):
    (tmp_path / "prose.txt").write_text("not a table\nof anything\n")
    assert error_of(files, "prose.txt", "y.npy").what not in ("predictions in place of logits", "no such file")
    np.save(tmp_path / "short.npy", LABELS[:5])
    assert error_of(files, "z.npy", "short.npy").what == "inputs of different length"
    assert error_of(files, "nowhere.npy", "y.npy").what == "no such file"


def test_one_sample_of_whole_numbers_is_not_a_prediction(tmp_path):
    np.save(tmp_path / "z.npy", np.array([3, 1, 2]))
    np.save(tmp_path / "y.npy", np.array(1))
    pair = open_operands(str(tmp_path / "z.npy"), str(tmp_path / "y.npy"), None, ReadOptions())
    assert (pair.num_classes, pair.label_form) == (3, "sparse")
