"""One weight for each class, from any file that labels may come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.interface import ReadOptions
from xent_cli.readers.open import open_source

if TYPE_CHECKING:
    from xent_cli.core.block import FloatArray


def read_class_weight(path: str, num_classes: int) -> FloatArray:
    """Read class weights [k], dimensionless.

    Raises
    ------
    InputError
        Where there are not `num_classes` of them, or one is negative or not finite.
    """
    source = open_source(path, "labels", ReadOptions())
    found = [part.read().labels for _, _, part in source.parts()]
    values = np.concatenate([labels.reshape(-1) for labels in found if labels is not None])
    if values.size != num_classes:
        raise InputError(
            "other number of class weights",
            path,
            found=f"{values.size} weights",
            expected=f"{num_classes}, one a class",
        )
    weights: FloatArray = values.astype(np.float64)
    bad = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
    if bad.size:
        raise InputError(
            "invalid class weight",
            f"{path} class {bad[0]}",
            found=f"{weights[bad[0]]}",
            expected="a finite number >= 0",
        )
    return weights
