"""How a model and a teacher differ at the true label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray


def label_figures(loss: FloatArray, teacher_loss: FloatArray) -> dict[str, FloatArray]:
    """Compare the loss -log p of the true label under a model with that under a teacher, both [n] in nats.

    - ``mean_delta_p = p_model(y) - p_teacher(y)``, and its square;
    - ``log_ppl_ratio = loss - teacher_loss`` in nats, whose mean is the logarithm of the ratio of the perplexities.

    Examples
    --------
    >>> found = label_figures(np.log([2.0, 4.0]), np.log([4.0, 2.0]))
    >>> found["mean_delta_p"].round(15).tolist(), found["squared_delta_p"].round(15).tolist()
    ([0.25, -0.25], [0.0625, 0.0625])
    """
    with np.errstate(invalid="ignore", over="ignore"):
        apart = loss - teacher_loss
        # p - q = q expm1(log(p/q)) keeps the digits of a small difference.
        near = np.exp(-teacher_loss) * np.expm1(-apart)
        delta = np.where(np.abs(apart) < 1.0, near, np.exp(-loss) - np.exp(-teacher_loss))
    return {"mean_delta_p": delta, "squared_delta_p": delta * delta, "log_ppl_ratio": apart}
