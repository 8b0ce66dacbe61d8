"""Polynomials of the compiled kernel, derived with mpmath: `python -m benchmarks.kernel_coefficients` prints them.

They are Chebyshev approximations, close to the best there are, rounded to float64 and lowest power first. A test
holds the constants of `core/kernel/c/scalars.h` against them.
"""

from __future__ import annotations

from typing import Any

from mpmath import atanh, chebyfit, exp, factorial, log, mpf, sqrt, workdps

# A little more than where the arguments lie once they are reduced, so that rounding does not leave it.
_MARGIN = 1 + 2.0**-20


def exp_tail(r: Any) -> Any:
    """(exp(r) - 1 - r) / r**2, for abs(r) <= log(2) / 2."""
    if abs(r) < 1e-3:
        return sum(r**i / factorial(i + 2) for i in range(16))
    return (exp(r) - 1 - r) / r**2


def log_tail(z: Any) -> Any:
    """2 (atanh(s) / s - 1) / s**2 for z = s**2, and s up to that of sqrt(2): (sqrt(2) - 1) / (sqrt(2) + 1)."""
    if z < 1e-8:
        return sum(2 * z**i / (2 * i + 3) for i in range(8))
    s = sqrt(z)
    return 2 * (atanh(s) / s - 1) / z


def coefficients() -> dict[str, list[str]]:
    """Hexadecimal float64 coefficients of both polynomials."""
    with workdps(60):
        half = log(2) / 2 * _MARGIN
        top = (3 - 2 * sqrt(mpf(2))) ** 2 * _MARGIN
        found = {
            "exp_tail": chebyfit(exp_tail, [-half, half], 10),
            "log_tail": chebyfit(log_tail, [mpf(0), top], 7),
        }
        return {name: [float(c).hex() for c in reversed(each)] for name, each in found.items()}


if __name__ == "__main__":
    for name, constants in coefficients().items():
        print(name, *constants)
