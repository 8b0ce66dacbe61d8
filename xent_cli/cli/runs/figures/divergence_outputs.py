"""What a run computes if the second input is a teacher: which divergences, and which samples it lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.cli.options import LossFlags, OutputFlags
    from xent_cli.cli.runs.check import Limits
    from xent_cli.core.options import Outputs
    from xent_cli.readers.pair.paired_inputs import Pair


def with_divergence(wanted: Outputs, flags: OutputFlags, loss: LossFlags, limits: Limits | None, pair: Pair) -> Outputs:
    """Add the divergences from a teacher to compute: those requested, and those with a limit.

    Raises
    ------
    UsageError
        If an option requires a teacher and there is none.
    """
    if loss.labels_from == "labels":
        for option, asked in (("--divergence", flags.divergence != "kl"), ("--top-by kl", flags.top_by == "kl")):
            if asked:
                raise UsageError(f"{option} requires a teacher", hint="--labels-from says that LABELS are its outputs")
        return wanted
    from xent_cli.core.kernel.teacher_figures import FIGURES
    from xent_cli.core.metrics import field_of

    limited = () if limits is None else (field_of(limit.metric) for limit in limits.thresholds)
    figures = frozenset(FIGURES) if flags.divergence == "all" else frozenset(FIGURES) & frozenset(limited)
    # The divergences, those at true labels, and if rows are partial both bounds and llama.cpp's own figure.
    states = wanted.states + 1 + ("true_labels" in pair.fields) + 3 * pair.partial
    return wanted._replace(divergences=figures, states=states, worst_by_kl=flags.top_by == "kl")
