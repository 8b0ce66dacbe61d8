"""Two tables with ids: compared row by row, or joined, and never matched by position alone."""

import numpy as np
import pytest

from tests.readers.test_ids_weights_and_groups import read, write
from xent_cli.core.checks.same_samples import OtherIdError, OtherLabelError, plain_id
from xent_cli.errors import InputError, RowError, UsageError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

SUFFIXES = ["csv", "parquet", "arrow", "jsonl"]
ROWS = 10
IDS = [f"s{i}" for i in range(ROWS)]
LOGITS = np.random.default_rng(0).normal(size=(ROWS, 3)).round(3)
LABELS = [2, 0, 1, 1, 0, 2, 1, 0, 0, 2]
TURNED = [7, 3, 1, 0, 9, 8, 2, 4, 6, 5]
WIDE = {f"logit_{name}": LOGITS[:, place] for place, name in enumerate(["cat", "dog", "emu"])}
JOIN = ReadOptions(join="id")


@pytest.fixture(params=SUFFIXES)
def logits(tmp_path, request):
    """Write a table of logits with ids."""
    return write(tmp_path / f"l.{request.param}", {"id": IDS, **WIDE})


def labels_in(tmp_path, order, suffix="csv", **more):
    columns = {"id": [IDS[i] for i in order], "label": [LABELS[i] for i in order]}
    return write(
        tmp_path / f"y.{suffix}", columns | {name: [values[i] for i in order] for name, values in more.items()}
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("with_ids", [True, False])
def test_one_order_is_read_row_by_row(tmp_path, logits, suffix, with_ids):
    pair = open_pair(
        logits, labels_in(tmp_path, range(ROWS), suffix), None, ReadOptions(run=RunNeeds(with_ids=with_ids))
    )
    rows = read(pair)
    assert rows.labels.tolist() == LABELS
    assert rows.ids.tolist() == IDS


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_order_is_refused_at_the_first_difference(tmp_path, logits, suffix):
    pair = open_pair(logits, labels_in(tmp_path, [0, 1, *reversed(range(2, ROWS))], suffix), None, ReadOptions())
    with pytest.raises(OtherIdError) as caught:
        read(pair)
    told = pair.complete(caught.value)
    assert (told.what, told.found) == ("labels are in a different order", '"s9"')
    assert told.expected.startswith('"s2", as in ')
    assert "sample 2" in told.where
    assert told.where.endswith((', column "id"', ', key "id"'))
    assert "--join id" in told.hint


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_join_finds_the_rows_by_their_ids(tmp_path, logits, suffix):
    split = [f"part {i % 3}" for i in range(ROWS)]
    path = labels_in(tmp_path, TURNED, suffix, split=split)
    pair = open_pair(logits, path, None, ReadOptions(join="id", by=("split",), run=RunNeeds(with_ids=True)))
    rows = read(pair)
    np.testing.assert_array_equal(rows.logits, LOGITS)
    assert (rows.labels.tolist(), rows.ids.tolist()) == (LABELS, IDS)
    assert rows.groups[:, 0].tolist() == split
    assert pair.diagnostics == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_join_is_the_same_in_parts_of_any_size(suffix, tmp_path, logits):
    small = RunNeeds(task_bytes=64, chunk_bytes=64, group_bytes=64, batch_bytes=64, step_bytes=64)
    pair = open_pair(logits, labels_in(tmp_path, TURNED, suffix), None, ReadOptions(join="id", run=small))
    assert read(pair).labels.tolist() == LABELS
    assert read(pair).labels.tolist() == LABELS


def test_weights_are_joined_and_compared_too(tmp_path, logits):
    columns = {"id": [IDS[i] for i in TURNED], "weight": [float(i) for i in TURNED]}
    labels, weights = labels_in(tmp_path, range(ROWS)), write(tmp_path / "w.csv", columns)
    pair = open_pair(logits, labels, weights, JOIN)
    assert read(pair).weights.tolist() == [float(i) for i in range(ROWS)]
    pair = open_pair(logits, labels, weights, ReadOptions())
    with pytest.raises(OtherIdError, match="weights are in a different order") as caught:
        read(pair)
    assert "w.csv" in pair.complete(caught.value).where


def test_masks_are_joined_and_compared_too(tmp_path, logits):
    mask = write(tmp_path / "m.csv", {"id": [IDS[i] for i in TURNED], "mask": [int(i > 3) for i in TURNED]})
    labels = labels_in(tmp_path, TURNED)
    pair = open_pair(logits, labels, None, ReadOptions(join="id", mask=mask))
    assert read(pair).mask.tolist() == [i > 3 for i in range(ROWS)]
    pair = open_pair(logits, labels_in(tmp_path, range(ROWS)), None, ReadOptions(mask=mask))
    with pytest.raises(OtherIdError, match="masks are in a different order"):
        read(pair)


def test_an_array_beside_joined_tables_goes_along_row_by_row(tmp_path, logits):
    np.save(tmp_path / "w.npy", np.arange(10.0))
    pair = open_pair(logits, labels_in(tmp_path, TURNED), str(tmp_path / "w.npy"), JOIN)
    blocks = [task.load() for task in pair.tasks()]
    assert [label for block in blocks for label in block.labels] == LABELS
    # An array is valid until the next block is read.
    assert [weight for task in pair.tasks() for weight in task.load().weights.tolist()] == list(range(10))


@pytest.mark.parametrize(
    ("ids", "what", "told"),
    [
        ([*IDS[:4], *["x", "y"], *IDS[6:]], "sample without labels", '"s4"'),
        ([*IDS[:4], "s1", *IDS[5:9], "s1"], "id that repeats", '"s1" again'),
        ([*IDS[:4], None, *IDS[5:]], "row without an id", "nothing"),
    ],
)
def test_ambiguous_ids_are_refused_by_name_and_number(tmp_path, logits, ids, what, told):
    path = write(tmp_path / "y.parquet", {"id": ids, "label": LABELS})
    with pytest.raises(InputError) as caught:
        read(open_pair(logits, path, None, JOIN))
    assert (caught.value.what, caught.value.found) == (what, told)
    assert caught.value.more == ("" if "without an" in what else "1 more row like this")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_id_that_repeats_in_the_logits_is_refused(tmp_path, suffix):
    logits = write(tmp_path / f"l.{suffix}", {"id": [*IDS[:9], "s3"], **WIDE})
    with pytest.raises(InputError, match="id that repeats") as caught:
        read(open_pair(logits, labels_in(tmp_path, TURNED), None, JOIN))
    assert "sample 9" in caught.value.where


def test_rows_that_belong_to_no_sample_are_warned_of(tmp_path):
    logits = write(tmp_path / "l.csv", {"id": IDS[2:], **{name: values[2:] for name, values in WIDE.items()}})
    pair = open_pair(logits, labels_in(tmp_path, TURNED), None, JOIN)
    assert read(pair).labels.tolist() == LABELS[2:]
    (diagnostic,) = pair.diagnostics
    assert (diagnostic.code, diagnostic.note) == ("rows-not-joined", False)
    assert "2 of 10 rows" in diagnostic.message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_number_of_rows_with_ids_is_refused_with_the_option_that_joins(tmp_path, logits, suffix):
    with pytest.raises(InputError, match="inputs of different length") as caught:
        read(open_pair(logits, labels_in(tmp_path, range(8), suffix), None, ReadOptions()))
    assert "--join id" in caught.value.hint


def test_what_cannot_be_joined_is_refused(tmp_path, logits):
    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    labels = labels_in(tmp_path, TURNED)
    with pytest.raises(UsageError, match="which has no columns"):
        open_pair(str(tmp_path / "l.npy"), labels, None, JOIN)
    with pytest.raises(UsageError, match="no second table"):
        open_pair(logits, str(tmp_path / "y.npy"), None, JOIN)
    with pytest.raises(InputError, match="no such column"):
        open_pair(logits, labels, None, ReadOptions(join="ids"))
    with pytest.raises(InputError, match="no such column"):
        open_pair(logits, write(tmp_path / "y2.csv", {"label": LABELS}), None, JOIN)


def test_ids_are_alike_however_a_table_stores_them(tmp_path):
    logits = write(tmp_path / "l.parquet", {"id": list(range(ROWS)), **WIDE})
    labels = write(tmp_path / "y.csv", {"id": [f" {i}.0" for i in range(ROWS)], "label": LABELS})
    assert read(open_pair(logits, labels, None, ReadOptions())).labels.tolist() == LABELS
    assert [plain_id(value) for value in (7, "7.00", "7.5", " a", None)] == ["7", "7", "7.5", "a", None]


def test_labels_of_a_file_count_and_those_beside_the_logits_are_held_against_them(tmp_path):
    logits = write(tmp_path / "l.csv", {**WIDE, "label": LABELS})
    np.save(tmp_path / "y.npy", LABELS)
    pair = open_pair(logits, str(tmp_path / "y.npy"), None, ReadOptions())
    assert read(pair).labels.tolist() == LABELS
    (diagnostic,) = pair.diagnostics
    assert (diagnostic.code, diagnostic.note) == ("labels-from-file", True)
    np.save(tmp_path / "y.npy", [*LABELS[:7], 1, *LABELS[8:]])
    pair = open_pair(logits, str(tmp_path / "y.npy"), None, ReadOptions())
    with pytest.raises(OtherLabelError) as caught:
        read(pair)
    told = pair.complete(caught.value)
    assert (told.found, told.where.endswith("y.npy sample 7")) == ("class 1", True)
    assert told.expected.startswith('class 0, as in column "label" of ')


def test_dense_labels_of_a_file_count_alone(tmp_path):
    logits = write(tmp_path / "l.csv", {**WIDE, "label": [1] * ROWS})
    np.save(tmp_path / "y.npy", np.eye(3)[LABELS])
    pair = open_pair(logits, str(tmp_path / "y.npy"), None, ReadOptions())
    np.testing.assert_array_equal(read(pair).labels, np.eye(3)[LABELS])
    assert [diagnostic.code for diagnostic in pair.diagnostics] == ["labels-from-file"]


SOFT = np.random.default_rng(1).dirichlet(np.ones(3), ROWS)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "names",
    [["emu", "cat", "dog"], ["p_emu", "p_cat", "p_dog"], ["is emu?", "is cat?", "is dog?"], ["p2", "p0", "p1"]],
    ids=lambda names: names[0],
)
@pytest.mark.parametrize("source", ["labels", "probs"])
def test_dense_labels_and_teachers_go_by_the_names_of_the_classes(tmp_path, suffix, names, source):
    soft = write(tmp_path / f"y.{suffix}", {name: SOFT[:, place] for name, place in zip(names, [2, 0, 1], strict=True)})
    pair = open_pair(write(tmp_path / "l.csv", WIDE), soft, None, ReadOptions(labels_source=source))
    np.testing.assert_array_equal(read(pair).labels, SOFT)


