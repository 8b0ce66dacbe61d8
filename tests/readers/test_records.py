"""Structured .npy arrays are tables: their fields are columns by the rules of every table."""

import gzip
import json

import ml_dtypes
import numpy as np
import pytest

import xent_cli
from tests import forked
from tests.click_runner import xent
from tests.readers.source_tests import FifoTests, SourceTests
from xent_cli.errors import InputError

RANDOM = np.random.default_rng(11)
N, K = 500, 4
LOGITS = RANDOM.normal(0, 3, (N, K))
LABELS = RANDOM.integers(0, K, N)
NAMES = ["ant", "bee", "cat", "dog"]
LABEL = ("label", "<i8")
SPLITS = np.array(["train", "test"])[RANDOM.integers(0, 2, N)]
MEAN = xent_cli.evaluate(LOGITS, LABELS).mean_loss


def records(dtype, **columns):
    made = np.zeros(N, dtype)
    for name, values in columns.items():
        made[name] = values
    return made


def one_field_each(kind="<f8", names=("logit_0", "logit_1", "logit_2", "logit_3"), label=("label", "<i8")):
    columns = {name: LOGITS[:, int(name[-1]) if name[-1].isdigit() else place] for place, name in enumerate(names)}
    values = np.take(NAMES, LABELS) if label[1].startswith(("U", "S")) else LABELS
    return records([*((name, kind) for name in names), label], **columns, **{label[0]: values})


def nested():
    scores = [(f"logit_{place}", "<f8") for place in range(K)]
    made = np.zeros(N, [("scores", scores), ("y", "<i4")])
    for place, name in enumerate(made["scores"].dtype.names):
        made["scores"][name] = LOGITS[:, place]
    made["y"] = LABELS
    return made


FORMS = {
    "a field a class": one_field_each,
    "big-endian": lambda: one_field_each(">f8", label=("label", ">i4")),
    "classes in another order": lambda: one_field_each(names=("logit_2", "logit_0", "logit_3", "logit_1")),
    "one field of all logits": lambda: records([("logits", "<f8", (K,)), LABEL], logits=LOGITS, label=LABELS),
    "labels of text": lambda: one_field_each(names=NAMES, label=("label", "U3")),
    "labels of bytes": lambda: one_field_each(names=NAMES, label=("label", "S3")),
    "padding between fields": lambda: records(
        np.dtype([("id", "i1"), ("logits", "<f8", (K,)), ("label", "<i2")], align=True),
        id=np.arange(N) % 100, logits=LOGITS, label=LABELS,
    ),
    "fields within a field": nested,
    "one more axis of one": lambda: one_field_each().reshape(N, 1),
    "fields of dates and matrices beside them": lambda: records(
        [("when", "M8[s]"), ("image", "u1", (2, 2)), ("logits", "<f8", (K,)), ("label", "u1"), ("ok", "?")],
        logits=LOGITS, label=LABELS,
    ),
}  # fmt: skip


def mean(*args):
    return float(xent("compute", *args, "--reduction", "mean", "-q"))


@pytest.mark.parametrize("form", FORMS)
def test_records_give_the_bits_of_plain_arrays(form, tmp_path):
    np.save(tmp_path / "r.npy", FORMS[form]())
    assert mean(tmp_path / "r.npy") == MEAN


def packed(path, array):
    np.save(path.with_suffix(".npy"), array)
    (path.parent / "r.npy.gz").write_bytes(gzip.compress(path.with_suffix(".npy").read_bytes()))
    return path.parent / "r.npy.gz"


def stored(path, array):
    np.savez(path, array)
    return path.with_suffix(".npz")


def deflated(path, array):
    np.savez_compressed(path, rows=array)
    return path.with_suffix(".npz")


def sharded(path, array):
    path.mkdir()
    for place, part in enumerate(np.array_split(array, 3)):
        np.save(path / f"part-{place}.npy", part)
    return path


