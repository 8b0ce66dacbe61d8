"""Files of torch.save: written by PyTorch (tests/saved_by/torch), damaged, and hostile."""

import builtins
import importlib.util
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.torch_writer import Call, Global, archive, calls, pickled, save, storage, tensor
from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.class_weights import read_class_weight
from xent_cli.readers.pair.pair import open_pair

SAVED = Path(__file__).parents[1] / "saved_by" / "torch"
MAKER = SAVED.with_name("make_torch.py")
EXPECTED = dict(np.load(SAVED / "expected.npz"))
DTYPES = [name.split(":")[1] for name in EXPECTED if name.startswith("dtypes.pt:")]
VIEWS = [name.split(":")[1] for name in EXPECTED if name.startswith("views.pt:")]
LOGITS, LABELS = EXPECTED["pair.pt:logits"], EXPECTED["pair.pt:labels"]
X = np.arange(6, dtype="f4").reshape(2, 3)


def read(source, role="logits"):
    parts = [np.array(getattr(part.read(), role)) for _, _, part in source.parts()]
    return np.concatenate(parts) if parts else np.empty((0, *source.info.row_shape), source.info.dtype)


def opened(path, role="logits", axis=-1, **options):
    return open_source(str(path), role, ReadOptions(**options), Classes(axis if role == "logits" else None))


def rows(values, axis):
    """Return samples with their classes last, in C order."""
    moved = np.moveaxis(values, axis, -1)
    return moved.reshape(int(np.prod(moved.shape[:-1])), moved.shape[-1])


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        opened(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_that_torch_writes_is_read_as_torch_reads_it(name):
    expected = EXPECTED[f"dtypes.pt:{name}"]
    source = opened(SAVED / "dtypes.pt", logits_column=(name,))
    np.testing.assert_array_equal(read(source), expected)
    assert source.info.dtype == expected.dtype


@pytest.mark.parametrize("cramped", [False, True], ids=["", "cramped"])
@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_read_along_every_axis_whole_and_in_pieces(name, cramped):
    needs = RunNeeds(task_bytes=100, step_bytes=64) if cramped else RunNeeds()  # pieces of a few values
    expected = EXPECTED[f"views.pt:{name}"]
    labels = opened(SAVED / "views.pt", "labels", label_column=name)
    np.testing.assert_array_equal(read(labels, "labels"), expected.ravel())
    for axis in range(expected.ndim):
        source = opened(SAVED / "views.pt", axis=axis, logits_column=(name,), run=needs)
        wanted = rows(expected, axis)
        np.testing.assert_array_equal(read(source), wanted)
        for start in range(len(wanted)):
            for stop in range(start + 1, len(wanted) + 1):
                part = source.rows(start, stop)
                np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).read().logits, wanted[start:stop])


@pytest.mark.parametrize(
    "name",
    ["pair.pt", "grad.pt", "nested.pt", "batches.pt", "plain_values.pt", "cuda.pt", "model_output.pt"]
    + [f"protocol{protocol}.pt" for protocol in (3, 4, 5)],
)
def test_a_file_that_holds_logits_and_labels_needs_no_options(name):
    pair = open_pair(str(SAVED / name), None, None, ReadOptions())
    logits = [task.load().logits.copy() for task in pair.tasks()]
    np.testing.assert_array_equal(np.concatenate(logits), LOGITS)
    np.testing.assert_array_equal(read(pair.labels, "labels"), LABELS)


@pytest.mark.parametrize("name", ["logits.pt", "parameter.pt", "attribute.pt", "list.pt", "samples.pt"])
def test_a_file_of_logits_alone_goes_with_labels_of_another_file(name):
    pair = open_pair(str(SAVED / name), str(SAVED / "labels.pth"), None, ReadOptions())
    np.testing.assert_array_equal(read(pair.logits), LOGITS)
    np.testing.assert_array_equal(read(pair.labels, "labels"), LABELS)
    with pytest.raises(InputError, match="no labels"):
        open_pair(str(SAVED / name), None, None, ReadOptions())


@pytest.mark.parametrize("name", ["tuple.pt", "tuples.pt"])
def test_items_of_a_tuple_are_named_by_position_and_never_guessed(name):
    with pytest.raises(InputError, match=r'no array of logits\n.*"0", "1"'):
        open_pair(str(SAVED / name), None, None, ReadOptions())
    options = ReadOptions(logits_column=("0",), label_column="1")
    pair = open_pair(str(SAVED / name), None, None, options)
    np.testing.assert_array_equal(read(pair.logits), LOGITS)
    np.testing.assert_array_equal(read(pair.labels, "labels"), LABELS)


