"""Check that saved numbers are losses, and read their weights and what the file says about its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.checks.distributions import count_distributions
from xent_cli.core.labels.label_digest import LABELS_DIGEST, SIGNATURE, add_digests, digest_text
from xent_cli.core.number_text import shape_text
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from xent_cli.core.array_types import AnyArray, FloatArray

_EXPECTED = "one loss a sample, in nats, as xent compute -o writes them"
_HINT = "are these logits? xent compute LOGITS LABELS -o FILE saves the losses"
# The loss of a probability of 1 that was rounded up to the next bfloat16.
_BELOW_ZERO = -0.004


def refuse_other_arrays(path: str, shape: tuple[int | None, ...], dtype: str) -> None:
    """Refuse an array whose header alone shows that it does not hold losses.

    Losses of [batch, time, class] logits are an array of two axes; those xent writes are float64.

    Raises
    ------
    InputError
        Saying what the array is.
    """
    kind = np.dtype(dtype)
    if kind.kind != "f" or (len(shape) > 1 and kind.itemsize != 8):
        raise _no_losses(path, f"an array of {dtype} {shape_text(shape)}")


def refuse_other_values(path: str, loss: FloatArray, shape: tuple[int | None, ...]) -> None:
    """Refuse array values that cannot be losses: logits, or rows of probabilities.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    refuse_below_zero(path, loss)
    last = shape[-1] if len(shape) > 1 else None
    if last and loss.size and count_distributions(loss.reshape(-1, last)).scale is not None:
        raise _no_losses(path, f"an array {shape_text(shape)} whose rows sum to 1")


def refuse_below_zero(path: str, loss: FloatArray, weight: FloatArray | None = None) -> None:
    """Refuse losses below 0 by more than rounding; `weight` [n] is what they were multiplied by."""
    least = _BELOW_ZERO if weight is None else _BELOW_ZERO * np.maximum(weight, 1.0)
    with np.errstate(invalid="ignore"):
        below = (loss < least) & np.isfinite(loss)
    if below.any():
        row = int(np.argmax(below))
        more = f"{int(np.count_nonzero(below))} of {loss.size} are below 0"
        raise _no_losses(f"{path} row {row}", f"{loss[row]:g}", more)


def float_column(path: str, column: Any) -> Any:
    """Return the loss column, which must hold floats.

    Raises
    ------
    InputError
        At any other type.
    """
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_null(kind) or pa.types.is_decimal(kind)):
        raise InputError("losses are not numbers", path, found=f"type {kind}", expected="floats", hint=_HINT)
    return column.cast("float64")


def weights_of(path: str, table: pa.Table, name: str, what: str = "weight") -> FloatArray | None:
    """Return the weight of each sample, or another number that is >= 0; None if the rows have no such column.

    Raises
    ------
    InputError
        If one is not a finite number >= 0.
    """
    if name not in table.column_names:
        return None
    try:
        weights: AnyArray = table[name].cast("float64").to_numpy()
    except (ValueError, NotImplementedError):
        weights = np.array([np.nan])
    bad = ~((weights >= 0) & (weights < np.inf))
    if bad.any():
        where = f'{path} row {int(np.argmax(bad))}, column "{name}"'
        raise InputError(f"invalid {what}", where, found=f"{weights[bad][0]}", expected="a finite number >= 0")
    return weights


def settings_and_digest(table: pa.Table) -> tuple[str | None, str | None]:
    """Return the signature, and the digest of the labels, from the metadata of a table; None if absent."""
    metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
    signature, digest = (metadata.get(name.encode()) for name in (SIGNATURE, LABELS_DIGEST))
    text = None if signature is None else signature.decode(errors="replace")
    return text, digest.decode(errors="replace") if digest is not None and _is_digest(digest) else None


def sum_digests(digests: Iterable[bytes | None]) -> bytes | None:
    """Return the digest of all parts of a table; None if any part lacks one.

    Examples
    --------
    >>> sum_digests([b"000000000000000a", b"0000000000000001"])
    b'000000000000000b'
    """
    total = 0
    for digest in digests:
        if digest is None or not _is_digest(digest):
            return None
        total = add_digests(total, int(digest, 16))
    return digest_text(total).encode()


def _is_digest(text: bytes) -> bool:
    return len(text) == 16 and not text.strip(b"0123456789abcdef")


def _no_losses(where: str, found: str, more: str = "") -> InputError:
    return InputError("not saved losses", where, found=found, expected=_EXPECTED, hint=_HINT, more=more)
