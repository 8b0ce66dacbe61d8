"""The first phase of a tile: shift its logits by the maximum of each row, exponentiate and sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.kernel.maxima import MASKED, add_tied_maxima, first_maximum, remove_maxima
from xent_cli.core.kernel.tiles import class_axis, flat_index, gather, load, pairwise_sum, per_class, per_sample
from xent_cli.core.scratch import scratch

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions


class Exponentials(NamedTuple):
    """A tile of exponentials, and sums over its classes that need the shifted logits.

    Fields
    ------
    values
        exp((z_j - m)/T), in the layout of `tiles`; 0 for maxima.
    first_maxima, ones
        Positions of the first maxima, or a tile with 1 at every maximum; see `remove_maxima`.
    confident_index
        Positions of the one class per row whose gradient needs care: the label or, with dense labels, the maximum (see
        the end of `cross_entropy.py`).
    class_weights, total_weight, weighted_distance
        The weight a_j of the loss of every class j, their sum, and the sum of a_j (m - z_j)/T; None, 0 and 0 if only
        the loss of the label counts.
    """

    values: AnyArray
    first_maxima: IntArray | None
    ones: AnyArray | None
    confident_index: IntArray | None
    class_weights: AnyArray | None = None
    total_weight: FloatArray | float = 0.0
    weighted_distance: FloatArray | float = 0.0


def exponentiate(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    dtype: np.dtype[Any],
    maximum: FloatArray,
    label_logits: FloatArray,
    sum_without_max: FloatArray,
    *,
    may_overwrite: bool,
) -> Exponentials:
    """Exponentiate the distances of a tile's logits from the maximum of their row, and sum them, within `unbuffered`.

    Parameters
    ----------
    logits, labels, options
        As for `cross_entropy`, for the rows of one tile.
    dtype
        As `subtract_dtype` returns it.
    maximum, label_logits, sum_without_max
        [n] float64 outputs: the maximum m of each row, its logit at a sparse label, and the sum of exp((z_j - m)/T)
        over all classes but the first maximum, not yet compensated.
    may_overwrite
        Whether the exponentials are not needed again, so that they can be summed in place.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> from xent_cli.core.kernel.tiles import unbuffered
    >>> z, labels, options = np.array([[0.0, 3.0, 0.0]]), np.array([0]), LossOptions()
    >>> maximum, label_logits, sums = np.empty(1), np.empty(1), np.empty(1)
    >>> with unbuffered():
    ...     tile = exponentiate(z, labels, options, z.dtype, maximum, label_logits, sums, may_overwrite=True)
    >>> maximum.tolist(), label_logits.tolist(), sums.tolist() == [2 * np.exp(-3.0)]
    ([3.0], [0.0], True)
    """
    k = logits.shape[1]
    axis = class_axis(k)
    sparse = labels.ndim == 1
    # Find the maxima before copying: argmax is fast in the logits' own dtype, and brings the rows into the cache.
    argmax = first_maximum(logits)
    z = load(logits, axis, dtype, "work")
    if argmax is None and k > MASKED:
        argmax = (z if axis == 1 else load(z.T, 1, z.dtype, "rows")).argmax(1)
    first_maxima = None if argmax is None else flat_index(z, argmax, axis)
    m = maximum if z.dtype == maximum.dtype else np.empty(len(maximum), z.dtype)
    if first_maxima is None:
        np.maximum.reduce(z, axis=axis, out=m)
    else:
        gather(z, first_maxima, m)
    if m is not maximum:
        maximum[:] = m
    # Pick the logits of the labels, before they are shifted.
    confident_index = first_maxima
    if sparse:
        confident_index = flat_index(z, labels, axis)
        gather(z, confident_index, label_logits)
    elif first_maxima is None and not may_overwrite:
        confident_index = flat_index(z, z.argmax(axis), axis)
    # Shift: exp never overflows, and the largest term of the sum is exactly 1.
    shifted = np.subtract(z, per_sample(m, axis), out=z)
    if options.temperature != 1.0:
        np.divide(shifted, options.temperature, out=shifted)
    shifted = shifted if shifted.dtype == options.dtype else load(shifted, 1, options.dtype, "narrow")
    class_weights = _class_weights(labels, options, k, axis)
    total_weight, weighted_distance = (
        (0.0, 0.0) if class_weights is None else _weighted_sums(class_weights, shifted, axis, shared=sparse)
    )
    # Sum without that 1, which would swallow the digits of small terms.
    values = np.exp(shifted, out=shifted)
    ones = remove_maxima(values, first_maxima)
    sum_without_max[:] = pairwise_sum(values, axis, may_overwrite=may_overwrite)
    if ones is not None:
        add_tied_maxima(ones, sum_without_max)
    return Exponentials(values, first_maxima, ones, confident_index, class_weights, total_weight, weighted_distance)


def subtract_dtype(dtype: np.dtype[Any], options: LossOptions) -> np.dtype[Any]:
    """Return the dtype in which the maximum is subtracted: float32 only if it represents every logit exactly."""
    exact = dtype.kind == "b" or (dtype.kind == "f" and dtype.itemsize <= 4) or dtype.itemsize <= 2
    return options.dtype if exact and options.temperature == 1.0 else np.dtype(np.float64)


def _class_weights(labels: AnyArray, options: LossOptions, num_classes: int, axis: int) -> AnyArray | None:
    """Weight of the loss of every class: [k, 1] or [k] for smoothed sparse labels, a tile for dense ones."""
    smoothing, weight = options.label_smoothing, options.class_weight
    if labels.ndim == 2:
        tile = load(labels, axis, np.float64, "labels")
        if smoothing:
            tile *= 1.0 - smoothing
            tile += smoothing / num_classes
        if weight is not None:
            tile *= per_class(weight, axis)
        return tile
    if not smoothing:
        return None
    uniform = np.full(num_classes, smoothing / num_classes)
    return per_class(uniform if weight is None else uniform * weight, axis)


def _weighted_sums(
    class_weights: AnyArray, shifted: AnyArray, axis: int, *, shared: bool
) -> tuple[FloatArray | float, FloatArray]:
    """Sum the weights, and the weights times the distances, over the classes, with 0 times inf = 0."""
    products = scratch("products", shifted.shape, np.float64)
    np.multiply(class_weights, shifted, out=products)
    weighted_distance = -pairwise_sum(products, axis)
    if np.isnan(weighted_distance).any():
        np.copyto(products, 0.0, where=class_weights == 0)
        weighted_distance = -pairwise_sum(products, axis)
    # Weights that all samples share have one sum, even where there is only one sample.
    total_weight = float(class_weights.sum()) if shared else pairwise_sum(class_weights, axis)
    return total_weight, weighted_distance
