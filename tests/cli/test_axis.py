"""Many classes on an axis before the last: every output has the same bits as for the array with its classes last."""

import json

import numpy as np
import pytest

from tests.forked import xent

K = 300
RNG = np.random.default_rng(5)
LOGITS = np.asarray(RNG.normal(size=(3, 7, K)) * 4, np.float32)
LABELS = RNG.integers(0, K, (3, 7))
DENSE = np.asarray(RNG.dirichlet(np.ones(K), (3, 7)), np.float32)
TEACHER = np.asarray(LOGITS + RNG.normal(size=LOGITS.shape), np.float32)
SECOND = {
    "sparse": (LABELS, []),
    "dense": (DENSE, ["--labels", "dense"]),
    "teacher": (TEACHER, ["--labels-from", "logits"]),
    "smoothed": (LABELS, ["--label-smoothing", "0.1"]),
    "gradients": (LABELS, ["--gradients", "g.npy"]),
    "gradients of dense labels": (DENSE, ["--labels", "dense", "--gradients", "g.npy"]),
    "by NumPy": (LABELS, ["--kernel", "numpy", "--gradients", "g.npy"]),
}


# How an array [3, 7, 300] is written to a file or a folder of shards.
LAYOUTS = {
    "last": (-1, lambda array: array),
    "in the middle": (1, lambda array: np.ascontiguousarray(np.moveaxis(array, -1, 1))),
    "in the middle, Fortran order": (1, lambda array: np.asfortranarray(np.moveaxis(array, -1, 1))),
    "first": (0, lambda array: np.ascontiguousarray(np.moveaxis(array, -1, 0))),
}


def computed(folder, kind, layout, *options, shards=False):
    """Return the summary, the losses as bytes, and the gradient with its classes last."""
    folder.mkdir()
    second, asked = SECOND[kind]
    axis, lay = LAYOUTS[layout]
    for name, array in (("logits", lay(LOGITS)), ("second", lay(second) if second.shape == LOGITS.shape else second)):
        if shards:
            (folder / name).mkdir()
            for i, shard in enumerate(array):
                np.save(folder / name / f"{i}.npy", shard[np.newaxis])
        else:
            np.save(folder / name, array)
    names = ["logits/", "second/"] if shards else ["logits.npy", "second.npy"]
    run = xent("compute", *names, "--axis", str(axis), "-o", "rows.npy", "-f", "json", *asked, *options, cwd=folder)
    assert run.returncode == 0, run.stderr
    gradient = np.moveaxis(np.load(folder / "g.npy"), axis, -1) if "g.npy" in asked else np.empty(0)
    return json.loads(run.stdout)["summary"], np.load(folder / "rows.npy").tobytes(), gradient.tobytes()


@pytest.mark.parametrize("kind", SECOND)
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "last"])
def test_the_bits_are_those_of_the_array_with_its_classes_last(layout, kind, tmp_path):
    expected = computed(tmp_path / "last", kind, "last")
    assert computed(tmp_path / "other", kind, layout) == expected
    assert computed(tmp_path / "threads", kind, layout, "--threads", "3") == expected


@pytest.mark.parametrize("kind", ["sparse", "teacher", "gradients"])
def test_shards_give_the_same_bits(kind, tmp_path):
    expected = computed(tmp_path / "last", kind, "last")
    assert computed(tmp_path / "shards", kind, "in the middle", shards=True) == expected


@pytest.mark.parametrize("options", [[], ["--temperature", "0.7", "--class-weight", "weight.npy", "--top-k", "3"]])
def test_slabs_larger_than_a_task_give_the_same_bits(options, tmp_path):
    logits = np.asarray(RNG.normal(size=(2, 1700, 1300)) * 5, np.float32)
    logits[0, :40, :200] = np.reshape([-np.inf, np.inf, np.nan, 40.0] * 10, (40, 1))
    labels = RNG.integers(0, 1300, (2, 1700))
    labels[0, 60:900:7] = -100
    np.save(tmp_path / "weight.npy", RNG.uniform(0.1, 2, 1300))
    np.save(tmp_path / "y.npy", labels)
    np.save(tmp_path / "last.npy", logits)
    middle = np.ascontiguousarray(logits.transpose(0, 2, 1))
    np.save(tmp_path / "middle.npy", middle)
    (tmp_path / "shards").mkdir()
    for i, shard in enumerate(middle):
        np.save(tmp_path / "shards" / f"{i}.npy", shard[np.newaxis])
    found = []
    for name, axis, threads in (
        ("last.npy", "-1", "1"),
        ("middle.npy", "1", "1"),
        ("middle.npy", "1", "3"),
        ("shards/", "1", "2"),
    ):
        words = [name, "y.npy", "--axis", axis, "--ignore-index", "-100", "--threads", threads, *options]
        run = xent("compute", *words, "-o", "rows.npy", "-f", "json", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        found.append((json.loads(run.stdout)["summary"], (tmp_path / "rows.npy").read_bytes()))
    assert found[1:] == found[:-1]


@pytest.mark.slow
def test_workers_of_a_cluster_give_the_same_bits(tmp_path):
    expected = computed(tmp_path / "last", "gradients", "last")
    assert computed(tmp_path / "dask", "gradients", "in the middle", "--engine", "dask", "--threads", "2") == expected