@pytest.mark.parametrize("names", [["emu", "cat", "cow"], ["u", "v", "w"], ["p1", "p2", "p3"], ["bat", "bar", "bag"]])
@pytest.mark.parametrize("logits", ["l.csv", "l.npy"])
def test_names_of_other_classes_are_refused_for_dense_labels(tmp_path, names, logits):
    soft = write(tmp_path / "y.csv", dict(zip(names, SOFT.T, strict=True)))
    if logits == "l.npy":
        np.save(tmp_path / logits, LOGITS)
    else:
        write(tmp_path / logits, WIDE)
    options = ReadOptions(class_names=("cat", "car", "cab") if names[0] == "bat" else ("cat", "dog", "emu"))
    with pytest.raises(InputError):
        open_pair(str(tmp_path / logits), soft, None, options)


def test_dense_labels_of_arrays_or_without_a_header_are_in_the_order_of_the_classes(tmp_path):
    np.savetxt(tmp_path / "y.csv", SOFT, delimiter=",", fmt="%.17g")
    np.save(tmp_path / "y.npy", SOFT)
    for name in ("y.csv", "y.npy"):
        pair = open_pair(write(tmp_path / "l.csv", WIDE), str(tmp_path / name), None, ReadOptions())
        np.testing.assert_array_equal(read(pair).labels, SOFT)
    np.save(tmp_path / "l.npy", LOGITS)
    named = write(tmp_path / "named.csv", dict(zip(["u", "v", "w"], SOFT.T, strict=True)))
    np.testing.assert_array_equal(read(open_pair(str(tmp_path / "l.npy"), named, None, ReadOptions())).labels, SOFT)


