"""The exponentials of a tile of logits, and what is summed of them while they are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.kernel.maxima import MASKED, add_ties, first_maximum, take_out_peaks
from xent_cli.core.kernel.tiles import class_axis, flat_index, gather, load, spread, spread_classes, total
from xent_cli.core.scratch import scratch

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, FloatArray, IntArray
    from xent_cli.core.options import LossOptions


class Exponentials(NamedTuple):
    """What of a tile the rows are finished with.

    Fields
    ------
    e
        Exponentials of the distances from the maximum, in the layout of `tiles`; those of maxima are 0.
    at_peak, peaks
        Where the first maxima were, or a tile of ones at all of them; see `take_out_peaks`.
    at_index
        Where the class stands whose gradient needs care: the label, or with dense labels the maximum (see the foot of
        `cross_entropy.py`).
    background, mass, weighed
        What every class counts, the sum of it, and the sum of it times the distances; None, 0 and 0 where none does.
    """

    e: AnyArray
    at_peak: IntArray | None
    peaks: AnyArray | None
    at_index: IntArray | None
    background: AnyArray | None = None
    mass: FloatArray | float = 0.0
    weighed: FloatArray | float = 0.0


def exponentiate(
    logits: AnyArray,
    labels: AnyArray,
    options: LossOptions,
    stage: np.dtype[Any],
    maximum: FloatArray,
    at_label: FloatArray,
    others: FloatArray,
    *,
    spare: bool,
) -> Exponentials:
    """Exponentiate the distances of a tile's logits from the maximum of their row, and sum them. Call it `unbuffered`.

    Parameters
    ----------
    logits, labels, options
        Of the rows of one tile, as for `cross_entropy`.
    stage
        See `stage_dtype`.
    maximum, at_label, others
        [n] to be filled: the maximum of each row, its logit at a sparse label, and the sum of exp((z_j - m)/T) over all
        j but the first maximum, which is not yet refined.
    spare
        Whether the exponentials are not wanted again, and may be summed where they stand.

    Examples
    --------
    >>> import numpy as np
    >>> from xent_cli.core.options import LossOptions
    >>> from xent_cli.core.kernel.tiles import unbuffered
    >>> z, labels, options = np.array([[0.0, 3.0, 0.0]]), np.array([0]), LossOptions()
    >>> maximum, at_label, others = np.empty(1), np.empty(1), np.empty(1)
    >>> with unbuffered():
    ...     tile = exponentiate(z, labels, options, z.dtype, maximum, at_label, others, spare=True)
    >>> maximum.tolist(), at_label.tolist(), others.tolist() == [2 * np.exp(-3.0)]
    ([3.0], [0.0], True)
    """
    k = logits.shape[1]
    axis = class_axis(k)
    sparse = labels.ndim == 1
    # Rows are looked through before they are copied: that is done in their own dtype, and brings them into the cache.
    first_peak = first_maximum(logits)
    z = load(logits, axis, stage, "work")
    if first_peak is None and k > MASKED:
        first_peak = (z if axis == 1 else load(z.T, 1, z.dtype, "rows")).argmax(1)
    at_peak = None if first_peak is None else flat_index(z, first_peak, axis)
    peak = maximum if z.dtype == maximum.dtype else np.empty(len(maximum), z.dtype)
    if at_peak is None:
        np.maximum.reduce(z, axis=axis, out=peak)
    else:
        gather(z, at_peak, peak)
    if peak is not maximum:
        maximum[:] = peak
    at_index = at_peak
    if sparse:
        at_index = flat_index(z, labels, axis)
        gather(z, at_index, at_label)
    elif at_peak is None and not spare:
        at_index = flat_index(z, z.argmax(axis), axis)
    d = np.subtract(z, spread(peak, axis), out=z)
    if options.temperature != 1.0:
        np.divide(d, options.temperature, out=d)
    d = d if d.dtype == options.dtype else load(d, 1, options.dtype, "narrow")
    background = _background(labels, options, k, axis)
    mass, weighed = (0.0, 0.0) if background is None else _weigh(background, d, axis, shared=sparse)
    e = np.exp(d, out=d)
    peaks = take_out_peaks(e, at_peak)
    others[:] = total(e, axis, spare=spare)
    if peaks is not None:
        add_ties(peaks, others)
    return Exponentials(e, at_peak, peaks, at_index, background, mass, weighed)


def stage_dtype(dtype: np.dtype[Any], options: LossOptions) -> np.dtype[Any]:
    """Dtype in which the maximum is subtracted: float32 only where that holds every logit as it is."""
    fits = dtype.kind == "b" or (dtype.kind == "f" and dtype.itemsize <= 4) or dtype.itemsize <= 2
    return options.dtype if fits and options.temperature == 1.0 else np.dtype(np.float64)


def _background(labels: AnyArray, options: LossOptions, num_classes: int, axis: int) -> AnyArray | None:
    """What the losses of all classes count: [k, 1] or [k] for smoothed sparse labels, a tile for dense ones."""
    smoothing, weight = options.label_smoothing, options.class_weight
    if labels.ndim == 2:
        tile = load(labels, axis, np.float64, "labels")
        if smoothing:
            tile *= 1.0 - smoothing
            tile += smoothing / num_classes
        if weight is not None:
            tile *= spread_classes(weight, axis)
        return tile
    if not smoothing:
        return None
    uniform = np.full(num_classes, smoothing / num_classes)
    return spread_classes(uniform if weight is None else uniform * weight, axis)


def _weigh(background: AnyArray, d: AnyArray, axis: int, *, shared: bool) -> tuple[FloatArray | float, FloatArray]:
    """Sum the background, and the background times -d, over the classes; 0 times inf is 0."""
    products = scratch("products", d.shape, np.float64)
    np.multiply(background, d, out=products)
    weighed = -total(products, axis)
    if np.isnan(weighed).any():
        np.copyto(products, 0.0, where=background == 0)
        weighed = -total(products, axis)
    # One row for all samples has one mass; it must not be taken for a tile where there is only one sample.
    mass = float(background.sum()) if shared else total(background, axis)
    return mass, weighed
