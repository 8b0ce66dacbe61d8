"""How a float64 is spelled in text: as Arrow does, so that a row looks the same however many rows there are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xent_cli.core.block import FloatArray

# Importing pyarrow takes 110 ms, spelling by repr 0.7 us a number.
_MANY = 100_000
_MANY_ONCE_IMPORTED = 2_000


def many(count: int, before: int = 0) -> bool:
    """Whether so many rows are worth Arrow, after so many others `before`: small blocks add up too."""
    return count >= _MANY_ONCE_IMPORTED and ("pyarrow" in sys.modules or before + count >= _MANY)


def spell(value: float) -> str:
    """Shortest digits that read back to the same float64; decimal for exponents -6 to 9, else scientific.

    Examples
    --------
    >>> spell(1e-05), spell(1e-07), spell(1.0), spell(12345678901.5)
    ('0.00001', '1e-7', '1', '1.23456789015e+10')
    """
    text = repr(value)
    if value != value or value in (float("inf"), float("-inf")):
        return text
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits.strip("0"):
        return sign + "0"
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    # 0.ddd times 10**point
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if 0 < point <= 10:
        rest = digits[point:]
        return sign + digits[:point].ljust(point, "0") + (f".{rest}" if rest else "")
    power = point - 1
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if power > 0 else '-'}{abs(power)}"


def spell_all(values: FloatArray) -> list[str]:
    """Spell every value, by Arrow where there are many."""
    if not many(values.size):
        return [spell(value) for value in values.tolist()]
    import pyarrow as pa
    import pyarrow.compute as pc

    from xent_cli.writers.arrow import wrapped

    texts: list[str] = pc.cast(wrapped(values), pa.string()).to_pylist()
    return texts
