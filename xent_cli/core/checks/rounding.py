"""Detect the precision that numbers were rounded to: a number of decimals, or half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray

# Rounding to seven digits or more is not visible in the sum of any realistic number of classes.
_MANY_DIGITS = 7
_HALF_DIGITS = 4
# Units in the last place near 1.
_BFLOAT16, _FLOAT16 = 1 / 128, 2.0**-11


class Rounding(NamedTuple):
    """The precision that all numbers seen may have been rounded to; the default is for no numbers.

    Fields
    ------
    digits
        The largest number of decimals; at most `_MANY_DIGITS`.
    bfloat16, float16
        Whether each number is exact in that type, whatever type they are stored in.
    """

    digits: int = 0
    bfloat16: bool = True
    float16: bool = True

    @classmethod
    def of(cls, values: AnyArray) -> Rounding:
        """Examine numbers of any real dtype.

        Examples
        --------
        >>> import numpy as np
        >>> [Rounding.of(np.array(values)).unit for values in ([0.25, 0.7], [1 / 3], [1])]
        [0.01, 0.0, 1.0]
        """
        if values.dtype.kind != "f":
            return cls()
        found = cls()
        flat = values.reshape(-1)
        # The first few numbers nearly always decide.
        for some in (flat[:16], flat):
            found = found.merge(cls._of(some[np.isfinite(some)]))
            if found == _FINE:
                break
        return found

    @classmethod
    def _of(cls, values: AnyArray) -> Rounding:
        if values.dtype == np.float16:
            # A decimal is stored as the nearest float16, which cannot distinguish more digits than these.
            wide = values.astype(np.float64)
            with np.errstate(over="ignore"):
                near = (d for d in range(_HALF_DIGITS) if (np.round(wide, d).astype(np.float16) == values).all())
                return cls(next(near, _MANY_DIGITS), bfloat16=False)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            digits = next((d for d in range(_MANY_DIGITS) if (np.round(values, d) == values).all()), _MANY_DIGITS)
            single = values.astype(np.float32)
            exact = bool((single == values).all())
            brain = exact and not (single.view(np.uint32) & 0xFFFF).any()
            half = exact and bool((single.astype(np.float16) == single).all())
        return cls(digits, brain, half)

    def merge(self, other: Rounding) -> Rounding:
        """Return the precision that the numbers of both may have been rounded to."""
        return Rounding(
            max(self.digits, other.digits), self.bfloat16 and other.bfloat16, self.float16 and other.float16
        )

    @property
    def whole(self) -> bool:
        """Whether all are whole numbers."""
        return self.digits == 0

    @property
    def unit(self) -> float:
        """Unit of the last digit of probabilities; 0 if it is too small to be visible in a sum."""
        decimal = 0.0 if self.digits == _MANY_DIGITS else float(10.0**-self.digits)
        return max(decimal, _BFLOAT16 if self.bfloat16 else _FLOAT16 if self.float16 else 0.0)


_FINE = Rounding(_MANY_DIGITS, bfloat16=False, float16=False)
