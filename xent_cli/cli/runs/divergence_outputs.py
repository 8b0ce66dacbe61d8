"""What a run computes where the second input is a teacher: figures of divergence, and which samples are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.cli.options import LossFlags, OutputFlags
    from xent_cli.cli.runs.check import Limits


class DivergenceOutputs(NamedTuple):
    """Fields of `Outputs`."""

    divergences: frozenset[str] = frozenset()
    states: int = 1
    worst_by_kl: bool = False


def divergence_outputs(flags: OutputFlags, loss: LossFlags, limits: Limits | None) -> DivergenceOutputs:
    """Return what to compute of the divergence from a teacher: what was asked for, and what a limit is about.

    Raises
    ------
    UsageError
        If an option is about a teacher and there is none.
    """
    if loss.labels_from == "labels":
        for option, asked in (("--divergence", flags.divergence != "kl"), ("--top-by kl", flags.top_by == "kl")):
            if asked:
                raise UsageError(f"{option} is about a teacher", hint="--labels-from says that LABELS are its outputs")
        return DivergenceOutputs()
    from xent_cli.core.kernel.teacher_figures import FIGURES
    from xent_cli.core.metrics import field_of

    limited = () if limits is None else (field_of(limit.metric) for limit in limits.thresholds)
    wanted = frozenset(FIGURES) if flags.divergence == "all" else frozenset(FIGURES) & frozenset(limited)
    states = 2 if loss.true_labels is None else 3
    return DivergenceOutputs(wanted, states=states, worst_by_kl=flags.top_by == "kl")