@pytest.mark.parametrize(
    ("here", "there"),
    [("ID", "id"), ("sample_id", "Sample ID"), ("imageId", "image_id"), ("filename", "filename"), (" path ", "path")],
)
def test_columns_of_ids_are_recognised_by_their_names_whatever_the_case(tmp_path, here, there):
    logits = write(tmp_path / "l.parquet", {here: IDS, **WIDE})
    labels = write(tmp_path / "y.csv", {there: [IDS[i] for i in TURNED], "label": [LABELS[i] for i in TURNED]})
    pair = open_pair(logits, labels, None, ReadOptions())
    with pytest.raises(OtherIdError) as caught:
        read(pair)
    assert f"--join {here}" in pair.complete(caught.value).hint.replace("'", "")
    assert read(open_pair(logits, labels, None, ReadOptions(join=here))).labels.tolist() == LABELS


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["index", "Unnamed: 0", "row_id"])
def test_numbers_of_rows_say_an_order_where_both_tables_have_the_same(tmp_path, suffix, name):
    numbers = [int(i) for i in np.random.default_rng(2).permutation(ROWS)]
    logits = write(tmp_path / f"l.{suffix}", {name: numbers, **WIDE})
    turned = {name: [numbers[i] for i in TURNED], "label": [LABELS[i] for i in TURNED]}
    pair = open_pair(logits, write(tmp_path / "y.csv", turned), None, ReadOptions())
    with pytest.raises(OtherIdError):
        read(pair)
    same = write(tmp_path / "y2.csv", {name: numbers, "label": LABELS})
    assert read(open_pair(logits, same, None, ReadOptions())).labels.tolist() == LABELS
    fresh = write(tmp_path / "y3.csv", {name: range(100, 100 + ROWS), "label": LABELS})
    assert read(open_pair(logits, fresh, None, ReadOptions())).labels.tolist() == LABELS


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_list_of_names_that_contradicts_the_columns_is_refused(tmp_path, suffix):
    logits, labels = write(tmp_path / f"l.{suffix}", WIDE), write(tmp_path / "y.csv", {"label": ["cat", "dog"] * 5})
    with pytest.raises(InputError, match="names of different classes") as caught:
        open_pair(
            logits,
            labels,
            None,
            ReadOptions(class_names=("wolf", "cat", "dog"), class_names_file="names.txt", logits_column=("logit_*",)),
        )
    assert caught.value.where == "names.txt"
    assert '"wolf"' in caught.value.found


