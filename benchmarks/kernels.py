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
from xent_cli.core.kernel.variants import kernel_for
from xent_cli.core.options import LossOptions
from xent_cli.engines.local import open_local
from xent_cli.errors import XentError
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
        "xent float64, 2 threads": functools.partial(_xent, logits, labels, None, 2),
        "PyTorch float32, 2 threads": functools.partial(frameworks.torch, logits, labels, 2),
        "xent float64, 1 thread": functools.partial(_xent, logits, labels, None, 1),
        "C double, 1 thread": functools.partial(_fused, logits, labels, "float64", work),
        "xent float64 on AVX2, 1 thread": functools.partial(_xent, logits, labels, "c-avx2", 1),
        "xent's NumPy kernel, 2 threads": functools.partial(_xent, logits, labels, "numpy", 2),
        "xent's NumPy kernel, 1 thread": functools.partial(_xent, logits, labels, "numpy", 1),
        "PyTorch float32, 1 thread": functools.partial(frameworks.torch, logits, labels, 1),
        "TensorFlow float32": functools.partial(frameworks.tensorflow, logits, labels),
        "JAX and optax float32, jitted": functools.partial(frameworks.jax, logits, labels),
        "NumPy line, float64": functools.partial(frameworks.numpy, logits, labels),
        "scipy.special.logsumexp float32": functools.partial(frameworks.scipy, logits, labels),
        "scikit-learn log_loss": functools.partial(frameworks.sklearn, logits, labels),
    }
    truth = _xent(logits, labels, "numpy", 1)()
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
    ours, one, torch = "xent float64, 2 threads", "xent float64, 1 thread", "PyTorch float32, 2 threads"
    return (
        faster("float64 arithmetic beside PyTorch float32", ours, torch, {10: 4.0, 100: 2.0}.get(k, 2.5)),
        faster("float64, one thread, beside fused C", one, "C double, 1 thread", 0.85 if k >= 1000 else 0.6),
        faster("two threads beside one, float64", ours, one, 1.75 if k == 10 else 1.9),
        faster("compiled beside NumPy, one thread", one, "xent's NumPy kernel, 1 thread", 1.0),
    )


def _xent(logits: NDArray[np.float32], labels: NDArray[np.int64], kernel: str | None, threads: int) -> Mean:
    """Cut into tasks like a .npy file, and run by the engine that the command uses; by default with its kernel too."""
    try:
        options = LossOptions(kernel=kernel_for("float64", kernel))
    except XentError as error:
        raise Missing(error.what) from None
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
