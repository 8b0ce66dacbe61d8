"""Cases of the kernel: float32 logits in memory, losses out."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import data, frameworks
from benchmarks.case import Case, Goal, Missing, Sample, faster
from benchmarks.fused import Fused
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.distillation import teacher_cross_entropy
from xent_cli.core.kernel.variants import kernel_for
from xent_cli.core.options import LossOptions
from xent_cli.engines.local import open_local
from xent_cli.errors import XentError
from xent_cli.readers.arrays.array_source import samples_a_task
from xent_cli.readers.options import RunNeeds
from xent_cli.start import keep_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray

    Mean = Callable[[], float]

_OURS, _ONE, _OURS_AVX2 = "xent, 2 threads", "xent, 1 thread", "xent on AVX2, 2 threads"
_TORCH, _TORCH_AVX2 = "PyTorch float32, 2 threads", "PyTorch float32 on AVX2, 2 threads"
_NUMPY_ONE = "xent's NumPy kernel, 1 thread"
# How two threads compare with one shows only in runs of some tenths of a second: 40 MB are over in 4 ms, or in 1 ms
# more where a thread starts late.
_LONG, _ONE_LONG = "xent, 2 threads, over and over", "xent, 1 thread, over and over"
_LONG_BYTES = 2 << 30
SHAPES = ((1_000_000, 10), (100_000, 100), (100_000, 1000), (2_000, 50_257), (400, 128_256))
# What a framework's function takes besides class indices, with the options of xent that say the same.
LABELLED = 50_000
KINDS: Mapping[str, Callable[[int], LossOptions]] = {
    "dense": lambda k: LossOptions(labels="dense"),
    "teacher": lambda k: LossOptions(labels="dense", labels_source="logits"),
    "smoothing": lambda k: LossOptions(label_smoothing=0.1),
    "class-weight": lambda k: LossOptions(class_weight=np.linspace(0.5, 1.5, k)),
}
# All compute the same mean, apart from float32 sums of a million losses, and clipping in scikit-learn.
_AGREEMENT = 1e-2


def cases(work: Path, *, quick: bool) -> Mapping[str, Callable[[], Case]]:
    """One case for each shape, then one for each kind of labels; with `quick` on a twentieth of the rows."""
    part = 20 if quick else 1
    long = _LONG_BYTES // part**2
    shapes = {f"kernel-{k}": functools.partial(_shape, max(20, n // part), k, work, long) for n, k in SHAPES}
    kinds = {f"kernel-{kind}": functools.partial(_kind, kind, LABELLED // part, 1000, work) for kind in KINDS}
    return {**shapes, **kinds}


def _shape(n: int, k: int, work: Path, long: int) -> Case:
    pair = data.arrays(work, n, k)
    logits, labels = np.load(pair[0]), np.load(pair[1])
    passes = -(-long // logits.nbytes)
    makers: dict[str, Callable[[], Mean]] = {
        _OURS: functools.partial(_xent, logits, labels, LossOptions(), None, 2),
        _TORCH: functools.partial(frameworks.torch, *pair, 2),
        _ONE: functools.partial(_xent, logits, labels, LossOptions(), None, 1),
        "C double, 1 thread": functools.partial(_fused, logits, labels, work),
        _OURS_AVX2: functools.partial(_xent, logits, labels, LossOptions(), "c-avx2", 2),
        _TORCH_AVX2: functools.partial(frameworks.torch, *pair, 2, instructions="avx2"),
        "xent's NumPy kernel, 2 threads": functools.partial(_xent, logits, labels, LossOptions(), "numpy", 2),
        _NUMPY_ONE: functools.partial(_xent, logits, labels, LossOptions(), "numpy", 1),
        "PyTorch float32, 1 thread": functools.partial(frameworks.torch, *pair, 1),
        "TensorFlow float32": functools.partial(frameworks.tensorflow, logits, labels),
        "JAX and optax float32, jitted": functools.partial(frameworks.jax, logits, labels),
        "NumPy line, float64": functools.partial(frameworks.numpy, logits, labels),
        "scipy.special.logsumexp float32": functools.partial(frameworks.scipy, logits, labels),
        "scikit-learn log_loss": functools.partial(frameworks.sklearn, logits, labels),
        _LONG: functools.partial(_xent, logits, labels, LossOptions(), None, 2, passes),
        _ONE_LONG: functools.partial(_xent, logits, labels, LossOptions(), None, 1, passes),
    }
    goals = (
        faster("float64 arithmetic beside PyTorch float32", _OURS, _TORCH, {10: 4.0, 100: 2.0}.get(k, 2.5)),
        faster("AVX2 beside PyTorch's AVX2", _OURS_AVX2, _TORCH_AVX2, 1.5 if k == 100 else 2.0),
        faster("one thread beside fused C", _ONE, "C double, 1 thread", 0.85 if k >= 1000 else 0.6),
        faster("two threads beside one", _LONG, _ONE_LONG, 1.75 if k == 10 else 1.9),
        faster("compiled beside NumPy, one thread", _ONE, _NUMPY_ONE, 1.0),
    )
    return _case(f"kernel-{k}", f"kernel, {n:,} x {k:,} float32 logits in memory", makers, goals)


def _kind(kind: str, n: int, k: int, work: Path) -> Case:
    pair = data.labelled(work, n, k, kind)
    logits, labels = np.load(pair[0]), np.load(pair[1])
    options = KINDS[kind](k)
    makers: dict[str, Callable[[], Mean]] = {
        _OURS: functools.partial(_xent, logits, labels, options, None, 2),
        _TORCH: functools.partial(frameworks.torch, *pair, 2, kind),
        _OURS_AVX2: functools.partial(_xent, logits, labels, options, "c-avx2", 2),
        _TORCH_AVX2: functools.partial(frameworks.torch, *pair, 2, kind, "avx2"),
        _NUMPY_ONE: functools.partial(_xent, logits, labels, options, "numpy", 1),
    }
    goals = (
        faster("float64 arithmetic beside PyTorch float32", _OURS, _TORCH, 2.0),
        faster("AVX2 beside PyTorch's AVX2", _OURS_AVX2, _TORCH_AVX2, 1.5),
    )
    return _case(f"kernel-{kind}", f"kernel, {kind} labels, {n:,} x {k:,}", makers, goals)


def _case(name: str, title: str, makers: Mapping[str, Callable[[], Mean]], goals: tuple[Goal, ...]) -> Case:
    """Build the contenders that can run here, and see that all compute the same mean."""
    keep_memory()  # as the command does; all contenders of this process gain by it
    contenders, skipped = {}, {}
    truth = makers[_NUMPY_ONE]()()
    for contender, maker in makers.items():
        try:
            mean = maker()
        except Missing as reason:
            skipped[contender] = str(reason)
            continue
        if abs(mean() - truth) > _AGREEMENT * truth:
            raise AssertionError(f"{contender} says {mean()}, not {truth}")
        contenders[contender] = functools.partial(_timed, mean)
    return Case(name, title, contenders, goals, skipped)


def _xent(
    logits: NDArray[np.float32],
    labels: AnyArray,
    options: LossOptions,
    kernel: str | None,
    threads: int,
    passes: int = 1,
) -> Mean:
    """Cut into tasks like a .npy file, and run by the engine that the command uses; by default with its kernel too."""
    try:
        options = replace(options, kernel=kernel_for("float64", kernel))
    except XentError as error:
        raise Missing(error.what) from None
    engine = open_local(threads)
    step = samples_a_task(len(logits), 4 * logits.shape[1], RunNeeds().task_bytes)
    tasks = [slice(first, first + step) for first in range(0, len(logits), step)] * passes
    compute = cross_entropy if options.labels_source == "labels" else teacher_cross_entropy

    def total(rows: slice) -> float:
        return float(compute(logits[rows], labels[rows], options).loss.sum())

    return lambda: sum(engine.map(total, tasks)) / (passes * len(logits))


def _fused(logits: NDArray[np.float32], labels: NDArray[np.int64], work: Path) -> Mean:
    library = Fused(work)
    return lambda: float(library.losses(logits, labels).mean())


def _timed(mean: Mean) -> Sample:
    begun = time.perf_counter()
    mean()
    return Sample(time.perf_counter() - begun)
