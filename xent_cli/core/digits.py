"""How many digits people need to see that one number is not the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def distinct(a: float, b: float) -> tuple[str, str]:
    """Spell two numbers with six significant digits, or as many as tell them apart; in full where they are equal.

    Examples
    --------
    >>> distinct(0.350000000001, 0.35), distinct(1234567, 2.5)
    (('0.350000000001', '0.35'), ('1234567', '2.5'))
    """
    for digits in range(6, 17):
        told = _spell(a, digits), _spell(b, digits)
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


def _spell(value: float, digits: int) -> str:
    whole = math.isfinite(value) and float(value).is_integer() and abs(value) < 10**digits * 1000
    return str(int(value)) if whole else f"{value:.{digits}g}"
