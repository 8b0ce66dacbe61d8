import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.readers.tables import read
from xent_cli.errors import InputError, RowError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.class_names_file import read_class_names
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.saved.saved_results import read_saved

LOGITS = np.random.default_rng(5).normal(0, 4, (90, 3))
LABELS = np.arange(90) % 3
# Columns of numbers with these names are logits because the options say so.
NAMES = ("cat", "dog", "eel")


def write(path, table, rows=40):
    kind = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, kind(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


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
def test_a_large_batch_is_cut_and_a_small_one_is_not(largest, tmp_path):
    options = ReadOptions(run=RunNeeds(batch_bytes=largest, task_bytes=7 * 24))
    path = write(tmp_path / "t.arrow", pa.table({**layout("list", np.float64), "label": LABELS}))
    np.testing.assert_array_equal(read(path, options=options)[0], LOGITS)
    sizes = [size for _, size, _ in open_pair(str(path), None, None, options).logits.parts()]
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
            read(path, options=ReadOptions(class_names=NAMES))
        except InputError:
            failed += 1
    assert failed > 50


MARK = b"\xff\xff\xff\xff"
ARROW = int(pa.__version__.split(".")[0])
SOUND = {
    "plain": {},
    "lz4": {"compression": "lz4"},
    "zstd": {"compression": "zstd"},
    "before 2019": {"use_legacy_format": True, "metadata_version": pa.ipc.MetadataVersion.V4},
}


def spelt(new, rows=20, words=False, close=True, **options):
    """Return the bytes of a file or a stream, with or without its end."""
    labels = pa.array([NAMES[i] for i in LABELS]).dictionary_encode() if words else LABELS
    table = pa.table({**layout("wide", np.float64), "label": labels})
    sink = pa.BufferOutputStream()
    writer = new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options))
    writer.write_table(table, max_chunksize=rows)
    if close:
        writer.close()
    return sink.getvalue().to_pybytes()


def batch_places(data):
    """Return the offsets of the messages other than the schema and the end."""
    marks = [at for at in range(16, len(data) - 8, 8) if data[at : at + 4] == MARK]
    return [at for at in marks if data[at + 4 : at + 8] != bytes(4)]


def relisted(data, change):
    """Return the file with a different list of batches in its footer: `change` turns the old list into the new one."""
    places = batch_places(data)
    begin = data.rindex(places[0].to_bytes(8, "little")) - 4
    count = int.from_bytes(data[begin : begin + 4], "little")
    assert count == len(places)
    blocks = [data[begin + 4 + 24 * i : begin + 28 + 24 * i] for i in range(count)]
    told = change(blocks)
    return data[:begin] + len(told).to_bytes(4, "little") + b"".join([*told, *blocks])[: 24 * count] + data[
        begin + 4 + 24 * count :
    ]  # fmt: skip


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_lists_what_it_holds(name, words, tmp_path):
    if name == "before 2019" and ARROW < 26:
        pytest.skip("older versions of Arrow cannot read the footer of such a file")
    (tmp_path / "t.arrow").write_bytes(spelt(pa.ipc.new_file, words=words, **SOUND[name]))
    assert len(read(tmp_path / "t.arrow")[0]) == 90


def without_length_of_the_schema(data):
    """Return the file as Polars writes it, without a length before the schema."""
    first = batch_places(data)[0]
    return data[:8] + data[16:first] + bytes(8) + data[first:]


def test_a_schema_without_its_length_is_read_as_arrow_reads_it(tmp_path):
    data = without_length_of_the_schema(spelt(pa.ipc.new_file))
    (tmp_path / "t.arrow").write_bytes(data)
    assert len(read(tmp_path / "t.arrow")[0]) == 90


RELISTED = {
    "the first left out": lambda blocks: blocks[1:],
    "the last left out": lambda blocks: blocks[:-1],
    "one in the middle left out": lambda blocks: [*blocks[:1], *blocks[2:]],
    "all left out": lambda blocks: [],
    "one twice": lambda blocks: [blocks[0], blocks[0], *blocks[2:]],
    "two changed about": lambda blocks: [blocks[1], blocks[0], *blocks[2:]],
}


@pytest.mark.parametrize("of", ["logits", "saved rows", "names of classes"])
@pytest.mark.parametrize("change", RELISTED)
def test_a_file_whose_footer_lists_other_batches_than_it_holds_is_refused(change, of, tmp_path):
    path = tmp_path / "t.arrow"
    for data in (spelt(pa.ipc.new_file), without_length_of_the_schema(spelt(pa.ipc.new_file))):
        path.write_bytes(relisted(data, RELISTED[change]))
        with pytest.raises(InputError, match="its footer lists"):
            OPENED[of](path)


OPENED = {
    "logits": read,
    "saved rows": lambda path: read_saved(str(path)),
    "names of classes": lambda path: read_class_names(str(path)),
}


@pytest.mark.parametrize("of", OPENED)
@pytest.mark.parametrize("codec", ["", ".gz"])
@pytest.mark.parametrize("kept", [1, 2, 5])
def test_a_stream_that_stops_between_batches_is_refused(kept, codec, of, tmp_path):
    data = spelt(pa.ipc.new_stream, close=False)
    data = data[: [*batch_places(data), len(data)][kept]]
    path = tmp_path / f"t.arrows{codec}"
    path.write_bytes(gzip.compress(data) if codec else data)
    with pytest.raises(InputError, match="no mark at its end"):
        OPENED[of](path)


@pytest.mark.parametrize("of", OPENED)
@pytest.mark.parametrize("codec", ["", ".gz"])
def test_two_streams_in_a_row_are_refused(codec, of, tmp_path):
    data = 2 * spelt(pa.ipc.new_stream)
    path = tmp_path / f"t.arrows{codec}"
    path.write_bytes(gzip.compress(data) if codec else data)
    with pytest.raises(InputError, match="bytes after the mark at its end"):
        OPENED[of](path)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_pipe_tells_a_stream_that_ends_from_one_that_stops_or_goes_on(times):
    data = spelt(pa.ipc.new_stream) * times or spelt(pa.ipc.new_stream, close=False)
    run = forked.xent("compute", "-", "--reduction", "mean", input=data, text=False)
    told = {0: b"no mark at its end", 1: b"", 2: b"bytes after the mark at its end"}[times]
    assert run.returncode == (0 if times == 1 else 3), run.stderr
    assert told in run.stderr
    assert bool(run.stdout) == (times == 1)
