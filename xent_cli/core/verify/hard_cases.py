"""Inputs on which kernels of the softmax cross-entropy often go wrong, each small enough to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray

IGNORED = -100
# Multiples of the stride modulo 2**16 do not repeat; the numbers are exact in float32, and the same with every version
# of NumPy.
_STRIDE, _STEPS = 40503, 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class HardCase:
    """Logits and labels to try a kernel on, and the options of the loss.

    Fields
    ------
    name, about
        A word for the folder, and a sentence that says what is difficult.
    logits
        float32, [n, k] or [batch, k, time]: classes along axis 1, as PyTorch has them.
    labels
        int64, [n] or [batch, time]; `IGNORED` where a sample has none.
    label_smoothing
        In [0, 1), PyTorch's formula.
    class_weight
        [k] float32, or None.
    storage, columns
        A wider array, and the first, stop and step of its columns that are the logits, which are given to the kernel as
        a view. None if the logits are an array of their own.
    """

    name: str
    about: str
    logits: AnyArray
    labels: IntArray
    label_smoothing: float = 0.0
    class_weight: AnyArray | None = None
    storage: AnyArray | None = None
    columns: tuple[int, int, int] | None = None

    @property
    def options(self) -> LossOptions:
        """The options of the loss."""
        weight = None if self.class_weight is None else self.class_weight.astype(np.float64)
        return LossOptions(axis=1, ignore_index=(IGNORED,), label_smoothing=self.label_smoothing, class_weight=weight)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a kernel should compute.

    Fields
    ------
    loss
        float64 in nats, in the shape of the labels; 0 where a sample is ignored, as PyTorch has it.
    gradient
        float64, of the sum of the losses, in the shape of the logits.
    divisor
        What the sum is divided by for the mean: how many samples count, or the sum of the weights of their labels.
    """

    loss: FloatArray
    gradient: FloatArray
    divisor: float


def reference_of(case: HardCase) -> Reference:
    """Compute the losses and the gradient of a case in float64.

    Examples
    --------
    >>> two = HardCase("two", "", np.zeros((2, 2), np.float32), np.array([1, IGNORED]))
    >>> found = reference_of(two)
    >>> found.loss.round(6).tolist(), found.gradient.tolist(), found.divisor
    ([0.693147, 0.0], [[0.5, -0.5], [0.0, 0.0]], 1.0)
    """
    last = np.moveaxis(case.logits, 1, -1)
    block = Block(0, last.reshape(-1, last.shape[-1]), case.labels.reshape(-1))
    found = evaluate_block(block, case.options, Outputs(losses=True, figures=False, gradient_dtype="<f8"))
    assert found.loss is not None
    assert found.gradient is not None
    loss = found.loss if found.ignored is None else np.where(found.ignored, 0.0, found.loss)
    gradient = np.moveaxis(found.gradient.reshape(last.shape), -1, 1)
    return Reference(loss.reshape(case.labels.shape), gradient, float(found.totals.losses.divisor))


def hard_cases() -> tuple[HardCase, ...]:
    """Return all cases, with the same numbers at every call.

    Examples
    --------
    >>> [case.name for case in hard_cases()][:4]
    ['common-offset', 'margins', 'ties', 'minus-inf-off-the-label']
    """
    return (*_of_values(), *_of_labels(), *_of_widths(), *_of_weights(), *_of_strides())


def _of_values() -> Iterator[HardCase]:
    offset = np.where(np.arange(12) % 2, -1e4, 1e4)[:, None]
    about = "An offset of 1e4 or -1e4 in all logits of a row, which cancels: exp overflows, or underflows to log(0)."
    yield HardCase("common-offset", about, _float32(_numbers(12, 10, 8.0) + offset), _labels(12, 10))
    margins = np.array([10, 17, 20, 37, 50, 80, 88, 89, 104, 300, 700], np.float64)
    rows = _numbers(2 * margins.size, 6, 1.0)
    rows[:, 2] = np.tile(margins, 2)
    about = (
        "One logit is higher by 10 to 700. The first half is labelled with it, and its loss is tiny: log of a rounded 1"
        " gives 0. The second half is not, and exp of the margin overflows."
    )
    yield HardCase("margins", about, _float32(rows), np.repeat([2, 4], margins.size))
    tied = np.array([[0, 0, 0, 0, 0], [3, 3, 1, 0, 3], [-2, -2, -2, -2, -7], [80, 80, -80, 80, 80], [1, 0, 0, 0, 1]])
    about = "Several logits share the maximum: leaving out one of them, or all, is wrong. The label may be one of them."
    yield HardCase("ties", about, _float32(np.repeat(tied, 2, axis=0)), np.array([0, 4, 4, 2, 1, 4, 3, 2, 4, 2]))
    held = _numbers(6, 9, 4.0)
    held[[0, 1, 2, 3, 4], [0, 4, 8, 2, 7]] = -np.inf
    held[5, :-1] = -np.inf
    about = "Some logits are -inf, as a masked vocabulary has them, never at the label: p and the gradient are 0."
    yield HardCase("minus-inf-off-the-label", about, _float32(held), np.array([3, 3, 0, 5, 1, 8]))
    held = _numbers(4, 9, 4.0)
    held[[0, 1, 2], [0, 4, 8]] = -np.inf
    about = "The logit of the label is -inf in the first three rows: their loss is inf, and their gradient is finite."
    yield HardCase("minus-inf-on-the-label", about, _float32(held), np.array([0, 4, 8, 1]))


