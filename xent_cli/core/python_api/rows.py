"""The losses of all samples as a pandas frame, with the columns that `xent compute -o` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.options import Outputs
from xent_cli.core.python_api.arguments import called_with
from xent_cli.core.python_api.functions import evaluated
from xent_cli.core.python_api.hints import hinting

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.python_api.functions import Precision


@hinting()
def loss_frame(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    class_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    temperature: float = 1.0,
    precision: Precision = "float64",
) -> pd.DataFrame:
    """Losses of all samples as a pandas frame: one row per sample, in C order of the axes without `axis`.

    ``loss_frame(...).to_parquet("rows.parquet")`` writes what `xent compare` reads, and `xent check` as a baseline.

    Parameters
    ----------
    logits
        As for `softmax_cross_entropy`; a frame gives the rows its index.
    labels
        Class indices, or class probabilities shaped like `logits`.
    sample_weight
        Weights of the samples, copied to a column `weight`; the losses are not multiplied by them.

    Other parameters and errors are as for `evaluate`.

    Returns
    -------
    Columns `sample` (from 0), `label` (of class indices; <NA> where a sample has none), `loss` (float64, nats; NaN
    where a sample is left out) and, with weights, `weight`.

    Examples
    --------
    >>> loss_frame([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0]).round(4)
       sample  label    loss
    0       0      2  0.4076
    1       1      0  2.4076
    """
    import pandas as pd

    index = getattr(logits, "index", None)
    call = called_with(
        logits,
        labels,
        axis=axis,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        mask=mask,
        temperature=temperature,
        precision=precision,
    )
    blocks = evaluated(call, Outputs(losses=True, figures=False))

    def column(name: str) -> AnyArray | None:
        parts = [getattr(block, name) for block in blocks]
        return None if parts[0] is None else np.concatenate(parts)

    loss = column("loss")
    assert loss is not None
    columns: dict[str, Any] = {"sample": np.arange(loss.size)}
    found = column("labels")
    if found is not None:
        columns["label"] = pd.array(found, "Int64")
        columns["label"][found == NO_LABEL] = pd.NA
    columns["loss"] = loss
    weight = column("weight")
    if weight is not None:
        columns["weight"] = weight
    alike = index is not None and hasattr(index, "equals") and len(index) == loss.size
    return pd.DataFrame(columns, index=index if alike else None)
