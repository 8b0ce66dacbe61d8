"""Cases of the kernel: float32 logits in memory, losses out."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import frameworks
from benchmarks.case import Case, Goal, Missing, Sample, faster
from benchmarks.fused import Fused
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.options import LossOptions
from xent_cli.engines.local import open_local
from xent_cli.readers.options import RunNeeds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Mean = Callable[[], float]

SHAPES = ((1_000_000, 10), (100_000, 100), (100_000, 1000), (2_000, 50_257), (400, 128_256))
# All compute the same mean, apart from float32 sums of a million losses, and clipping in scikit-learn.
_AGREEMENT = 1e-2


def cases(work: Path, *, quick: bool) -> Mapping[str, Callable[[], Case]]:
    """One case for each shape; with `quick` on a twentieth of the rows."""
    shapes = [(max(20, n // 20) if quick else n, k) for n, k in SHAPES]
    return {f"kernel-{k}": functools.partial(_case, n, k, work) for n, k in shapes}


def _case(n: int, k: int, work: Path) -> Case:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, k), dtype=np.float32) * 3
    labels = rng.integers(0, k, n)
    makers: dict[str, Callable[[], Mean]] = {
        "xent float64, 2 threads": functools.partial(_xent, logits, labels, "float64", 2),
        "PyTorch float32, 2 threads": functools.partial(frameworks.torch, logits, labels, 2),
        "xent float32, 2 threads": functools.partial(_xent, logits, labels, "float32", 2),
        "xent float64, 1 thread": functools.partial(_xent, logits, labels, "float64", 1),
        "C double, 1 thread": functools.partial(_fused, logits, labels, "float64", work),
        "xent float32, 1 thread": functools.partial(_xent, logits, labels, "float32", 1),
        "C float, 1 thread": functools.partial(_fused, logits, labels, "float32", work),
        "PyTorch float32, 1 thread": functools.partial(frameworks.torch, logits, labels, 1),
        "TensorFlow float32": functools.partial(frameworks.tensorflow, logits, labels),
        "JAX and optax float32, jitted": functools.partial(frameworks.jax, logits, labels),
        "NumPy line, float64": functools.partial(frameworks.numpy, logits, labels),
        "scipy.special.logsumexp float32": functools.partial(frameworks.scipy, logits, labels),
        "scikit-learn log_loss": functools.partial(frameworks.sklearn, logits, labels),
    }
    truth = _xent(logits, labels, "float64", 1)()
    contenders, skipped = {}, {}
    for name, maker in makers.items():
        try:
            mean = maker()
        except Missing as reason:
            skipped[name] = str(reason)
            continue
        if abs(mean() - truth) > _AGREEMENT * truth:
            raise AssertionError(f"{name} says {mean()}, not {truth}")
        contenders[name] = functools.partial(_timed, mean)
    return Case(f"kernel-{k}", f"kernel, {n:,} x {k:,} float32 logits in memory", contenders, _goals(k), skipped)


def _goals(k: int) -> tuple[Goal, ...]:
    torch = "PyTorch float32, 2 threads"
    return (
        faster("float64 arithmetic beside PyTorch float32", "xent float64, 2 threads", torch, 3.0 if k == 10 else 1.5),
        faster("float32 arithmetic beside PyTorch float32", "xent float32, 2 threads", torch, 2.0),
        faster("float64, one thread, beside fused C", "xent float64, 1 thread", "C double, 1 thread", 0.6),
        faster("float32, one thread, beside fused C", "xent float32, 1 thread", "C float, 1 thread", 0.6),
        faster("two threads beside one, float64", "xent float64, 2 threads", "xent float64, 1 thread", 1.8),
        faster("two threads beside one, float32", "xent float32, 2 threads", "xent float32, 1 thread", 1.8),
    )


def _xent(logits: NDArray[np.float32], labels: NDArray[np.int64], precision: str, threads: int) -> Mean:
    """Cut into tasks like a .npy file, and run by the engine that the command uses."""
    options = LossOptions(precision="float64" if precision == "float64" else "float32")
    engine = open_local(threads)
    step = max(1, RunNeeds().task_bytes // (4 * logits.shape[1]))
    tasks = [slice(first, first + step) for first in range(0, len(logits), step)]

    def losses(rows: slice) -> NDArray[np.float64]:
        return cross_entropy(logits[rows], labels[rows], options).loss

    return lambda: sum(float(loss.sum()) for loss in engine.map(losses, tasks)) / len(logits)


def _fused(logits: NDArray[np.float32], labels: NDArray[np.int64], precision: str, work: Path) -> Mean:
    library = Fused(work)
    return lambda: float(library.losses(logits, labels, precision).mean())


def _timed(mean: Mean) -> Sample:
    begun = time.perf_counter()
    mean()
    return Sample(time.perf_counter() - begun)