def test_one_piece_of_a_list_may_be_asked_for():
    source = opened(SAVED / "batches.pt", logits_column=("1.logits",))
    np.testing.assert_array_equal(read(source), LOGITS[5:10])


def test_a_file_of_another_name_is_recognised_by_its_content(tmp_path):
    shutil.copy(SAVED / "pair.pt", tmp_path / "outputs.npy")
    assert opened(tmp_path / "outputs.npy").info.format == "torch"


def test_an_archive_that_was_packed_again_in_another_order_is_still_read(tmp_path):
    with zipfile.ZipFile(SAVED / "pair.pt") as old, zipfile.ZipFile(tmp_path / "p.pt", "w") as new:
        for name in sorted(old.namelist(), reverse=True):
            new.writestr(name, old.read(name))
    np.testing.assert_array_equal(read(opened(tmp_path / "p.pt")), LOGITS)


UNSUPPORTED = {
    "sparse": ("a sparse tensor", "to_dense"),
    "csr": ("a sparse tensor", "to_dense"),
    "quantized": ("a quantized tensor", "dequantize"),
    "nested": ("a nested tensor", "unbind"),
    "meta": ("a tensor on the meta device", "model.to("),
    "negated": ("negated", "resolve_neg"),
    "complex": ("torch.complex64", "real"),
    "float8": ("torch.float8_e4m3fn", "float()"),
    "numbers": ("a list of 3 Python numbers", "torch.tensor"),
    "array": ("a NumPy array", "torch.from_numpy"),
    "storage": ("a storage", "torch.save(tensor,"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_a_plain_tensor_is_refused_with_the_line_that_makes_it_one(name):
    found, hint = UNSUPPORTED[name]
    message = refusal(SAVED / "unsupported.pt", logits_column=(name,))
    assert f"unsupported.pt:{name}" in message
    assert found in message
    assert hint in message.split("hint: ")[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("state_dict.pt", "a state dict of 2 tensors"),
        ("checkpoint.ckpt", "a state dict of 2 tensors"),
        ("torchscript.pt", "a TorchScript archive"),
        ("module.pt", "a pickled torch.nn.modules.linear.Linear: none of it was run"),
        ("before_1_6.pt", "before version 1.6"),
    ],
)
def test_models_and_old_files_are_refused_by_what_they_are(name, words):
    message = refusal(SAVED / name)
    assert words in message
    assert "torch.save(" in message.split("hint: ")[1]


def test_the_weights_of_a_model_may_be_asked_for_by_name():
    assert opened(SAVED / "state_dict.pt", logits_column=("weight",)).info.sample_shape == (2,)


HOSTILE = {
    "os.system": (calls(os.system, "touch ran"), "posix.system"),
    "eval": (calls(eval, "open('ran', 'w')"), "__builtin__.eval"),
    "getattr": (calls(getattr, {}, "x"), "__builtin__.getattr"),
    "shutil.rmtree": (calls(shutil.rmtree, "."), "shutil.rmtree"),
    "module": (pickled({"logits": Call("runpy _run_code", ("open('ran', 'w')",))}), "runpy._run_code"),
    "only named": (pickled({"logits": Global("os system")}), "os.system"),
    "by a dotted name": (b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93.", "torch.os.system"),
    "inst": (b"\x80\x02(ios\nsystem\n.", "an object of a class"),
    "obj": (b"\x80\x02(cos\nsystem\no.", "os.system"),
    "newobj_ex": (b"\x80\x04\x8c\x02os\x8c\x06system\x93)}\x92.", "os.system"),
    "extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "long name": (pickled(Global("a" * 5000 + " b")), "aaa..."),
    "control characters": (pickled(Global("os\x1b[31m system")), r"os\x1b[31m.system"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_names_code_is_refused_by_that_name_and_nothing_of_it_runs(name, tmp_path, monkeypatch):
    content, words = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / "t.pt", content)
    with monkeypatch.context() as patch:
        patch.setattr(pickle, "load", None)
        patch.setattr(pickle, "loads", None)
        patch.setattr(pickle, "Unpickler", None)
        patch.setattr(builtins, "eval", None)
        message = refusal(tmp_path / "t.pt")
    assert words in message
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["t.pt"]


def bomb(opcode, depth):
    """Return nested tuples, each containing the next one twice, so that the number of paths doubles with each level."""
    return b"\x80\x02)" + b"2\x86" * depth + opcode + b"."


DAMAGED = {
    "nothing": (b"", {}),
    "no end": (b"\x80\x02}", {}),
    "cut text": (b"\x80\x02X\xff\xff\xff\x7fabc.", {}),
    "huge text": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", {}),
    "unknown opcode": (b"\x80\x02\xee.", {}),
    "empty stack": (b"\x80\x020.", {}),
    "no mark": (b"\x80\x02t.", {}),
    "unknown memo": (b"\x80\x02h\x07.", {}),
    "two results": (b"\x80\x02NN.", {}),
    "odd dict": (b"\x80\x02}(Nu.", {}),
    "key of no text": (b"\x80\x02}])s.", {}),
    "keys of one name": (b"\x80\x02}(K\x01NX\x01\0\0\x001Nu.", {}),
    "items of a number": (b"\x80\x02K\x01(K\x02e.", {}),
    "call of a number": (b"\x80\x02K\x01)R.", {}),
    "attributes of a list": (b"\x80\x02]}b.", {}),
    "number of 5,000 digits": (b"\x80\x02I" + b"9" * 5000 + b"\n.", {}),
    "list in itself": (b"\x80\x02]q\0h\0a.", {}),
    "dict in itself": (b"\x80\x02}q\0X\1\0\0\0ah\0s.", {}),
    "bomb": (bomb(b"", 200), {}),
    "deep": (b"\x80\x02)" + b"\x85" * 100_000 + b".", {}),
    "many": (b"\x80\x02](" + b"]" * 1_600_000 + b"e.", {}),
    "other identifier": (pickled(tensor("0", "float32", 6, (2, 3))).replace(b"storage", b"weights"), {"0": bytes(24)}),
    "other storage": (pickled(tensor("0", "float32", 6, (2, 3))).replace(b"FloatS", b"FlootS"), {"0": bytes(24)}),
    "no such storage": (pickled(tensor("1", "float32", 6, (2, 3))), {"0": bytes(24)}),
    "path for a storage": (pickled(tensor("../../data.pkl", "float32", 6, (2, 3))), {"0": bytes(24)}),
    "short storage": (pickled(tensor("0", "float32", 6, (2, 3))), {"0": bytes(20)}),
    "long storage": (pickled(tensor("0", "float32", 6, (2, 3))), {"0": bytes(28)}),
    "leaves its storage": (pickled(tensor("0", "float32", 6, (2, 3), offset=1)), {"0": bytes(24)}),
    "strides leave it": (pickled(tensor("0", "float32", 6, (2, 3), (4, 1))), {"0": bytes(24)}),
    "negative stride": (pickled(tensor("0", "float32", 6, (2, 3), (-3, 1), 3)), {"0": bytes(24)}),
    "negative side": (pickled(tensor("0", "float32", 6, (-2, -3))), {"0": bytes(24)}),
    "negative offset": (pickled(tensor("0", "float32", 6, (1, 3), offset=-3)), {"0": bytes(24)}),
    "sides past 64 bits": (pickled(tensor("0", "float32", 6, (2**62, 2**62))), {"0": bytes(24)}),
    "side of a bool": (pickled(tensor("0", "float32", 6, (True, 3))), {"0": bytes(24)}),
    "strides of another rank": (pickled(tensor("0", "float32", 6, (2, 3), (1,))), {"0": bytes(24)}),
    "rank of 1,000": (pickled(tensor("0", "float32", 1, (1,) * 1000)), {"0": bytes(4)}),
    "repeated for ever": (pickled(tensor("0", "float32", 3, (10**15, 3), (0, 1))), {"0": bytes(12)}),
    "no arguments": (pickled(Call("torch._utils _rebuild_tensor_v2")), {}),
    "arguments of another kind": (pickled(Call("torch._utils _rebuild_tensor_v2", ([], 0, (), ()))), {}),
    "a dtype that is none": (
        pickled(Call("torch._utils _rebuild_tensor_v3", (storage("0", "UntypedStorage", 4), 0, (1,), (1,), 0, 0, 7))),
        {"0": bytes(4)},
    ),
    "two of one name": (
        pickled({"a": {"b": tensor("0", "int8", 1, (1, 1))}, "a.b": tensor("0", "int8", 1, (1, 1))}),
        {"0": bytes(1)},
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_in_a_sentence(name, tmp_path):
    content, storages = DAMAGED[name]
    archive(tmp_path / "t.pt", content, storages)
    assert "t.pt" in refusal(tmp_path / "t.pt")


def test_the_sound_file_that_the_damaged_ones_differ_from_is_read(tmp_path):
    archive(tmp_path / "t.pt", pickled(tensor("0", "float32", 6, (2, 3))), {"0": X.tobytes()})
    np.testing.assert_array_equal(read(opened(tmp_path / "t.pt")), X)


ARCHIVES = {
    "big-endian": ({"byteorder": b"big"}, "byte order b'big'"),
    "deflated": ({"compression": zipfile.ZIP_DEFLATED}, "a compressed PyTorch file"),
    "two pickles": ({"../other/data.pkl": b""}, "2 members called data.pkl"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_torch_does_not_write_is_refused(name, tmp_path):
    more, words = ARCHIVES[name]
    if name == "two pickles":
        save(tmp_path / "t.pt", X)
        with zipfile.ZipFile(tmp_path / "t.pt", "a") as file:
            file.writestr("other/data.pkl", b"")
    else:
        save(tmp_path / "t.pt", X, **more)
    assert words in refusal(tmp_path / "t.pt")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_occurs_twice_is_refused(tmp_path):
    save(tmp_path / "t.pt", X)
    with zipfile.ZipFile(tmp_path / "t.pt", "a") as file:
        file.writestr("archive/data/0", bytes(24))
    assert "two members of one name" in refusal(tmp_path / "t.pt")


def test_a_file_from_before_the_byte_order_was_written_is_little_endian(tmp_path):
    save(tmp_path / "t.pt", X, byteorder=None, root="a folder of any name")
    np.testing.assert_array_equal(read(opened(tmp_path / "t.pt")), X)


def test_every_file_cut_short_is_refused(tmp_path):
    content = (SAVED / "pair.pt").read_bytes()
    for size in range(0, len(content), 7):
        (tmp_path / "t.pt").write_bytes(content[:size])
        assert "t.pt" in refusal(tmp_path / "t.pt")


def test_pieces_that_are_not_alike_are_refused_by_name(tmp_path):
    save(tmp_path / "t.pt", [{"logits": X}, {"logits": X[:, :2]}])
    assert "t.pt:1.logits" in refusal(tmp_path / "t.pt")
    save(tmp_path / "t.pt", [{"logits": X}, {"other": X}])
    assert "in 1 of 2 items" in refusal(tmp_path / "t.pt", logits_column=("logits",))


def test_labels_of_one_number_an_item_are_stacked(tmp_path):
    save(tmp_path / "t.pt", {"logits": list(X), "labels": [np.int64(1).reshape(()), np.int64(2).reshape(())]})
    pair = open_pair(str(tmp_path / "t.pt"), None, None, ReadOptions())
    np.testing.assert_array_equal(read(pair.logits), X)
    assert read(pair.labels, "labels").tolist() == [1, 2]


def test_a_file_that_is_replaced_while_it_is_read_is_refused(tmp_path):
    save(tmp_path / "t.pt", X)
    part = opened(tmp_path / "t.pt").rows(0, 2)
    save(tmp_path / "t.pt", np.ones((7, 3), "f4"))
    with pytest.raises(InputError, match="changed while it was read"):
        part.read()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the stored files stand for a torch that is here")
def test_files_of_the_torch_that_is_installed_are_read_as_the_stored_ones_are(tmp_path):
    spec = importlib.util.spec_from_file_location("make_torch", MAKER)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for key, expected in maker.write(tmp_path).items():
        file, name = key.split(":")
        if file != "model_output.pt" and name and expected.ndim:
            source = opened(tmp_path / file, logits_column=(name,))
            np.testing.assert_array_equal(read(source), rows(expected, -1))


def test_the_stored_files_take_little_room():
    assert sum(path.stat().st_size for path in SAVED.iterdir()) < 200_000
    assert {path.name for path in SAVED.iterdir()} >= {name.split(":")[0] for name in EXPECTED}


def test_the_weights_of_a_layer_are_not_class_weights(tmp_path):
    save(tmp_path / "layer.pt", {"weight": np.ones((5, 1)), "bias": np.ones(5)})
    with pytest.raises(InputError, match="a state dict of 2 tensors"):
        read_class_weight(str(tmp_path / "layer.pt"), 5)


def test_tensors_with_numbers_in_their_names_follow_one_another(tmp_path):
    save(
        tmp_path / "t.pt", {"logits_1": X[1:], "labels_0": np.array([1]), "logits_0": X[:1], "labels_1": np.array([2])}
    )
    pair = open_pair(str(tmp_path / "t.pt"), None, None, ReadOptions())
    np.testing.assert_array_equal(read(pair.logits), X)
    assert read(pair.labels, "labels").tolist() == [1, 2]
