import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.errors import InputError, RowError
from xent_cli.readers.interface import ReadOptions
from xent_cli.readers.paired import open_pair

LOGITS = np.random.default_rng(5).normal(0, 4, (90, 3))
LABELS = np.arange(90) % 3
# Numbers that could be anybody's are logits where their columns say so.
NAMES = ("cat", "dog", "eel")


def write(path, table, rows=40):
    kind = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, kind(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def read(path, options=None):
    blocks = [task.load() for task in open_pair(str(path), None, None, options or ReadOptions()).tasks()]
    return np.concatenate([b.logits for b in blocks]), np.concatenate([b.labels for b in blocks])


def layout(name, dtype):
    flat = pa.array(LOGITS.astype(dtype).ravel())
    offsets = np.arange(0, 271, 3)
    return {
        "wide": lambda: {f"logit_{name}": column for name, column in zip(NAMES, LOGITS.astype(dtype).T, strict=True)},
        "list": lambda: {"logits": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)},
        "large list": lambda: {"logits": pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)},
        "fixed size": lambda: {"logits": pa.FixedSizeListArray.from_arrays(flat, 3)},
    }[name]()


@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
@pytest.mark.parametrize("name", ["wide", "list", "large list", "fixed size"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_layout_and_width_of_number_reads_back(suffix, name, dtype, tmp_path):
    table = pa.table({**layout(name, dtype), "label": LABELS})
    logits, labels = read(write(tmp_path / f"t{suffix}", table))
    assert logits.dtype == dtype
    np.testing.assert_array_equal(logits, LOGITS.astype(dtype))
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("suffix", [".arrow", ".arrows", ".parquet"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), "dictionary"])
def test_names_of_classes_may_be_any_kind_of_text(suffix, kind, tmp_path):
    words = pa.array([NAMES[i] for i in LABELS])
    words = words.dictionary_encode() if kind == "dictionary" else words.cast(kind)
    table = pa.table({**layout("wide", np.float64), "label": words})
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        write(path, table)
    assert read(path)[1].tolist() == LABELS.tolist()


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(21, 1)])
def test_labels_may_be_any_kind_of_number(kind, tmp_path):
    table = pa.table({**layout("wide", np.float64), "label": pa.array(LABELS).cast(kind)})
    assert read(write(tmp_path / "t.arrow", table))[1].tolist() == LABELS.tolist()


@pytest.mark.parametrize("largest", [0, 1 << 30])
def test_a_large_batch_is_cut_and_a_small_one_is_not(largest, tmp_path, monkeypatch):
    monkeypatch.setattr("xent_cli.readers.arrow._BATCH_BYTES", largest)
    monkeypatch.setattr("xent_cli.readers.arrow.TASK_BYTES", 7 * 24)
    path = write(tmp_path / "t.arrow", pa.table({**layout("list", np.float64), "label": LABELS}))
    np.testing.assert_array_equal(read(path)[0], LOGITS)
    sizes = [size for _, size, _ in open_pair(str(path), None, None, ReadOptions()).logits.parts()]
    assert max(sizes) == (40 if largest else 7)


def test_missing_values_are_counted(tmp_path):
    label = pa.array([None if i in (3, 5, 30) else i % 3 for i in range(90)])
    path = write(tmp_path / "t.arrow", pa.table({**layout("wide", np.float64), "label": label}))
    pair = open_pair(str(path), None, None, ReadOptions())
    with pytest.raises(RowError) as caught:
        [task.load() for task in pair.tasks()]
    error = pair.complete(caught.value)
    assert error.where == f'{path} row 3 (sample 3), column "label"'
    assert error.more == "2 more rows like this"


@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_a_cut_or_changed_file_is_an_error_or_numbers_and_nothing_else(suffix, tmp_path):
    words = pa.array([NAMES[i] for i in LABELS]).dictionary_encode()
    path = write(tmp_path / f"t{suffix}", pa.table({**layout("list", np.float64), "label": words}))
    whole = path.read_bytes()
    random = np.random.default_rng(11)
    failed = 0
    for trial in range(300):
        changed = bytearray(whole)
        if trial % 3 == 0:
            changed = changed[: random.integers(1, len(whole))]
        for place in random.integers(8, len(whole), 1 + trial % 4):
            if place < len(changed):
                changed[place] = random.integers(256)
        path.write_bytes(changed)
        try:
            read(path, ReadOptions(class_names=NAMES))
        except InputError:
            failed += 1
    assert failed > 50
