"""How a number is spelled in text: in full for programs, in as many digits as tell it apart for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def rounded(value: float) -> str:
    """Six significant digits.

    Examples
    --------
    >>> rounded(0.40760596444438), rounded(4.2e-18), rounded(float("nan"))
    ('0.407606', '4.2e-18', 'nan')
    """
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def distinct(a: float, b: float) -> tuple[str, str]:
    """Spell two numbers with six significant digits, or as many as tell them apart; in full where they are equal.

    Examples
    --------
    >>> distinct(0.350000000001, 0.35), distinct(1234567, 2.5)
    (('0.350000000001', '0.35'), ('1234567', '2.5'))
    """
    for digits in range(6, 17):
        told = _significant(a, digits), _significant(b, digits)
        if told[0] != told[1]:
            return told
    return repr(a).removesuffix(".0"), repr(b).removesuffix(".0")


def check_cells(check: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Limit, observed figure, baseline and delta of a check as people read them; empty where there is none.

    Parameters
    ----------
    check
        An entry of the summary document's ``checks``.

    Examples
    --------
    >>> check_cells({"kind": "max", "limit": 0.35, "observed": 0.350000000001})
    ('0.35', '0.350000000001', '', '')
    >>> check_cells({"kind": "max-increase", "limit": "0.5%", "observed": 0.25, "baseline": 0.25, "delta": 0.0})
    ('0.5%', '0.25', '0.25', '0')
    """
    limit, observed = check["limit"], check["observed"]
    if "baseline" not in check:
        shown, told = distinct(observed, limit)
        return told, shown, "", ""
    shown, before = distinct(observed, check["baseline"])
    delta, told = distinct(check["delta"], check["delta"] if isinstance(limit, str) else limit)
    return limit if isinstance(limit, str) else told, shown, before, delta


def _significant(value: float, digits: int) -> str:
    whole = math.isfinite(value) and float(value).is_integer() and abs(value) < 10**digits * 1000
    return str(int(value)) if whole else f"{value:.{digits}g}"
