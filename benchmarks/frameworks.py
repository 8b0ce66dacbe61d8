"""The same mean loss in other libraries; each builds a function without arguments, or says why it cannot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.case import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Logits = NDArray[np.float32]
    Labels = NDArray[np.int64]
    Mean = Callable[[], float]

_TORCH = Path(__file__).parent / "scripts" / "torch_kernel.py"
# scikit-learn holds the labels as a dense one-hot matrix of int64 and copies the probabilities.
_SKLEARN_MOST = 20_000_000


def torch(logits: str, labels: str, threads: int, kind: str = "sparse", instructions: str | None = None) -> Mean:
    """PyTorch, float32, on two .npy files, in a process of its own: it chooses instructions when it is imported."""
    if importlib.util.find_spec("torch") is None:
        raise Missing("torch is not installed")
    env = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        **({"ATEN_CPU_CAPABILITY": instructions} if instructions else {}),
    }
    argv = [sys.executable, str(_TORCH), logits, labels, str(threads), kind]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=env)
    asked, answers = process.stdin, process.stdout
    assert asked is not None
    assert answers is not None

    def mean() -> float:
        asked.write("\n")
        return float(answers.readline())

    return mean


def tensorflow(logits: Logits, labels: Labels) -> Mean:
    """TensorFlow, float32, as a graph."""
    library = _imported("tensorflow")
    z, y = library.constant(logits), library.constant(labels)

    @library.function  # type: ignore[untyped-decorator, unused-ignore]
    def graph(z: Any, y: Any) -> Any:
        return library.reduce_mean(library.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z))

    return lambda: float(graph(z, y))


def jax(logits: Logits, labels: Labels) -> Mean:
    """JAX with optax, jitted, float32."""
    library, optax = _imported("jax"), _imported("optax")
    z, y = library.numpy.asarray(logits), library.numpy.asarray(labels.astype(np.int32))
    jitted = library.jit(lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean())
    return lambda: float(jitted(z, y))


def scipy(logits: Logits, labels: Labels) -> Mean:
    """SciPy's logsumexp, in float32 as it is given."""
    special = _imported("scipy.special")
    rows = np.arange(len(labels))
    return lambda: float(np.mean(special.logsumexp(logits, axis=1) - logits[rows, labels]))


def sklearn(logits: Logits, labels: Labels) -> Mean:
    """scikit-learn's log_loss of SciPy's softmax."""
    metrics, special = _imported("sklearn.metrics"), _imported("scipy.special")
    if logits.size > _SKLEARN_MOST:
        raise Missing(f"its one-hot labels of {logits.size:,} entries take minutes")
    classes = np.arange(logits.shape[1])
    return lambda: float(metrics.log_loss(labels, special.softmax(logits, axis=1), labels=classes))


def numpy(logits: Logits, labels: Labels) -> Mean:
    """The NumPy code people write, in float64 as they should."""
    rows = np.arange(len(labels))

    def mean() -> float:
        z = logits.astype(np.float64)
        m = z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[rows, labels]))

    return mean


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Missing(f"{name.partition('.')[0]} is not installed") from None
