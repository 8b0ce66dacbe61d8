"""Write frameworks.json: what PyTorch, TensorFlow, Keras, JAX, Optax and SciPy return, beside `reference`.

Run ``python make_frameworks.py inputs`` first, then ``python make_frameworks.py NAME`` with NAME one of pytorch,
tensorflow, jax and scipy, each where that library is installed, with NumPy and mpmath; each fills in its own results.

- ``versions``: of the libraries.
- ``cases``: ordinary inputs and options. ``truth`` is the reference for the stored inputs, and each of ``results`` what
  a function returned: loss per row, mean, sum, and the gradient of the mean. A row at ignore_index has a null in truth.
- ``confident``: the row [margin, 0, ..., 0] with label 0; ``truth`` is the loss rounded to float64.
- ``reported``: rows of issue reports, with the losses reported there.

All logits and dense labels are float32 numbers, so that float32 and float64 see the same inputs. A null result is one
that the function does not give.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from make_options import plain
from reference import DIGITS, batch_mpf, cross_entropy_mp, round_mpf

PATH = Path(__file__).with_name("frameworks.json")
MARGINS = (5, 10, 15, 17, 20, 30, 37, 40, 80, 100, 200)

# From logits, labels and options to the results by function.
Evaluate = Callable[[np.ndarray, np.ndarray, dict[str, Any]], dict[str, dict[str, Any]]]
# Versions of the packages of a library, and its functions.
Library = tuple[dict[str, str], Evaluate]


def parse(value: Any) -> np.ndarray:
    """Read back an array that `make_options.plain` wrote: integers as they are, everything else in float64."""
    array = np.array(value)
    return array if array.dtype.kind == "i" else array.astype(np.float64)


def truth(logits: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> dict[str, Any]:
    """Return the reference results of one case: loss, mean, sum and gradient."""
    with mpmath.workdps(DIGITS):
        losses, gradients, divisor = batch_mpf(logits.tolist(), labels.tolist(), **options)
        total = mpmath.fsum(loss for loss in losses if loss is not None)
        return {
            "loss": [None if loss is None else round_mpf(loss) for loss in losses],
            "mean": round_mpf(total / divisor),
            "sum": round_mpf(total),
            "gradient": [[round_mpf(value / divisor) for value in row] for row in gradients],
        }


def inputs() -> dict[str, Any]:
    """Return everything except the results of the libraries: the content of a new file."""
    rng = np.random.default_rng(7)
    z = (rng.normal(size=(6, 5)) * 2).astype(np.float32).astype(np.float64)
    y = rng.integers(0, 5, 6)
    gap = np.where(np.arange(6) % 3 == 1, -100, y)
    two = rng.normal(size=(4, 2)).astype(np.float32).astype(np.float64)
    ten = (rng.normal(size=(5, 10)) * 4).astype(np.float32).astype(np.float64)
    soft = rng.dirichlet(np.ones(5), 6).astype(np.float32).astype(np.float64)
    free = rng.uniform(0, 2, size=(6, 5)).astype(np.float32).astype(np.float64)
    hot = np.eye(5)[y]
    masked = z.copy()
    masked[np.arange(6), (y + 2) % 5] = -np.inf
    weight = [0.5, 2.0, 1.0, 0.25, 3.25]
    cases: list[tuple[str, np.ndarray, np.ndarray, dict[str, Any]]] = [
        ("index", z, y, {}),
        ("index-two-classes", two, rng.integers(0, 2, 4), {}),
        ("index-ten-classes", ten, rng.integers(0, 10, 5), {}),
        ("index-offset", (z + 1000).astype(np.float32).astype(np.float64), y, {}),
        ("index-weight", z, y, {"class_weight": weight}),
        ("index-smoothing", z, y, {"label_smoothing": 0.125}),
        ("index-smoothing-weight", z, y, {"label_smoothing": 0.125, "class_weight": weight}),
        ("index-ignore", z, gap, {"ignore_index": -100}),
        (
            "index-ignore-smoothing-weight",
            z,
            gap,
            {"ignore_index": -100, "label_smoothing": 0.125, "class_weight": weight},
        ),
        ("index-masked", masked, y, {}),
        ("dense-one-hot", z, hot, {}),
        ("dense-soft", z, soft, {}),
        ("dense-soft-weight", z, soft, {"class_weight": weight}),
        ("dense-soft-smoothing", z, soft, {"label_smoothing": 0.125}),
        ("dense-soft-smoothing-weight", z, soft, {"label_smoothing": 0.125, "class_weight": weight}),
        ("dense-any-sum", z, free, {}),
        ("dense-masked", masked, hot, {}),
    ]
    confident: list[dict[str, Any]] = [
        {
            "dtype": dtype,
            "classes": classes,
            "margin": margin,
            "truth": cross_entropy_mp([margin] + [0] * (classes - 1), 0),
            "results": {},
        }
        for dtype in ("float32", "float64")
        for classes in (2, 10)
        for margin in MARGINS
    ]
    torch_issue, mlx_issue = "pytorch/pytorch#11752 (PyTorch 0.4.1)", "ml-explore/mlx#4188 (before it)"
    rows: list[tuple[str, list[float], int, float]] = [
        (torch_issue, [1.0, 1.0], 1, 0.6931471824645996),
        (torch_issue, [1e8, 1e8], 1, 0.0),
        *(
            (mlx_issue, [2.0 + at, -1.0 + at], 0, loss)
            for at, loss in ((0.0, 0.04858734), (1e4, 0.048828125), (1e6, 0.0625), (1e8, 0.0))
        ),
        *(
            (mlx_issue, [at, at], 0, loss)
            for at, loss in ((1.0, 0.6931472), (1e4, 0.693359375), (1e6, 0.6875), (1e8, 0.0))
        ),
    ]
    reported = []
    for source, row, label, loss in rows:
        stored = np.array(row, np.float32).tolist()
        reported.append(
            {
                "source": source,
                "dtype": "float32",
                "logits": stored,
                "label": label,
                "reported": loss,
                "truth": cross_entropy_mp(stored, label),
                "results": {},
            }
        )
    return {
        "versions": {"numpy": np.__version__, "mpmath": mpmath.__version__},
        "cases": [
            {
                "name": name,
                "options": options,
                "logits": logits,
                "labels": labels,
                "truth": truth(logits, labels, options),
                "results": [],
            }
            for name, logits, labels, options in cases
        ],
        "confident": confident,
        "reported": reported,
    }


def pytorch() -> Library:
    """Return torch.nn.functional.cross_entropy, with every option."""
    import torch
    from torch.nn.functional import cross_entropy

    def evaluate(logits: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        z = torch.tensor(logits, requires_grad=True)
        y = torch.tensor(labels)
        if y.ndim == 2:
            y = y.to(z.dtype)
        kwargs: dict[str, Any] = {"label_smoothing": options.get("label_smoothing", 0.0)}
        if "class_weight" in options:
            kwargs["weight"] = torch.tensor(options["class_weight"], dtype=z.dtype)
        if "ignore_index" in options:
            kwargs["ignore_index"] = options["ignore_index"]
        mean = cross_entropy(z, y, **kwargs)
        mean.backward()
        out = {
            "loss": cross_entropy(z, y, reduction="none", **kwargs).tolist(),
            "mean": mean.item(),
            "sum": cross_entropy(z, y, reduction="sum", **kwargs).item(),
            "gradient": z.grad.tolist(),
        }
        return {"torch.nn.functional.cross_entropy": out}

    return {"torch": torch.__version__}, evaluate


def tensorflow() -> Library:
    """Return the two functions of tf.nn, and the Keras losses if an option needs them."""
    import keras
    import tensorflow as tf

    def evaluate(logits: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        if "class_weight" in options or ("ignore_index" in options and "label_smoothing" in options):
            return {}
        eps, classes = options.get("label_smoothing", 0.0), logits.shape[1]
        dense = labels if labels.ndim == 2 else np.eye(classes)[labels.clip(0)]
        q = tf.constant(dense, logits.dtype)
        functions: dict[str, Callable[[Any, str], Any]] = {}
        if "ignore_index" in options:
            functions["keras.losses.SparseCategoricalCrossentropy"] = lambda z, reduction: (
                keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True, ignore_class=options["ignore_index"], reduction=reduction, dtype=logits.dtype
                )(labels, z)
            )
        elif eps:
            functions["keras.losses.CategoricalCrossentropy"] = lambda z, reduction: (
                keras.losses.CategoricalCrossentropy(
                    from_logits=True, label_smoothing=eps, reduction=reduction, dtype=logits.dtype
                )(q, z)
            )
        else:
            reduce = {"none": tf.identity, "sum_over_batch_size": tf.reduce_mean, "sum": tf.reduce_sum}
            functions["tf.nn.softmax_cross_entropy_with_logits"] = lambda z, reduction: reduce[reduction](
                tf.nn.softmax_cross_entropy_with_logits(labels=q, logits=z)
            )
            if labels.ndim == 1:
                functions["tf.nn.sparse_softmax_cross_entropy_with_logits"] = lambda z, reduction: reduce[reduction](
                    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z)
                )
        out = {}
        for name, function in functions.items():
            z = tf.Variable(logits)
            with tf.GradientTape() as tape:
                mean = function(z, "sum_over_batch_size")
            out[name] = {
                "loss": function(z, "none").numpy().tolist(),
                "mean": float(mean.numpy()),
                "sum": float(function(z, "sum").numpy()),
                "gradient": tape.gradient(mean, z).numpy().tolist(),
            }
        return out

    return {"tensorflow": tf.__version__, "keras": keras.__version__}, evaluate


def jax() -> Library:
    """Return the two functions of Optax, and jax.nn.log_softmax at the label."""
    import jax
    import jax.numpy as jnp
    import jaxlib
    import optax

    jax.config.update("jax_enable_x64", True)

    def evaluate(logits: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        if "class_weight" in options or "ignore_index" in options:
            return {}
        dense = labels if labels.ndim == 2 else np.eye(logits.shape[1])[labels]
        q = jnp.asarray(dense, logits.dtype)
        if "label_smoothing" in options:
            q = optax.smooth_labels(q, options["label_smoothing"])
        functions: dict[str, Callable[[Any], Any]] = {
            "optax.softmax_cross_entropy": lambda z: optax.softmax_cross_entropy(z, q)
        }
        if labels.ndim == 1 and not options:
            y = jnp.asarray(labels)
            functions["optax.softmax_cross_entropy_with_integer_labels"] = lambda z: (
                optax.softmax_cross_entropy_with_integer_labels(z, y)
            )
            functions["jax.nn.log_softmax"] = lambda z: -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1)[:, 0]
        out = {}
        for name, function in functions.items():
            z = jnp.asarray(logits)
            out[name] = {
                "loss": np.asarray(function(z)).tolist(),
                "mean": float(function(z).mean()),
                "sum": float(function(z).sum()),
                "gradient": np.asarray(jax.grad(lambda z, f=function: f(z).mean())(z)).tolist(),
            }
        return out

    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "optax": optax.__version__}, evaluate


def scipy() -> Library:
    """Return scipy.special.log_softmax at the label, and logsumexp minus the logit of the label."""
    import scipy
    from scipy.special import log_softmax, logsumexp

    def evaluate(logits: np.ndarray, labels: np.ndarray, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        if options or labels.ndim == 2:
            return {}
        at = np.arange(len(labels)), labels
        losses = {
            "scipy.special.log_softmax": -log_softmax(logits, axis=1)[at],
            "scipy.special.logsumexp": logsumexp(logits, axis=1) - logits[at],
        }
        return {
            name: {"loss": loss.tolist(), "mean": float(loss.mean()), "sum": float(loss.sum()), "gradient": None}
            for name, loss in losses.items()
        }

    return {"scipy": scipy.__version__}, evaluate


def fill(data: dict[str, Any], versions: dict[str, str], evaluate: Evaluate) -> None:
    """Add the results of one library, replacing earlier results of the same functions."""
    data["versions"] |= versions
    for case in data["cases"]:
        logits, labels = parse(case["logits"]), parse(case["labels"])
        for dtype in ("float32", "float64"):
            for name, out in evaluate(logits.astype(dtype), labels, case["options"]).items():
                same = {"function": name, "dtype": dtype}
                case["results"] = [old for old in case["results"] if not same.items() <= old.items()]
                case["results"].append(same | out)
    label = np.array([0])
    for entry in data["confident"]:
        row = np.array([[entry["margin"]] + [0] * (entry["classes"] - 1)], entry["dtype"])
        entry["results"] |= {name: out["loss"][0] for name, out in evaluate(row, label, {}).items()}
    for entry in data["reported"]:
        row = np.array([entry["logits"]], entry["dtype"])
        results = evaluate(row, np.array([entry["label"]]), {})
        entry["results"] |= {name: out["loss"][0] for name, out in results.items()}


def write(data: dict[str, Any]) -> None:
    """Write the file, one entry per line, in the same order whatever the order in which the libraries were run."""
    for case in data["cases"]:
        case["results"].sort(key=lambda result: (result["function"], result["dtype"]))
    for entry in data["confident"] + data["reported"]:
        entry["results"] = dict(sorted(entry["results"].items()))
    parts = [f'"versions": {json.dumps(data["versions"], sort_keys=True)}']
    for key in ("cases", "confident", "reported"):
        lines = ",\n".join(json.dumps(plain(entry), allow_nan=False) for entry in data[key])
        parts.append(f'"{key}": [\n{lines}\n]')
    PATH.write_text("{" + ",\n".join(parts) + "}\n")


def main() -> None:
    """Start the file, or fill in what one library returns."""
    if sys.argv[1] == "inputs":
        write(inputs())
        return
    data = json.loads(PATH.read_text())
    fill(data, *{"pytorch": pytorch, "tensorflow": tensorflow, "jax": jax, "scipy": scipy}[sys.argv[1]]())
    write(data)


if __name__ == "__main__":
    main()
