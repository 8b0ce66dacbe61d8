import numpy as np
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(57, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, 57)


def split(folder, array, cuts, save=np.save, suffix="npy", axis=0):
    folder.mkdir()
    for i, part in enumerate(np.split(array, cuts, axis)):
        save(folder / f"part-{i}.{suffix}", part)
    return str(folder)


def as_csv(path, part):
    rows = part.reshape(len(part), 1 if part.ndim == 1 else 4).tolist()
    names = ["label"] if part.ndim == 1 else [f"logit_{name}" for name in "abcd"]
    path.write_text("\n".join([",".join(names), *(",".join(map(repr, row)) for row in rows)]) + "\n")


@pytest.mark.parametrize("kind", ["npy npy", "npy csv", "csv npy", "csv csv"])
@pytest.mark.parametrize(("cuts", "others"), [([10, 30], [10, 30]), ([10, 30], [1, 2, 50]), ([20], []), ([], [5, 5])])
def test_logits_and_labels_may_be_cut_differently(kind, cuts, others, tmp_path):
    how = {"npy": (np.save, "npy"), "csv": (as_csv, "csv")}
    left, right = kind.split()
    paths = [split(tmp_path / "l", LOGITS, cuts, *how[left]), split(tmp_path / "y", LABELS, others, *how[right])]
    logits, labels = [], []
    options = ReadOptions(run=RunNeeds(task_bytes=7 * 16, chunk_bytes=300))
    for task in open_pair(*paths, None, options).tasks():
        block = task.load()
        assert block.start == sum(map(len, logits))
        logits.append(np.array(block.logits))
        labels.append(np.array(block.labels).reshape(-1))
    np.testing.assert_array_equal(np.concatenate(logits), LOGITS)
    np.testing.assert_array_equal(np.concatenate(labels), LABELS)


@pytest.mark.parametrize(("shape", "axis"), [((9, 5, 3), -1), ((3, 9, 5), 0), ((9, 3, 5), 1)])
def test_arrays_are_joined_along_the_first_axis_of_samples(shape, axis, tmp_path):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    along = 1 if axis == 0 else 0
    path = split(tmp_path / "l", values, [2, 7], axis=along)
    source = open_source(path, "logits", ReadOptions(), Classes(axis))
    assert source.info.shape == shape
    found = np.concatenate([np.array(part.read().logits) for _, _, part in source.parts()])
    np.testing.assert_array_equal(found, np.moveaxis(values, axis, -1).reshape(-1, shape[axis]))
    assert "[" in source.where(20, "logits")


def test_a_place_is_named_in_its_shard(tmp_path):
    path = split(tmp_path / "y", LABELS, [10, 30], as_csv, "csv")
    source = open_source(path, "labels", ReadOptions(), Classes(num_classes=4))
    assert source.where(12, "labels") == f'{path}/part-1.csv line 4 (sample 12), column "label"'


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (LOGITS[:3].astype(np.float64), "dtype"),
        (LOGITS[:3, :3], "shape"),
        (LOGITS[0], "shape"),
    ],
)
def test_a_shard_that_is_not_like_the_first_is_named_before_any_work(other, what, tmp_path):
    path = split(tmp_path / "l", LOGITS, [20])
    np.save(tmp_path / "l" / "part-2.npy", other)
    with pytest.raises(InputError, match=rf"another {what}\n.*part-2\.npy"):
        open_source(path, "logits", ReadOptions(), Classes(-1))


def test_other_columns_and_another_format_are_named(tmp_path):
    path = split(tmp_path / "l", LOGITS, [20], as_csv, "csv")
    (tmp_path / "l" / "part-2.csv").write_text("a,b,c,e\n1,2,3,4\n")
    with pytest.raises(InputError, match=r"other columns\n.*part-2.csv: found a, b, c, e"):
        open_source(path, "logits", ReadOptions(), Classes(-1))
    (tmp_path / "l" / "part-2.csv").unlink()
    np.save(tmp_path / "l" / "part-2.npy", LOGITS)
    with pytest.raises(InputError, match=r"another format\n.*part-2.npy"):
        open_source(path, "logits", ReadOptions(), Classes(-1))


def test_small_shards_of_arrays_make_one_task_and_large_ones_stay_alone(tmp_path):
    sizes = [1, 2, 90_000, 3, 4, 50_000, 50_000, 1]
    values = [np.full((size, 2), number, "f8") for number, size in enumerate(sizes)]
    for number, part in enumerate(values):
        np.save(tmp_path / f"part-{number}.npy", part)
    parts = list(open_source(str(tmp_path), "logits", ReadOptions(), Classes(-1)).parts(10))
    assert [size for _, size, _ in parts] == [3, 90_000, 50_007, 50_001]
    assert [start for start, _, _ in parts] == [10, 13, 90_013, 140_020]
    found = np.concatenate([part.read().logits.copy() for _, _, part in parts])
    np.testing.assert_array_equal(found, np.concatenate(values))
