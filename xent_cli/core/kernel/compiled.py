"""The compiled kernel: computes what `cross_entropy` does in one pass over memory, with the same bits on every machine.

It is optional: only the NumPy kernel is available if `_rows.c` was not built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.kernel.variants import compiled_module, variant_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from xent_cli.core.array_types import AnyArray, FloatArray
    from xent_cli.core.options import LossOptions

# Dtypes that the kernel reads in place, by their number in `_rows.c`; other dtypes become float64, this many values at
# a time.
_KINDS = {np.dtype(np.float64): 0, np.dtype(np.float32): 1, np.dtype(np.float16): 2}
_CONVERTED = 1 << 18
_SPARSE = -1


class Computed(NamedTuple):
    """What the compiled kernel returns for n samples.

    Fields
    ------
    loss
        [n] nats.
    gradient
        [n, k], or None.
    sums
        Maximum of each row, and the sum of exp(z_j - m) over all classes but the first maximum.
    """

    loss: FloatArray
    gradient: AnyArray | None
    sums: tuple[FloatArray, FloatArray]


def compiled_cross_entropy(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    gradient_dtype: DTypeLike | None = None,
    gradient_scale: FloatArray | None = None,
) -> Computed:
    """Compute losses and gradients as `cross_entropy` does, with the kernel that the options name.

    Raises
    ------
    XentError
        If this machine does not have that kernel.
    """
    variant = variant_of(options.kernel)
    built = compiled_module()
    n, k = logits.shape
    loss, maximum, sum_without_max = np.empty(n), np.empty(n), np.empty(n)
    gradient = None if gradient_dtype is None else np.empty((n, k), gradient_dtype)
    in_place = _is_read(logits) and _is_read(labels) and (gradient is None or _is_written(gradient))
    step = max(1, n if in_place else _CONVERTED // k)
    scale = None if gradient_scale is None else np.ascontiguousarray(gradient_scale, np.float64)
    weight = None if options.class_weight is None else np.ascontiguousarray(options.class_weight, np.float64)
    for first in range(0, n, step):
        rows = slice(first, first + step)
        z, y = _readable(logits[rows]), _readable(labels[rows])
        g = gradient if gradient is None else gradient[rows] if _is_written(gradient) else np.empty(z.shape)
        built.rows(
            variant,
            z,
            _KINDS[z.dtype],
            y,
            _SPARSE if y.ndim == 1 else _KINDS[y.dtype],
            options.label_smoothing,
            options.temperature,
            weight,
            None if scale is None else scale[rows],
            loss[rows],
            maximum[rows],
            sum_without_max[rows],
            g,
            0 if g is None else _KINDS[g.dtype],
        )
        if gradient is not None and g is not None and not _is_written(gradient):
            with np.errstate(over="ignore"):
                np.copyto(gradient[rows], g, casting="unsafe")
    return Computed(loss, gradient, (maximum, sum_without_max))


def _is_read(values: AnyArray) -> bool:
    """Whether the kernel reads the array in place."""
    if values.ndim == 1:
        return values.dtype == np.int64 and values.flags.c_contiguous
    return values.dtype in _KINDS


def _readable(values: AnyArray) -> AnyArray:
    return values if _is_read(values) else np.ascontiguousarray(values, np.int64 if values.ndim == 1 else np.float64)


def _is_written(gradient: AnyArray) -> bool:
    return gradient.dtype in (np.float64, np.float32)
