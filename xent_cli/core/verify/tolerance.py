"""What counts as equal to the reference."""

from __future__ import annotations

from dataclasses import dataclass

# Relative and absolute, as torch.testing.assert_close has them.
DEFAULTS = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
}
_SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What counts as equal: ``|found - expected| <= atol + rtol |expected|``, or so many units in the last place.

    Whatever equals the reference rounded to `dtype` is equal, for that type holds nothing better. NaN equals NaN, and
    inf equals inf of its sign.

    Fields
    ------
    dtype
        Float type of the candidate: "float16", "bfloat16", "float32" or "float64".
    rtol, atol
        Dimensionless, and in units of the values.
    max_ulp
        In place of both, in units of the last place of `dtype`; or None.
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
        """Tolerance for a float type; what is None is as in torch.testing.assert_close.

        Parameters
        ----------
        scale
            What the values were divided by, n for the gradient of a mean of n losses. The default `atol` is divided by
            it too, down to the smallest number of the type: for a million samples every gradient of the mean is below
            1e-5, and one of nothing but zeros would pass.

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