@pytest.mark.parametrize("write", [packed, stored, deflated, sharded])
@pytest.mark.parametrize("form", ["a field a class", "labels of text", "padding between fields"])
def test_records_are_read_from_archives_shards_and_compressed(form, write, tmp_path):
    assert mean(write(tmp_path / "r", FORMS[form]())) == MEAN


def test_records_come_through_a_pipe(tmp_path):
    np.save(tmp_path / "r.npy", one_field_each())
    run = forked.shell("cat r.npy | xent compute - --reduction mean", tmp_path)
    assert float(run.stdout) == MEAN, run.stderr


class TestRecords(SourceTests):
    format = "records"

    def write(self, folder, values):
        made = np.zeros(len(values), [("logits", self.dtype, (values.shape[1],)), ("split", "S5"), ("label", "<i8")])
        made["logits"], made["label"] = values, np.arange(len(values)) % values.shape[1]
        np.save(folder / "r.npy", made)
        return str(folder / "r.npy")


class TestRecordsOfOneFieldEach(TestRecords):
    dtype = np.float32

    def write(self, folder, values):
        fields = [(f"logit_{place}", ">f4") for place in range(values.shape[1])]
        made = np.zeros(len(values), [*fields, ("label", "<u2")])
        for place, (name, _) in enumerate(fields):
            made[name] = values[:, place]
        np.save(folder / "r.npy", made)
        return str(folder / "r.npy")


class TestRecordsInNpz(TestRecords):
    def write(self, folder, values):
        made = np.load(super().write(folder, values))
        np.savez(folder / "r.npz", logits=made)
        return str(folder / "r.npz")


class TestRecordsDeflated(TestRecords):
    def write(self, folder, values):
        made = np.load(super().write(folder, values))
        np.savez_compressed(folder / "r.npz", made)
        return str(folder / "r.npz")


class TestRecordsPipe(FifoTests, TestRecords):
    pass


class TestLabelsInRecords(TestRecords):
    role = "labels"
    dtype = np.int64

    def write(self, folder, values):
        np.save(folder / "y.npy", np.array(list(zip(values, strict=True)), [("label", "<i8")]))
        return str(folder / "y.npy")


def test_other_fields_serve_as_slices_ids_and_weights(tmp_path):
    made = records(
        [("id", "U8"), ("split", "S5"), ("w", "<f4"), ("logits", "<f8", (K,)), ("label", "<i8")],
        id=[f"s{i}" for i in range(N)], split=SPLITS, w=np.arange(N) % 3, logits=LOGITS, label=LABELS,
    )  # fmt: skip
    np.save(tmp_path / "r.npy", made)
    args = ["--by", "split", "--sample-weight-column", "w", "-f", "json", "-q"]
    found = json.loads(xent("compute", tmp_path / "r.npy", *args))
    losses = xent_cli.sparse_softmax_cross_entropy(LOGITS, LABELS)
    expected = np.average(losses, weights=np.arange(N) % 3)
    assert found["summary"]["mean_loss"] == pytest.approx(expected, rel=1e-12)
    assert {each["value"] for each in found["slices"]} == {"train", "test"}
    rows = xent("compute", tmp_path / "r.npy", "-f", "tsv", "-q").splitlines()
    assert rows[0].split("\t")[:2] == ["sample", "id"]
    assert rows[8].split("\t")[1] == "s7"


def test_fields_of_bfloat16_are_read_if_the_options_say_so(tmp_path):
    small = LOGITS.astype(ml_dtypes.bfloat16)
    made = np.zeros(N, [("logits", "V2", (K,)), ("label", "<i8")])
    made["logits"], made["label"] = small.view("V2"), LABELS
    np.save(tmp_path / "r.npy", made)
    found = mean(tmp_path / "r.npy", "--logits-dtype", "bfloat16")
    assert found == xent_cli.evaluate(small.astype(np.float32), LABELS).mean_loss