def location(pair):
    with pytest.raises(RowError) as caught:
        [task.load() for task in pair.tasks()]
    return pair.complete(caught.value).where


@pytest.mark.parametrize("join", [False, True])
def test_a_label_of_the_logits_table_that_is_no_class_is_located_there(tmp_path, join):
    names = np.array(["cat", "dog", "emu"])[LABELS].tolist()
    logits = write(tmp_path / "l.csv", {"id": IDS, **WIDE, "label": [*names[:7], "gnu", *names[8:]]})
    order = TURNED if join else range(ROWS)
    path = write(tmp_path / "y.csv", {"id": [IDS[i] for i in order], "label": [names[i] for i in order]})
    pair = open_pair(logits, path, None, JOIN if join else ReadOptions())
    assert location(pair).startswith(f"{logits} line 9 ")


def test_a_label_that_differs_is_located_where_it_stands_in_the_joined_table(tmp_path):
    logits = write(tmp_path / "l.csv", {"id": IDS, **WIDE, "label": LABELS})
    other = [(label + 1) % 3 if i == 4 else label for i, label in enumerate(LABELS)]
    path = write(tmp_path / "y.csv", {"id": [IDS[i] for i in TURNED], "label": [other[i] for i in TURNED]})
    assert location(open_pair(logits, path, None, JOIN)).startswith(f"{path} line {TURNED.index(4) + 2} ")
