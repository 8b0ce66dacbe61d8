"""Shards of batches that are padded to different lengths, shards without rows, and one sample without a batch axis."""

import json

import numpy as np
import pytest

from xent_cli.cli import cli
from xent_cli.errors import InputError, UsageError

RNG = np.random.default_rng(5)
K = 4
SHAPES = [(2, 5), (1, 3), (3, 7)]
ARRAYS = [(RNG.normal(size=(*shape, K)), RNG.integers(0, K, shape)) for shape in SHAPES]


def log_softmax(z):
    z = np.asarray(z, np.longdouble)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


LOSSES = np.concatenate(
    [-np.take_along_axis(log_softmax(z), y[..., np.newaxis], -1).astype(float).ravel() for z, y in ARRAYS]
)


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, (z, y) in enumerate(ARRAYS):
        np.save(f"z-{i}.npy", z)
        np.save(f"t-{i}.npy", np.moveaxis(z, -1, 1))
        np.save(f"y-{i}.npy", y)
        np.save(f"m-{i}.npy", y != 0)
        np.save(f"b-{i}.npy", np.arange(1.0, len(y) + 1))
        np.save(f"q-{i}.npy", np.exp(log_softmax(z[::-1])).astype(float))
    np.save("y.npy", np.concatenate([y.ravel() for _, y in ARRAYS]))
    return tmp_path


def run(capsys, command, *argv):
    with cli.make_context("xent", [command, *map(str, argv)]) as context:
        cli.invoke(context)
    return capsys.readouterr()


def summary(capsys, *argv):
    return json.loads(run(capsys, "compute", *argv, "-q", "-f", "json").out)["summary"]


@pytest.mark.parametrize("argv", [("z-*.npy", "y-*.npy"), ("z-*.npy", "y.npy"), ("t-*.npy", "y-*.npy", "--axis", 1)])
def test_shards_padded_to_their_own_length_are_read_one_after_the_other(argv, shards, capsys):
    document = json.loads(run(capsys, "compute", *argv, "-f", "json", "-q").out)
    assert document["summary"]["n_samples"] == LOSSES.size
    assert document["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-13)
    assert document["inputs"]["logits"]["shape"] == ([6, K, None] if "--axis" in argv else [6, None, K])


def test_rows_of_ragged_shards_are_flat_in_npy(shards, capsys):
    run(capsys, "compute", "z-*.npy", "y-*.npy", "-o", "out.npy", "-q")
    np.testing.assert_allclose(np.load("out.npy"), LOSSES, rtol=1e-13)


def test_gradients_of_ragged_shards_go_into_a_folder_and_never_into_one_array(shards, capsys):
    with pytest.raises(UsageError, match="one array cannot hold them"):
        run(capsys, "compute", "z-*.npy", "y-*.npy", "--gradients", "g.npy")
    run(capsys, "compute", "z-*.npy", "y-*.npy", "--gradients", "g/", "-q")
    parts = json.loads((shards / "g" / "_manifest.json").read_text())["parts"]
    found = np.concatenate([np.load(shards / "g" / part["file"]) for part in parts])
    rows, labels = (np.concatenate([x.reshape(-1, *x.shape[2:]) for x in side]) for side in zip(*ARRAYS, strict=True))
    expected = (np.exp(log_softmax(rows)) - np.eye(K)[labels]) / len(rows)
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-12)


def test_masks_and_weights_of_such_shards_are_cut_alike(shards, capsys):
    found = summary(capsys, "z-*.npy", "y-*.npy", "--mask", "./m-*.npy", "--sample-weight", "b-*.npy")
    kept = np.concatenate([(y != 0).ravel() for _, y in ARRAYS])
    weights = np.concatenate([np.repeat(np.arange(1.0, len(y) + 1), y.shape[1]) for _, y in ARRAYS])
    assert found["n_samples"] == kept.sum()
    assert found["mean_loss"] == pytest.approx(np.average(LOSSES[kept], weights=weights[kept]), rel=1e-13)


