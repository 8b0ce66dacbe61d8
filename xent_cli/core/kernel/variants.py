"""Which kernels this machine has, and which one computes. NumPy is not imported, because that takes a while."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import XentError

if TYPE_CHECKING:
    from types import ModuleType


# Version of the compiled module's arguments and results, here and in `c/module.c`. After a pull, an editable install
# still has the old module, which would fail or misread its arguments.
INTERFACE = 3
_OUT_OF_DATE = "the one here is out of date; to rebuild it, run pip install -e . in the source folder of xent"
# Without an instruction for it, each fused multiply-add is a function call, which is far slower than NumPy.
_WITHOUT_FMA = "baseline"


class _Built(NamedTuple):
    """The compiled module, or None with the reason why it is missing."""

    module: ModuleType | None
    reason: str = ""


@cache
def _built() -> _Built:
    try:
        module = import_module("xent_cli.core.kernel._rows")
    except ModuleNotFoundError:
        return _Built(None, "it was not built when xent was installed")
    except ImportError as error:
        return _Built(None, str(error))
    if getattr(module, "INTERFACE", None) != INTERFACE:
        return _Built(None, _OUT_OF_DATE)
    return _Built(module)


def compiled_module() -> ModuleType:
    """Return the compiled module; call it only if `variants` is not empty."""
    module = _built().module
    assert module is not None
    return module


@cache
def variants() -> tuple[str, ...]:
    """Return the instruction sets that the kernel supports and this machine has, fastest first; () if there is none.

    Examples
    --------
    >>> {"avx512", "avx2", "neon", "baseline"} >= set(variants())
    True
    """
    module = _built().module
    return () if module is None else tuple(module.variants())


def variant_of(kernel: str) -> str:
    """Return the instruction set of a compiled kernel by its name; for "c", the fastest.

    Raises
    ------
    XentError
        If this machine does not have it.
    """
    available = variants()
    name = kernel.removeprefix("c").removeprefix("-")
    if name in available or (not name and available):
        return name or available[0]
    raise XentError(
        f"the {kernel} kernel is not available on this machine",
        found=", ".join(f"c-{each}" for each in available) or f"no compiled kernel: {_built().reason}",
        code="kernel-not-available",
    )


def kernel_for(precision: str, asked: str | None = None) -> str:
    """Return the name of the kernel that computes in a precision: the one asked for, or else the fastest.

    What the compiled kernel does not compute is left to NumPy, whichever was asked for.

    Raises
    ------
    XentError
        If this machine does not have the kernel that was asked for.

    Examples
    --------
    >>> kernel_for("float64", "numpy"), kernel_for("float32", "c")
    ('numpy', 'numpy')
    """
    if not is_compiled(precision):
        return "numpy"
    if asked is None:
        return "numpy" if why_not_compiled() else "c"
    if asked != "numpy":
        variant_of(asked)
    return asked


def is_compiled(precision: str) -> bool:
    """Whether there is compiled code for that precision."""
    return precision == "float64"


def why_not_compiled() -> str:
    """Return why NumPy computes unless something else is asked for, or "" if the compiled kernel does."""
    if variants()[:1] == (_WITHOUT_FMA,):
        return "no AVX2 with FMA in this processor"
    return _built().reason


def described(asked: str | None = None) -> str:
    """Return the kernel that computes and its instruction set, or the reason why it is not the compiled one.

    Raises
    ------
    XentError
        If this machine does not have the kernel that was asked for.

    Examples
    --------
    >>> described("numpy")
    'numpy'
    """
    why_not = "" if asked else why_not_compiled()
    if why_not:
        return f"numpy (no compiled kernel: {why_not})"
    return "numpy" if asked == "numpy" else f"c ({variant_of(asked or 'c')})"
