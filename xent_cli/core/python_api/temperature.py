"""The temperature that calibrates a model, for NumPy arrays."""

from __future__ import annotations

from functools import reduce
from operator import index
from typing import TYPE_CHECKING, Any

from xent_cli.core.confidence.calibration import EQUAL_WIDTH
from xent_cli.core.confidence.fit_block import fit_block
from xent_cli.core.confidence.temperature import PassTotals, TemperatureFit, fit_temperature
from xent_cli.core.options import Outputs
from xent_cli.core.python_api.arguments import called_with
from xent_cli.core.python_api.groups import grouped
from xent_cli.core.python_api.hints import hinting
from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from xent_cli.core.confidence.temperature import Step


@hinting()
def calibrate(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    ignore_index: int | tuple[int, ...] | None = None,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    folds: int | None = None,
    cluster: Any = "default",
) -> TemperatureFit:
    """Fit the temperature T > 0 that minimises the mean cross-entropy of ``logits / T`` against class indices.

    The mean loss is convex in 1/T, and the minimum is found to about 15 digits.

    Parameters
    ----------
    folds
        Split the samples into this many folds, also fit without each of them, and report the figures of the samples
        left out of each fit. Samples of a cluster share a fold; sample or cluster i is in fold i modulo `folds`.
    cluster
        Which samples are not independent, for the standard error and the folds; as for `evaluate`.

    Other parameters and errors are as for `evaluate`.

    Returns
    -------
    TemperatureFit
        `temperature`, its standard error `se_temperature`, and `before` and `after`, summaries with `mean_loss` (nats),
        `ece` and `brier`.

    Raises
    ------
    InputError
        Also if no temperature minimises the loss: every label has the highest logit of its row, the logits are no
        better than chance, or the logit of a label is -inf.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    With two classes and a logit 2 ahead, the model claims a probability of 0.88 and is right in 3 of 4 cases; at T =
    2 / log(3) it claims 0.75:

    >>> fit = calibrate([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 0, 1])
    >>> round(fit.temperature, 12), round(fit.after.ece, 12)
    (1.820478453254, 0.0)
    """
    call = called_with(
        logits,
        labels,
        form="sparse",
        axis=axis,
        ignore_index=ignore_index,
        sample_weight=sample_weight,
        mask=mask,
    )
    groups = grouped(call, logits, axis, by=None, macro=None, units=None, cluster=cluster)
    outputs = Outputs(calibration=EQUAL_WIDTH, top_k=(1,))

    def run(step: Step) -> PassTotals:
        blocks = groups.call.blocks
        found = (fit_block(block, call.options, outputs, groups.outputs.cluster, step) for block in blocks)
        return reduce(PassTotals.merge, found)

    return fit_temperature(run, _folds(folds))


def _folds(folds: Any) -> int:
    try:
        count = 1 if folds is None else index(folds)
    except TypeError:
        count = 0
    if count < 1 or (folds is not None and count < 2):
        raise UsageError("folds is out of range", found=repr(folds), expected="a whole number from 2 on")
    return count
