"""Softmax cross-entropy of model outputs: exact, fast, flat in memory.

Functions of NumPy arrays, imported when they are first used: `softmax_cross_entropy`, `sparse_softmax_cross_entropy`,
`softmax_cross_entropy_with_grad` and `evaluate`, which returns a `LossSummary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xent_cli.core.functions import (
        evaluate,
        softmax_cross_entropy,
        softmax_cross_entropy_with_grad,
        sparse_softmax_cross_entropy,
    )
    from xent_cli.core.summary import LossSummary

__version__ = "0.1.0"
__all__ = [
    "LossSummary",
    "evaluate",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_grad",
    "sparse_softmax_cross_entropy",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xent_cli.core import functions, summary

    return getattr(summary if name == "LossSummary" else functions, name)
