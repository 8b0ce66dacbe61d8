"""Compare candidate losses and gradients with the reference, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.same_samples import refuse_other_ids
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.labels.check_labels import either
from xent_cli.core.verify.error_totals import compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.core.block import Part, Task
    from xent_cli.core.options import LossOptions, Outputs
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.verify.error_totals import ErrorTotals
    from xent_cli.core.verify.tolerance import Tolerance


@dataclass(frozen=True, slots=True)
class VerifyTask:
    """Recipe for a block and for the candidate values of its samples.

    Fields
    ------
    block
        Logits, labels and weights.
    candidates
        Losses [n] under "loss", gradients [n, k] under "gradient"; the values are in the `logits` of the rows.
    """

    block: Task
    candidates: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class BlockErrors:
    """Results for one block.

    Fields
    ------
    size
        Number of samples.
    totals
        Totals of the reference losses.
    errors
        Errors of each candidate, by name.
    """

    size: int
    totals: LossTotals
    errors: Mapping[str, ErrorTotals]


def verify_block(
    task: VerifyTask, options: LossOptions, outputs: Outputs, tolerances: Mapping[str, Tolerance], top: int
) -> BlockErrors:
    """Evaluate a block and compare the candidate values with it.

    Parameters
    ----------
    outputs
        Must include `losses`, and a float64 gradient if one is compared.
    tolerances
        Tolerance of each candidate, by name.
    top
        How many of the worst rows to keep.
    """
    result = evaluate_block(task.block, options, outputs)
    truths = {"loss": result.loss, "gradient": result.gradient}
    ignored = either(result.ignored, result.left_out)
    errors = {}
    # Read after the evaluation, because the reader may reuse the memory of the logits.
    for name, part in task.candidates.items():
        rows = part.read()
        if rows.ids is not None and result.ids is not None:
            refuse_other_ids(result.ids, rows.ids, result.start, name)
        found, expected = rows.logits, truths[name]
        assert found is not None
        assert expected is not None
        if name == "loss":
            found = np.reshape(found, -1)
            if result.left_out is not None:  # any loss is right here; the gradient must be 0
                found = np.where(result.left_out, np.nan, found)
        elif found.ndim == 1:  # one score per sample
            found = found[:, np.newaxis]
        errors[name] = compare(found, expected, tolerances[name], start=result.start, ignored=ignored, top=top)
    return BlockErrors(result.size, result.totals.losses, errors)
