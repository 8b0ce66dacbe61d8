"""Write the files of tests/saved_by/torch with PyTorch itself: python make_torch.py [FOLDER].

The stored ones were written with torch 2.13.0 (and transformers 5.24.0 for model_output.pt). expected.npz has the
values of each tensor according to torch, under "FILE:NAME".
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import serialization

N, K = 12, 5
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool]


def views(base):
    """Return tensors that share a storage of [4, 3, 5], with every kind of view of it."""
    return {
        "whole": base,
        "reversed_axes": base.permute(2, 1, 0),
        "classes_amid": base.permute(0, 2, 1),
        "turned_samples": base.permute(1, 0, 2),
        "turned_twice": base.permute(2, 0, 1),
        "every_second": base[::2],
        "every_second_class": base[:, :, ::2],
        "window": base[1:3, 1:, 1:4],
        "last_token": base[:, -1],
        "last_token_transposed": base[:, -1].t(),
        "one_class": base[:, :, 2],
        "repeated_samples": base[:1].expand(6, 3, 5),
        "repeated_classes": base[:, :, :1].expand(4, 3, 7),
        "overlapping": base.as_strided((5, 4), (3, 2), 10),
        "diagonal": base.diagonal(0, 1, 2),
        "with_sides_of_one": base[2:3, 1:2],
        "vector": base[3, 2],
        "scalar": base[0, 0, 0],
        "empty": base[:0],
    }


def files(random):
    """Return the content of each file."""
    logits = torch.from_numpy(random.normal(0, 3, (N, K))).float()
    labels = torch.from_numpy(random.integers(0, K, N))
    cut = [slice(0, 5), slice(5, 10), slice(10, N)]
    tagged = logits.clone()
    tagged.note = "an attribute makes torch pickle it another way"
    odd = torch.ones(2, 3)
    return {
        "dtypes.pt": {str(dtype).removeprefix("torch."): (logits.abs() * 9).to(dtype) for dtype in DTYPES},
        "views.pt": views(torch.from_numpy(random.normal(0, 3, (4, 3, 5)))),
        "pair.pt": {"logits": logits, "labels": labels},
        "logits.pt": logits,
        "labels.pth": labels,
        "grad.pt": {"logits": logits.clone().requires_grad_(), "labels": labels},
        "parameter.pt": torch.nn.Parameter(logits),
        "attribute.pt": tagged,
        "nested.pt": {"epoch": 3, "val": {"logits": logits, "y_true": labels}, "args": argparse.Namespace(lr=0.1)},
        "batches.pt": [{"logits": logits[i], "labels": labels[i]} for i in cut],
        "list.pt": [logits[i].clone() for i in cut],
        "samples.pt": [row.clone() for row in logits],
        "tuples.pt": [(logits[i].clone(), labels[i].clone()) for i in cut],
        "tuple.pt": (logits, labels),
        "state_dict.pt": torch.nn.Linear(3, 2).state_dict(),
        "checkpoint.ckpt": {"epoch": 1, "state_dict": torch.nn.Linear(3, 2).state_dict(), "optimizer": {"state": {}}},
        "unsupported.pt": {
            "sparse": odd.to_sparse(),
            "csr": odd.to_sparse_csr(),
            "quantized": torch.quantize_per_tensor(odd, 0.1, 0, torch.qint8),
            "nested": torch.nested.nested_tensor([odd[0], odd[0, :2]]),
            "meta": torch.empty(2, 3, device="meta"),
            "negated": odd.to(torch.complex64).conj().imag,
            "complex": odd.to(torch.complex64),
            "float8": odd.to(torch.float8_e4m3fn),
            "numbers": [1, 2, 3],
            "array": np.ones(3),
            "storage": odd.untyped_storage(),
        },
        "plain_values.pt": {
            "logits": logits,
            "labels": labels,
            "dtype": torch.float32,
            "shape": logits.shape,
            "device": torch.device("cuda:0"),
            "accuracy": np.float64(0.5),
            "classes": {"cat", "dog"},
            "path": Path("runs/1"),
            "none": None,
            "bytes": b"\0\1",
            3: "three",
        },
    }


def values(tree, name):
    """Return the values of every tensor as a NumPy array, by its dotted name."""
    if isinstance(tree, torch.Tensor):
        plain = tree.layout == torch.strided and not (tree.is_nested or tree.is_neg() or tree.is_meta)
        if plain and tree.dtype in DTYPES:
            whole = tree.detach().float() if tree.dtype == torch.bfloat16 else tree.detach()
            yield name, whole.numpy()
    elif isinstance(tree, dict | list | tuple):
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from values(item, f"{name}.{key}" if name else str(key))


def write(folder):
    """Write all files; return the values of each tensor by "FILE:NAME"."""
    warnings.simplefilter("ignore")
    expected = {}
    for name, content in files(np.random.default_rng(7)).items():
        torch.save(content, folder / name)
        expected |= {f"{name}:{key}": found for key, found in values(content, "")}
    content = files(np.random.default_rng(7))["pair.pt"]
    for protocol in (3, 4, 5):
        torch.save(content, folder / f"protocol{protocol}.pt", pickle_protocol=protocol)
    expected |= {f"{name}:{key}": content[key].numpy() for name in extra_names() for key in content}
    torch.save(content["logits"], folder / "before_1_6.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(3, 2), folder / "module.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), folder / "torchscript.pt")
    # A machine with a GPU writes the same, with the name of the device in place of "cpu".
    kept = serialization.location_tag
    serialization.location_tag = lambda storage: "cuda:0"
    torch.save(content, folder / "cuda.pt")
    serialization.location_tag = kept
    return expected


def extra_names():
    """Return the names of files that hold the same pair as pair.pt."""
    return [*(f"protocol{protocol}.pt" for protocol in (3, 4, 5)), "cuda.pt", "model_output.pt"]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("torch")
    folder.mkdir(exist_ok=True)
    expected = write(folder)
    from transformers.modeling_outputs import SequenceClassifierOutput

    pair = torch.load(folder / "pair.pt")
    hidden = (pair["logits"][:1], pair["logits"][1:2])
    output = SequenceClassifierOutput(loss=pair["logits"].mean(), logits=pair["logits"], hidden_states=hidden)
    output["labels"] = pair["labels"]
    torch.save(output, folder / "model_output.pt")
    np.savez_compressed(folder / "expected.npz", **expected)
