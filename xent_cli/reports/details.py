"""What a page shows of a run besides its figures. It is a module of its own because only runs with a page need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xent_cli.core.confidence.calibration import Calibration
    from xent_cli.core.totals.quantiles import QuantileState
    from xent_cli.core.totals.summary import WorstSample


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Details:
    """Results of a run besides its figures, for a page.

    Fields
    ------
    losses
        The distribution of the losses.
    worst, worst_by
        The highest losses, or the highest values of another figure, and its name.
    calibration
        Losses by class, and accuracy by confidence; None if labels are dense.
    class_names
        Name of each class, or None if classes only have numbers.
    id_name
        Name of the id column, or None if samples have no ids.
    first_class
        Number of the first class in the labels of `worst`.
    num_classes
        How many classes the logits have.
    command, created
        The command line, and the time of the run as ISO 8601 in UTC; empty if not requested.
    divergence
        The distribution of the KL divergences, or None without a teacher.
    divergence_known
        What these are: "at face value", or bounds, "at most" or "at least"; "" if they are exact.
    """

    losses: QuantileState
    worst: tuple[WorstSample, ...] = ()
    calibration: Calibration | None = None
    class_names: tuple[str, ...] | None = None
    id_name: str | None = None
    worst_by: str = "loss"
    first_class: int = 0
    num_classes: int = 0
    command: str = ""
    created: str = ""
    divergence: QuantileState | None = None
    divergence_known: str = ""