def test_records_serve_as_labels_of_an_array(tmp_path):
    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", records([("id", "<i8"), ("label", "<i8")], id=np.arange(N), label=LABELS))
    assert mean(tmp_path / "l.npy", tmp_path / "y.npy") == MEAN


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        ([("logits", "<f8", (K,)), ("label", "O")], (N,), "Python objects"),
        ([("logits", "<f8", (K,)), ("label", "<i8")], (5, 7), "more than one axis"),
        ([("z", "<c16"), ("label", "<i8")], (N,), "no columns of logits"),
        ([("logits", "<f8", (2, 2)), ("label", "<i8")], (N,), "no columns of logits"),
        ([], (N,), "records without values"),
    ],
)
def test_what_is_not_a_table_of_numbers_is_refused(dtype, shape, said, tmp_path):
    np.save(tmp_path / "r.npy", np.zeros(shape, dtype), allow_pickle=True)
    with pytest.raises(InputError, match=said):
        mean(tmp_path / "r.npy")


def test_a_bad_label_is_named_by_its_record(tmp_path):
    made = one_field_each()
    made["label"][123] = K
    np.save(tmp_path / "r.npy", made)
    with pytest.raises(InputError) as caught:
        mean(tmp_path / "r.npy", "--logits-column", "logit_*")
    assert "row 123" in str(caught.value)


def test_inspect_lists_the_fields_and_ends_in_the_line(tmp_path, monkeypatch):
    np.save(tmp_path / "r.npy", one_field_each())
    monkeypatch.chdir(tmp_path)
    found = xent("inspect", "r.npy", "-q")
    assert "logit_3" in found
    line = found.splitlines()[-1].split("\t")[1].split()
    assert mean(*line[2:]) == MEAN


def test_class_weights_in_records_are_matched_by_class_never_by_place(tmp_path):
    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    np.save(tmp_path / "plain.npy", [1.0, 2.0, 0.5, 3.0])
    rows = [(2, 0.5), (0, 1.0), (3, 3.0), (1, 2.0)]
    np.save(tmp_path / "w.npy", np.array(rows, [("class", "<i4"), ("weight", "<f8")]))
    inputs = (tmp_path / "l.npy", tmp_path / "y.npy", "--class-weight")
    assert mean(*inputs, tmp_path / "w.npy") == mean(*inputs, tmp_path / "plain.npy")
    np.save(tmp_path / "short.npy", np.array(rows[:3], [("class", "<i4"), ("weight", "<f8")]))
    with pytest.raises(InputError, match="weight"):
        mean(*inputs, tmp_path / "short.npy")


def test_weights_and_masks_in_records_are_held_against_the_ids(tmp_path):
    ids = [f"s{i}" for i in range(N)]
    made = records([("id", "U4"), ("logits", "<f8", (K,)), LABEL], id=ids, logits=LOGITS, label=LABELS)
    np.save(tmp_path / "r.npy", made)
    weights = records([("id", "S4"), ("weight", "<f8")], id=ids, weight=np.arange(N))
    np.save(tmp_path / "w.npy", weights)
    np.save(tmp_path / "turned.npy", weights[::-1])
    expected = np.average(xent_cli.sparse_softmax_cross_entropy(LOGITS, LABELS), weights=np.arange(N))
    assert mean(tmp_path / "r.npy", "--sample-weight", tmp_path / "w.npy") == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="different order"):
        mean(tmp_path / "r.npy", "--sample-weight", tmp_path / "turned.npy")


def test_saved_losses_in_records_are_compared_by_id(tmp_path):
    losses = xent_cli.sparse_softmax_cross_entropy(LOGITS, LABELS)
    turned = RANDOM.permutation(N)
    for name, order in (("a", np.arange(N)), ("b", turned)):
        made = records([("id", "<i8"), ("loss", "<f8")], id=order, loss=losses[order])
        np.save(tmp_path / f"{name}.npy", made)
    found = json.loads(xent("compare", tmp_path / "a.npy", tmp_path / "b.npy", "-f", "json", "-q"))
    mean_of = next(each for each in found["candidates"][0]["metrics"] if each["metric"] == "mean_loss")
    # If rows were matched wrongly, the differences would vary and have an interval.
    assert (mean_of["delta"], mean_of["low"], mean_of["n"]) == (0, None, N)
