"""A digest that shows whether two runs were scored against the same labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xent_cli.core.array_types import AnyArray, BoolArray

    Bits = NDArray[np.uint64]

# Names of the digest, and of the settings of the run, in the metadata of saved rows.
LABELS_DIGEST, SIGNATURE = "xent.labels_digest", "xent.signature"
LOSS_HAS_CLASS_WEIGHT = "xent.loss_has_class_weight"
_MODULUS = 1 << 64
_CHUNK = 1 << 14
# Odd numbers without a pattern: digits of the golden ratio and of the square roots of 3 and 5.
_OF_SAMPLE = np.uint64(0x9E3779B97F4A7C15)
_OF_CLASS = np.uint64(0xBB67AE8584CAA73B)
_OF_VALUE = np.uint64(0x3C6EF372FE94F82B)


def label_digest(
    labels: AnyArray,
    start: int,
    ignored: BoolArray | None = None,
    weights: AnyArray | None = None,
    likeliest: AnyArray | None = None,
) -> int:
    """Sum a hash of (sample number, label) over the samples that count, modulo 2**64.

    The digest depends on the order of the samples, but not on their partition into blocks, the dtype or the file
    format.

    Parameters
    ----------
    labels
        [n] class indices, or [n, k] rows of probabilities or of a teacher's outputs, from which the class of the
        highest entry and its value, rounded to float32, enter the hash.
    start
        Number of the first sample.
    ignored
        [n] True where a sample does not count, or None.
    weights
        [n] sample weights, or None; rounded to float32, they enter the hash.
    likeliest
        [n] class of the highest entry of each row, if known.

    Examples
    --------
    >>> import numpy as np
    >>> whole = label_digest(np.array([2, 0, 1]), 0)
    >>> whole == add_digests(label_digest(np.array([2, 0]), 0), label_digest(np.array([1.0]), 2))
    True
    >>> whole == label_digest(np.array([0, 2, 1]), 0)
    False
    """
    # In chunks, so that intermediate arrays stay in the cache.
    step = _CHUNK if labels.ndim == 1 else max(1, 64 * _CHUNK // max(1, labels.shape[1]))
    weights = None if weights is None else weights.reshape(-1)
    total = 0
    for first in range(0, len(labels), step):
        part = slice(first, first + step)
        columns = (None if values is None else values[part] for values in (ignored, weights, likeliest))
        total += _of_chunk(labels[part], start + first, *columns)
    return total % _MODULUS


def _of_chunk(
    labels: AnyArray, start: int, ignored: BoolArray | None, weights: AnyArray | None, likeliest: AnyArray | None
) -> int:
    sample = np.arange(start, start + len(labels), dtype=np.uint64)
    if ignored is not None:
        rows = np.flatnonzero(~ignored)
        labels, sample = labels[rows], sample[rows]
        weights, likeliest = (None if values is None else values[rows] for values in (weights, likeliest))
    index = labels if labels.ndim == 1 else labels.argmax(axis=1) if likeliest is None else likeliest
    # Unsigned integers wrap around, as a hash needs.
    bits = sample * _OF_SAMPLE
    bits += index.astype(np.int64, copy=False).view(np.uint64) * _OF_CLASS
    if labels.ndim == 2:
        bits += _float32_bits(_at(labels, index)) * _OF_VALUE
    _mix(bits)
    if weights is not None:
        bits ^= _float32_bits(weights)
        _mix(bits)
    return int(bits.sum(dtype=np.uint64))


def add_digests(a: int, b: int) -> int:
    """Return the digest of both parts of the samples.

    Examples
    --------
    >>> add_digests(2**64 - 1, 3)
    2
    """
    return (a + b) % _MODULUS


def digest_text(digest: int) -> str:
    """Write a digest as sixteen hexadecimal digits.

    Examples
    --------
    >>> digest_text(10)
    '000000000000000a'
    """
    return f"{digest:016x}"


def _at(rows: AnyArray, index: AnyArray) -> AnyArray:
    """Pick the entry of each row at its index."""
    if not rows.flags.c_contiguous:
        return np.asarray(np.take_along_axis(rows, index[:, None], axis=1)[:, 0])
    width = rows.shape[1]  # take needs a third of the time of take_along_axis
    return rows.reshape(-1).take(index + np.arange(0, width * len(rows), width))


def _float32_bits(values: AnyArray) -> Bits:
    """Return the bits of numbers as float32, with one pattern for zero and one for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32) + np.float32(0)  # turns -0 into 0
        if np.isnan(narrow.sum()):
            narrow[np.isnan(narrow)] = np.nan  # with one sign
    return narrow.view(np.uint32).astype(np.uint64)


def _mix(bits: Bits) -> None:
    """Apply the last steps of splitmix64 in place, after which every bit depends on all others."""
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