def _of_labels() -> Iterator[HardCase]:
    for name, ignored in (("first", slice(0, 3)), ("last", slice(-3, None)), ("all", slice(None))):
        labels = _labels(9, 7)
        labels[ignored] = IGNORED
        told = "Every label is" if name == "all" else f"The {name} three labels are"
        about = f"{told} {IGNORED}: their loss is 0 (or NaN) and their gradient is 0."
        if name == "all":
            about += " The mean of no losses is NaN (or 0)."
        yield HardCase(f"ignored-{name}", about, _float32(_numbers(9, 7, 4.0)), labels)


def _of_widths() -> Iterator[HardCase]:
    for rows, width in ((5, 1), (5, 3), (6, 7), (6, 9), (7, 33), (5, 127), (3, 1025), (2, 50257)):
        about = (
            f"{width} classes, not a multiple of 8: a kernel that takes 8 or more at a time has some left at the end."
        )
        if width == 1:
            about = "One class: both the loss and the gradient are 0."
        yield HardCase(f"width-{width}", about, _float32(_numbers(rows, width, 4.0)), _labels(rows, width))


def _of_weights() -> Iterator[HardCase]:
    n, k = 12, 7
    logits, labels = _float32(_numbers(n, k, 4.0)), _labels(n, k)
    some = labels.copy()
    some[[0, 5, 11]] = IGNORED
    weight = _float32(np.array([1, 0.25, 3, 0, 0.5, 2, 1.5]))
    about = "Weights of the classes, one of them 0: the mean divides by the sum of the weights of the labels, not by n."
    yield HardCase("class-weights", about, logits, labels, class_weight=weight)
    about = "Label smoothing of 0.125 with three ignored samples: these have no uniform part either."
    yield HardCase("smoothing-ignored", about, logits, some, label_smoothing=0.125)
    about = (
        "Weights of the classes, label smoothing of 0.125 and three ignored samples together: the uniform part is"
        " weighted by class, and the mean divides by the weights of the labels that count."
    )
    yield HardCase("weights-smoothing-ignored", about, logits, some, label_smoothing=0.125, class_weight=weight)


def _of_strides() -> Iterator[HardCase]:
    n, k = 6, 13
    about = "An array in Fortran order: neighbours of a row are not neighbours in memory."
    yield HardCase("fortran-order", about, np.asfortranarray(_float32(_numbers(n, k, 4.0))), _labels(n, k))
    about = "A view of some columns of a wider array: rows are further apart than they are long, and not aligned."
    yield _view("padded-rows", about, _float32(_numbers(n, 24, 4.0)), (3, 3 + k, 1))
    about = "A view of every second column of a wider array: neighbours of a row are two numbers apart."
    yield _view("every-second-column", about, _float32(_numbers(n, 30, 4.0)), (1, 1 + 2 * k, 2))
    last = _float32(_numbers(2 * 5, k, 4.0)).reshape(2, 5, k)
    labels = _labels(10, k)
    labels[-1] = IGNORED
    about = "Logits [batch, classes, time] and labels [batch, time], as in segmentation: classes are not the last axis."
    yield HardCase("classes-first", about, np.ascontiguousarray(np.moveaxis(last, -1, 1)), labels.reshape(2, 5))


def _view(name: str, about: str, storage: AnyArray, columns: tuple[int, int, int]) -> HardCase:
    logits = np.ascontiguousarray(storage[:, slice(*columns)])
    return HardCase(name, about, logits, _labels(*logits.shape), storage=storage, columns=columns)


def _numbers(rows: int, columns: int, most: float) -> FloatArray:
    """Return numbers from -most to below it; `most` is a power of two."""
    steps = (np.arange(rows * columns, dtype=np.int64) * _STRIDE + 12345) % _STEPS
    return (steps.reshape(rows, columns) - _STEPS // 2) * np.float64(2 * most / _STEPS)


def _labels(n: int, num_classes: int) -> IntArray:
    """Return labels that include the first and the last class."""
    labels: IntArray = np.arange(n, dtype=np.int64) * (num_classes // 2 + 1) % num_classes
    labels[-1] = num_classes - 1
    return labels


def _float32(values: Any) -> AnyArray:
    return np.asarray(values).astype(np.float32)