def test_masks_and_weights_of_like_shards_may_be_cut_otherwise(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    z, y, keep = RNG.normal(size=(10, K)), RNG.integers(0, K, 10), np.arange(10) % 3 > 0
    for i, (rows, others) in enumerate([(slice(0, 4), slice(0, 7)), (slice(4, 10), slice(7, 10))]):
        np.save(f"z-{i}.npy", z[rows])
        np.save(f"y-{i}.npy", y[rows])
        np.save(f"m-{i}.npy", keep[others])
    found = summary(capsys, "z-*.npy", "y-*.npy", "--mask", "m-*.npy")
    loss = -log_softmax(z)[np.arange(10), y].astype(float)
    assert found["mean_loss"] == pytest.approx(loss[keep].mean(), rel=1e-13)


def test_a_teacher_of_such_shards(shards, capsys):
    found = summary(capsys, "z-*.npy", "q-*.npy", "--labels-from", "probs")
    expected = [-(np.exp(log_softmax(z[::-1])) * log_softmax(z)).sum(-1).ravel() for z, _ in ARRAYS]
    assert found["mean_loss"] == pytest.approx(float(np.concatenate(expected).mean()), rel=1e-12)


def test_a_shift_stays_within_each_sequence_of_such_shards(shards, capsys):
    found = summary(capsys, "z-*.npy", "y-*.npy", "--shift", 1)
    expected = [
        -np.take_along_axis(log_softmax(z[:, :-1]), y[:, 1:, np.newaxis], -1).astype(float).ravel() for z, y in ARRAYS
    ]
    assert found["mean_loss"] == pytest.approx(np.concatenate(expected).mean(), rel=1e-13)
    assert found["n_ignored"] == sum(len(y) for _, y in ARRAYS)


def test_verify_takes_losses_and_gradients_of_such_shards(shards, capsys):
    n = LOSSES.size
    for i, (z, y) in enumerate(ARRAYS):
        np.save(f"g-{i}.npy", ((np.exp(log_softmax(z)) - np.eye(K)[y]) / n).astype(float))
        np.save(f"l-{i}.npy", -np.take_along_axis(log_softmax(z), y[..., np.newaxis], -1).astype(float)[..., 0])
    out = run(capsys, "verify", "z-*.npy", "y-*.npy", "--loss", "l-*.npy", "--gradient", "g-*.npy", "-f", "json").out
    assert json.loads(out)["verdict"] == "pass"


@pytest.mark.parametrize("name", ["y-1.npy", "z-1.npy"])
def test_shards_that_are_not_cut_alike_are_refused(name, shards, capsys):
    array = np.load(name)
    np.save(name, array.reshape(3, 1, *array.shape[2:]))
    with pytest.raises(InputError, match="shapes do not fit"):
        run(capsys, "compute", "z-*.npy", "y-*.npy")


def test_shards_of_other_classes_are_refused(shards, capsys):
    np.save("z-1.npy", np.zeros((1, 3, K + 1)))
    with pytest.raises(InputError, match="shard of another shape"):
        run(capsys, "compute", "z-*.npy", "y-*.npy")


@pytest.mark.parametrize("kind", ["0 bytes", "0 rows"])
def test_shards_without_rows_are_passed_over_with_a_note(kind, shards, capsys):
    for name, shape in (("z", (0, 9, K)), ("y", (0, 9))):
        if kind == "0 rows":
            np.save(f"{name}-1.npy", np.zeros(shape, int if name == "y" else float))
        else:
            (shards / f"{name}-1.npy").write_bytes(b"")
    found = run(capsys, "compute", "z-*.npy", "y-*.npy", "--reduction", "mean")
    assert float(found.out) == pytest.approx(np.delete(LOSSES, [10, 11, 12]).mean(), rel=1e-13)
    assert "note: no rows in z-1.npy: skipped [empty-shard]" in found.err


@pytest.mark.parametrize("content", ["", "label,logit_0,logit_1\n"])
def test_empty_text_among_shards_is_passed_over(content, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for i, text in enumerate(["label,logit_0,logit_1\n0,1,2\n", content, "label,logit_0,logit_1\n1,1,2\n"]):
        (tmp_path / f"t-{i}.csv").write_text(text)
    found = run(capsys, "compute", "t-*.csv", "--reduction", "mean")
    assert float(found.out) == pytest.approx(np.log1p(np.exp(-1.0)) + 0.5)
    assert "no rows in t-1.csv" in found.err


def test_shards_that_are_all_empty_are_refused(shards, capsys):
    for i in range(3):
        (shards / f"z-{i}.npy").write_bytes(b"")
    with pytest.raises(InputError, match="no rows") as caught:
        run(capsys, "compute", "z-*.npy", "y-*.npy")
    assert "3 files" in caught.value.found


@pytest.mark.parametrize("suffix", ["npy", "tsv", "parquet"])
def test_one_sample_without_a_batch_axis_keeps_its_row(suffix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", np.array([1.0, 2.0, 3.0]))
    np.save("y.npy", np.array(2))
    run(capsys, "compute", "z.npy", "y.npy", "-o", f"out.{suffix}", "-q")
    if suffix == "npy":
        assert np.load("out.npy").size == 1
        assert float(np.load("out.npy")) == pytest.approx(-float(log_softmax([1.0, 2.0, 3.0])[2]))
    run(capsys, "compare", f"out.{suffix}", f"out.{suffix}")
