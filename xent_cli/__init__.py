"""Softmax cross-entropy of model outputs: exact, fast, flat in memory.

Functions of NumPy arrays, imported when they are first used: `softmax_cross_entropy`, `sparse_softmax_cross_entropy`,
`softmax_cross_entropy_with_grad`, `loss_frame`, `calibrate`, which fits a temperature, and `evaluate`, which returns a
`LossSummary`. `read_table` reads a table of logits and labels by the rules of the commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xent_cli.core.python_api.evaluation import evaluate
    from xent_cli.core.python_api.functions import (
        softmax_cross_entropy,
        softmax_cross_entropy_with_grad,
        sparse_softmax_cross_entropy,
    )
    from xent_cli.core.python_api.rows import loss_frame
    from xent_cli.core.python_api.summary import LossSummary
    from xent_cli.core.python_api.temperature import calibrate
    from xent_cli.readers.read_table import read_table

__version__ = "0.1.0"
__all__ = [
    "LossSummary",
    "calibrate",
    "evaluate",
    "loss_frame",
    "read_table",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_grad",
    "sparse_softmax_cross_entropy",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "read_table":
        from xent_cli.readers.read_table import read_table as found

        # The module of this name, which the import has set, is not what is meant.
        globals()[name] = found
        return found
    import importlib

    homes = {"LossSummary": "summary", "calibrate": "temperature", "evaluate": "evaluation", "loss_frame": "rows"}
    module = importlib.import_module(f"xent_cli.core.python_api.{homes.get(name, 'functions')}")
    return getattr(module, name)
