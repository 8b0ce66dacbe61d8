"""A fitted temperature as lines of `metric<TAB>value`, and as rows for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.number_text import plain_value
from xent_cli.reports.calibration.json import FIGURES

if TYPE_CHECKING:
    from xent_cli.core.confidence.temperature import TemperatureFit


def plain_fit(fit: TemperatureFit) -> str:
    """Return one line per figure, at full precision."""
    figures = {"temperature": fit.temperature, "se_temperature": fit.se_temperature}
    lines = [f"{name}\t{plain_value(value)}" for name, value in figures.items()]
    lines.append(f"n_samples\t{fit.before.n_samples}")
    lines += [] if fit.n_clusters is None else [f"n_clusters\t{fit.n_clusters}"]
    lines.append(f"passes\t{fit.passes}")
    lines.append(f"calibration_gain\t{plain_value(fit.gain)}")
    lines += [f"{when}.{name}\t{plain_value(value)}" for name, *values in rows_of(fit) for when, value in values]
    return "\n".join(lines) + "\n"


def rows_of(fit: TemperatureFit) -> list[tuple[str, *tuple[tuple[str, float], ...]]]:
    """Return each figure that a temperature changes: its name, and its values before, after and with folds held out."""
    stages = {"before": fit.before, "after": fit.after}
    if fit.held_out is not None:
        stages["held_out"] = fit.held_out
    found = {when: summary.as_dict() for when, summary in stages.items()}
    return [(name, *((when, float(figures[name] or 0.0)) for when, figures in found.items())) for name in FIGURES]
