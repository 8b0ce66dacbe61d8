"""A fitted temperature as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.number_text import rounded
from xent_cli.reports.calibration.text import rows_of
from xent_cli.reports.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.reports.calibration.json import CalibrationDocument


def print_fit(console: Console, document: CalibrationDocument) -> None:
    """Print the temperature in a sentence, and what it does to the figures."""
    fit = document.fit
    among = f"{fit.before.n_samples:,} samples"
    among += "" if fit.n_clusters is None else f" in {fit.n_clusters:,} clusters ({document.clusters})"
    sentence = f"temperature {rounded(fit.temperature)}, standard error {rounded(fit.se_temperature)}, of {among}"
    console.print(sentence, style="bold", markup=False, soft_wrap=True)
    rows = rows_of(fit)
    heads = ["metric", *(when.replace("_", " ") for when, _ in rows[0][1:])]
    print_table(console, heads, [[name, *(rounded(value) for _, value in values)] for name, *values in rows])
    if fit.fold_temperatures:
        low, high = min(fit.fold_temperatures), max(fit.fold_temperatures)
        folds = f"held out: {len(fit.fold_temperatures)} folds, temperatures {rounded(low)} to {rounded(high)}"
        console.print(folds, markup=False, soft_wrap=True)
