"""Small models of each framework, for the lines of docs/saving.md that save outputs.

`python -m tests.saved_by.frameworks` runs every line with the real packages and stores what it wrote in
tests/saved_by/lines, with the outputs that the framework itself gives, the line, and the version of the package.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np

STORED = Path(__file__).with_name("lines")
N, D, K = 12, 4, 5
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(0, 3, (N, D)).astype(np.float32)
Y = RANDOM.integers(0, K, N)
W = RANDOM.normal(0, 1, (D, K)).astype(np.float32)


def pytorch():
    """Return a linear model, and its batches."""
    import torch

    torch.manual_seed(3)
    model, x, y = torch.nn.Linear(D, K), torch.from_numpy(X), torch.from_numpy(Y)
    return {"model": model, "x": x, "y": y, "loader": list(zip(x.split(5), y.split(5), strict=True))}


def trainer():
    """Return a classifier of token ids that was never trained."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, num_labels=K
    )
    held = [{"input_ids": [1 + i, 2, 3 + i], "attention_mask": [1, 1, 1], "labels": int(Y[i])} for i in range(N)]
    arguments = TrainingArguments(output_dir="trainer", use_cpu=True, report_to=[], disable_tqdm=True)
    return {"trainer": Trainer(BertForSequenceClassification(config), arguments), "test": held}


def keras():
    """Return a model that ends in a softmax, as most do."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input((D,)), keras.layers.Dense(K, activation="softmax")])
    return {"model": model, "x": X, "y": Y}


def jax(dtype="float32"):
    """Return a linear function."""
    import jax.numpy as jnp

    weights = jnp.asarray(W, dtype)
    return {"model": lambda x: jnp.asarray(x, dtype) @ weights, "x": X, "y": jnp.asarray(Y)}


def sklearn(names=None):
    """Return a logistic regression, fitted to the labels."""
    from sklearn.linear_model import LogisticRegression

    x, y = X.astype(np.float64), Y if names is None else np.array(names)[Y]
    return {"model": LogisticRegression(max_iter=1000).fit(x, y), "x": x, "y": y}


def onnxruntime():
    """Return a session with one multiplication."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", k]) for name, k in (("input", D), ("logits", K))
    ]
    weights = helper.make_tensor("w", TensorProto.FLOAT, W.shape, W.ravel())
    node = helper.make_node("MatMul", ["input", "w"], ["logits"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return {"session": onnxruntime.InferenceSession(model.SerializeToString()), "x": X, "y": Y}


# By row of the page: the packages that the line needs, its variables, and the outputs that it should save.
FRAMEWORKS = {
    "PyTorch": (["torch"], pytorch, lambda at: at["model"](at["x"])),
    "PyTorch, bfloat16": (["torch"], pytorch, lambda at: at["model"](at["x"]).bfloat16().float()),
    "PyTorch, a file a batch": (["torch"], pytorch, lambda at: at["model"](at["x"])),
    "Hugging Face Trainer": (["transformers", "accelerate"], trainer, lambda at: at["trainer"].predict(at["test"])[0]),
    "Keras, softmax last": (["keras"], keras, lambda at: at["model"].predict(at["x"], verbose=0)),
    "JAX": (["jax"], jax, lambda at: at["model"](at["x"])),
    "JAX, bfloat16": (["jax"], lambda: jax("bfloat16"), lambda at: at["model"](at["x"]).astype("float32")),
    "scikit-learn": (["sklearn"], sklearn, lambda at: at["model"].predict_log_proba(at["x"])),
    "scikit-learn, labels of text": (
        ["sklearn"],
        lambda: sklearn(["dog", "ant", "cow", "cat", "bee"]),
        lambda at: at["model"].predict_proba(at["x"]),
    ),
    "onnxruntime": (["onnxruntime", "onnx"], onnxruntime, lambda at: at["session"].run(None, {"input": at["x"]})[0]),
}


def is_here(name):
    """Whether the packages of a row are installed."""
    return all(importlib.util.find_spec(package) is not None for package in FRAMEWORKS[name][0])


def write(name, line, folder):
    """Run a line in a folder; return the outputs that it should have saved, and the labels."""
    packages, make, outputs = FRAMEWORKS[name]
    at = make()
    modules = {each: importlib.import_module(each) for each in ("numpy", "pandas", *packages)}
    (folder / "outputs").mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(line, {**modules, **at})
    finally:
        os.chdir(before)
    found = outputs(at)
    labels = Y if name != "scikit-learn, labels of text" else np.searchsorted(at["model"].classes_, at["y"])
    found = found.detach() if hasattr(found, "detach") else found
    return np.asarray(found), np.asarray(labels)


if __name__ == "__main__":
    from tests.test_saving import ROWS

    for name, line, _ in ROWS:
        if is_here(name) and (len(sys.argv) < 2 or name in sys.argv[1:]):
            folder = STORED / name.replace(", ", "-").replace(" ", "-").lower()
            folder.mkdir(parents=True, exist_ok=True)
            outputs, labels = write(name, line, folder)
            versions = {each: importlib.import_module(each).__version__ for each in FRAMEWORKS[name][0]}
            np.savez(folder / "expected.npz", outputs=outputs, labels=labels)
            (folder / "made.json").write_text(json.dumps({"line": line, "versions": versions}, indent=1) + "\n")
