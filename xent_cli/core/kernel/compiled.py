"""The compiled kernel: losses and gradients in few passes over memory, with the same bits on every machine.

It is optional: only the NumPy kernel is available if the module `_rows` was not built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.variants import compiled_module, variant_of

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions

# Dtypes that the kernel reads in place, by their number in `c/kernel.h`; other dtypes become float64, this many values
# at a time.
_KINDS = {"float64": 0, "float32": 1, "float16": 2, "bfloat16": 3}
_CONVERTED = 1 << 18
# What an array holds, and the form of labels, by their numbers there too.
_HOLDS = {"logits": 0, "labels": 0, "log-probs": 1, "probs": 2}
_SPARSE, _DENSE, _TEACHER = 0, 1, 2


class Computed(NamedTuple):
    """What the compiled kernel returns for n samples.

    Fields
    ------
    loss
        [n] nats.
    gradient
        [n, k], or None.
    kl
        [n] KL divergence from a teacher in nats, or None.
    sums
        Maximum of each row, and the sum of exp((z_j - m)/T) over all classes but the first maximum; only for logits
        without a teacher.
    """

    loss: FloatArray
    gradient: AnyArray | None
    kl: FloatArray | None
    sums: tuple[FloatArray, FloatArray]


def compiled_cross_entropy(
    first: AnyArray,
    second: AnyArray,
    options: LossOptions,
    gradient_dtype: DTypeLike | None = None,
    gradient_scale: FloatArray | None = None,
) -> Computed:
    """Compute what `cross_entropy`, `probability_cross_entropy` or `teacher_cross_entropy` does, as the options say.

    Raises
    ------
    XentError
        If this machine does not have the kernel that the options name.
    """
    variant = variant_of(options.kernel)
    built = compiled_module()
    n, k = first.shape
    has_teacher = options.labels_source != "labels"
    loss, maximum, sum_without_max = np.empty(n), np.empty(n), np.empty(n)
    kl = np.empty(n) if has_teacher else None
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    in_place = _is_read(first) and _is_read(second) and (gradient is None or _is_written(gradient))
    step = max(1, n if in_place else _CONVERTED // k)
    scale = None if gradient_scale is None else np.ascontiguousarray(gradient_scale, np.float64)
    weight = None if options.class_weight is None else np.ascontiguousarray(options.class_weight, np.float64)
    form = _TEACHER if has_teacher else _SPARSE if second.ndim == 1 else _DENSE
    for start in range(0, n, step):
        rows = slice(start, start + step)
        z, y = _readable(first[rows]), _readable(second[rows])
        g = gradient if gradient is None else gradient[rows] if _is_written(gradient) else np.empty(z.shape)
        built.rows(
            variant,
            _without_name(z),
            _KINDS[z.dtype.name],
            _HOLDS[options.source],
            _without_name(y),
            0 if form == _SPARSE else _KINDS[y.dtype.name],
            _HOLDS[options.labels_source],
            form,
            options.both_sum_to_1,
            options.label_smoothing,
            options.temperature,
            options.teacher_temperature,
            weight,
            None if scale is None else scale[rows],
            loss[rows],
            maximum[rows],
            sum_without_max[rows],
            None if kl is None else kl[rows],
            g,
            0 if g is None else _KINDS[g.dtype.name],
        )
        if gradient is not None and g is not None and not _is_written(gradient):
            with np.errstate(over="ignore"):
                np.copyto(gradient[rows], g, casting="unsafe")
    return Computed(loss, gradient, kl, (maximum, sum_without_max))


def kind_of(dtype: np.dtype[Any]) -> int:
    """Return the number in `c/kernel.h` of a dtype that it reads."""
    return _KINDS[dtype.name]


def _is_read(values: AnyArray) -> bool:
    """Whether the kernel reads the array in place."""
    if values.ndim == 1:
        return values.dtype == np.int64 and values.flags.c_contiguous and values.flags.aligned
    return values.dtype.isnative and values.dtype.name in _KINDS and values.flags.aligned


def _readable(values: AnyArray) -> AnyArray:
    return values if _is_read(values) else np.ascontiguousarray(values, np.int64 if values.ndim == 1 else np.float64)


def _without_name(values: AnyArray) -> AnyArray:
    """View bfloat16, which NumPy does not know, as its 16 bits."""
    return values.view(np.uint16) if values.dtype.name == "bfloat16" else values


def _is_written(gradient: AnyArray) -> bool:
    return gradient.dtype in (np.float64, np.float32)
