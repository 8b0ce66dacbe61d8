"""Gradients on their way out: where they go, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.errors import UsageError
from xent_cli.readers.interface import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.readers.pair.pair import Pair


@dataclass(frozen=True, slots=True)
class Gradients:
    """Where gradients go: a .npy file or a folder/ of them, the dtype in it, and whether they are those of the sum."""

    path: str
    dtype: np.dtype[np.generic]
    of_sum: bool


def gradients_of(given: Mapping[str, Any], pair: Pair) -> Gradients:
    """What the options ask for; the dtype is that of the logits where they do not say another.

    Raises
    ------
    UsageError
        Where the path is none for gradients, or there is a dtype and no path.
    """
    path = given["gradients"]
    if path is None:
        raise UsageError("--gradient-dtype without --gradients")
    if not path.endswith((".npy", "/")):
        raise UsageError(f"--gradients {path}: gradients are written as .npy, or into a folder/ of them")
    if not path.endswith("/") and pair.logits.description.format in ARRAYS and None in pair.logits.description.shape:
        found = f"shards of {pair.logits.description.path} that differ in shape"
        raise UsageError(f"--gradients {path}: one array cannot hold them", found=found, hint="name a folder/")
    dtype = pair.logits.dtype if pair.logits.dtype.kind == "f" else np.dtype(np.float64)
    if given["gradient_dtype"] == "bfloat16" or (given["logits_dtype"] and not given["gradient_dtype"]):
        dtype = np.dtype("V2")  # as numpy.save writes it
    elif given["gradient_dtype"]:
        dtype = np.dtype(given["gradient_dtype"])
    return Gradients(path, dtype.newbyteorder("="), of_sum=given["reduction"] == "sum")
