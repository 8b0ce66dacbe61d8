"""Write numbers, shapes and cells as text: with every digit for programs, with as few as needed for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def spell(value: float) -> str:
    """Write the shortest digits that read back as the same float64; scientific for exponents below -6 or above 9.

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


def plain_value(value: float | int | bool | None) -> str:
    """Write a figure for programs, with every digit.

    Examples
    --------
    >>> plain_value(0.5), plain_value(True), plain_value(None)
    ('0.5', 'true', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return spell(value) if isinstance(value, float) else str(value)


def rounded(value: float) -> str:
    """Write six significant digits.

    Examples
    --------
    >>> rounded(0.40760596444438), rounded(4.2e-18), rounded(float("nan"))
    ('0.407606', '4.2e-18', 'nan')
    """
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def distinct(a: float, b: float) -> tuple[str, str]:
    """Write two numbers with six significant digits, or more if they need more to differ.

    Examples
    --------
    >>> distinct(0.350000000001, 0.35), distinct(1234567, 2.5), distinct(1 / 3, 1 / 3)
    (('0.350000000001', '0.35'), ('1234567', '2.5'), ('0.333333', '0.333333'))
    """
    if a == b:
        return _significant(a, 6), _significant(b, 6)
    for digits in range(6, 17):
        texts = _significant(a, digits), _significant(b, digits)
        if texts[0] != texts[1]:
            return texts
    return repr(a).removesuffix(".0"), repr(b).removesuffix(".0")


def finite_or_none(value: float) -> float | None:
    """Return None for NaN and infinity, which JSON cannot hold.

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(math.nan)
    (0.5, None)
    """
    return value if math.isfinite(value) else None


def shape_text(shape: Sequence[int | None]) -> str:
    """Write a shape as Python does, with n for a side that is not known.

    Examples
    --------
    >>> shape_text((None, 10)), shape_text((3,))
    ('(n, 10)', '(3,)')
    """
    sides = ", ".join("n" if side is None else str(side) for side in shape)
    return f"({sides},)" if len(shape) == 1 else f"({sides})"


def csv_cell(text: str, delimiter: str) -> str:
    """Quote a cell if RFC 4180 requires it.

    Python's csv module leaves a lone carriage return unquoted, and readers take that for the end of a line.

    Examples
    --------
    >>> csv_cell("a, b", ","), csv_cell("a, b", "|")
    ('"a, b"', 'a, b')
    """
    if any(mark in text for mark in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def check_cells(check: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Write limit, observed figure, baseline and delta of a check for people; "" for one that is missing.

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
        observed_text, limit_text = distinct(observed, limit)
        return limit_text, observed_text, "", ""
    observed_text, baseline_text = distinct(observed, check["baseline"])
    if isinstance(limit, str):
        return limit, observed_text, baseline_text, _significant(check["delta"], 6)
    delta_text, limit_text = distinct(check["delta"], limit)
    return limit_text, observed_text, baseline_text, delta_text


def _significant(value: float, digits: int) -> str:
    whole = math.isfinite(value) and float(value).is_integer() and abs(value) < 10**digits * 1000
    return str(int(value)) if whole else f"{value:.{digits}g}"
