"""Tolerances within which a candidate value equals the reference."""

from __future__ import annotations

from dataclasses import dataclass

# Relative and absolute tolerances of torch.testing.assert_close.
DEFAULTS = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
}
_SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Condition for equality: ``|found - expected| <= atol + rtol |expected|``, or at most `max_ulp` units apart.

    The reference rounded to `dtype` is always equal, since the type has no better number. NaN equals NaN, and inf
    equals inf of the same sign.

    Fields
    ------
    dtype
        Float type of the candidate: "float16", "bfloat16", "float32" or "float64".
    rtol, atol
        Relative and absolute tolerance.
    max_ulp
        If not None, used in place of both: tolerance in units in the last place of `dtype`.
    """

    dtype: str
    rtol: float
    atol: float
    max_ulp: int | None = None

    @classmethod
    def of(
        cls,
        dtype: str,
        rtol: float | None = None,
        atol: float | None = None,
        max_ulp: int | None = None,
        *,
        scale: float = 1.0,
    ) -> Tolerance:
        """Make a tolerance for a float type, with defaults from torch.testing.assert_close.

        Parameters
        ----------
        scale
            Number that the values were divided by: n for the gradient of a mean of n losses. The default `atol` is
            divided by it too, but not below the smallest number of the type. Otherwise a gradient of zeros would pass:
            for a million samples, every entry is below 1e-5.

        Examples
        --------
        >>> Tolerance.of("float32")
        Tolerance(dtype='float32', rtol=1.3e-06, atol=1e-05, max_ulp=None)
        >>> Tolerance.of("float32", scale=1000.0).atol
        1e-08
        """
        usual_rtol, usual_atol = DEFAULTS[dtype]
        scaled = max(usual_atol / max(scale, 1.0), _SMALLEST[dtype])
        return cls(dtype, usual_rtol if rtol is None else rtol, scaled if atol is None else atol, max_ulp)
