"""What a page shows besides the figures of a run, and the reports of a comparison."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from xent_cli import reports
from xent_cli.cli.display import present
from xent_cli.cli.runs.inputs.declared_kind import line_with
from xent_cli.cli.runs.outputs.output_paths import Named, refuse_overlap
from xent_cli.core.totals.divergence_totals import FACE, HIGH, KL, LOW
from xent_cli.errors import without_secrets
from xent_cli.readers.storage.reading import timeout
from xent_cli.reports.details import Details
from xent_cli.writers.publish import Publication

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.cli.options import Origin
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.core.run_totals import RunTotals
    from xent_cli.core.statistics.comparison import Comparison
    from xent_cli.core.totals.divergence_totals import DivergenceTotals, Spread
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.readers.pair.paired_inputs import Pair


def page_details(totals: RunTotals, pair: Pair, first_class: int, origin: Origin) -> Details:
    """Return the distributions and lists of a run, its command line, and the time."""
    losses = totals.losses
    assert losses.quantiles is not None
    by, worst = losses.listed
    if losses.n_bounded:  # NaN losses stand for bounded ones, which are not the highest
        worst = tuple(sample for sample in worst if not math.isnan(sample.loss))
    kl, known = (None, "") if losses.divergence is None else _distribution(losses.divergence)
    return Details(
        losses.quantiles,
        worst,
        totals.calibration,
        pair.class_names,
        pair.id_name,
        by,
        first_class,
        pair.num_classes,
        without_secrets(line_with(origin)),
        _now(),
        None if kl is None or kl.low < 0 else kl.quantiles,
        known,
    )


def _distribution(divergence: DivergenceTotals) -> tuple[Spread | None, str]:
    """Return the distribution of the divergences or, if some are only bounded, of their bounds, and which it is."""
    spreads = divergence.spreads
    if not divergence.n_bounded:
        return spreads.get(KL), ""
    if FACE in spreads:
        return spreads[FACE], "at face value"
    return (spreads[HIGH], "at most") if spreads[HIGH].high < math.inf else (spreads[LOW], "at least")


def save_plot(losses: LossTotals, stream: BinaryIO, form: str) -> None:
    """Draw the histogram of the losses."""
    from xent_cli.core.totals.histogram import BARS, histogram
    from xent_cli.reports.summary.plot import save_histogram

    assert losses.quantiles is not None
    save_histogram(histogram(losses.quantiles, BARS), stream, form)


def reported(
    compare: Callable[[], Comparison], results: tuple[str, ...], output: OutputPlan, origin: Origin
) -> Comparison:
    """Compare saved results, and write the reports that were asked for; they appear together, or not at all.

    Raises
    ------
    UsageError
        Before any work, if a report would replace one of the results.
    XentError
        Before any work, if a page needs packages that are missing.
    """
    outputs = [Named("--report", target.path) for target in output.reports if not target.appended]
    inputs = [Named("a result", text) for text in results]
    inputs += [Named("a result", text.partition("=")[2]) for text in results if "=" in text]
    refuse_overlap(inputs, outputs)
    if output.has_page:
        reports.load("comparison.html")
    with Publication(timeout.get(), None if output.quiet else present.note_waiting) as files:
        streams = [files.file(target.path, append=target.appended) for target in output.reports]
        comparison = compare()
        for target, stream in zip(output.reports, streams, strict=True):
            stream.write(_comparison_text(target.form, comparison, origin).encode())
    return comparison


def _comparison_text(form: str, comparison: Comparison, origin: Origin) -> str:
    if form == "json":
        from xent_cli.reports.comparison.json import as_json
        from xent_cli.reports.strict_json import json_text

        return json_text(as_json(comparison))
    if form == "md":
        from xent_cli.reports.comparison.text import markdown_changes

        return markdown_changes(comparison)
    if form == "html":
        from xent_cli.reports.comparison import html

        return html.render(comparison, without_secrets(line_with(origin)), _now())
    from xent_cli.reports.comparison import junit

    return junit.render(comparison)


def _now() -> str:
    """Return the time in UTC to the minute; reproducible builds set it with SOURCE_DATE_EPOCH."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return now.strftime("%Y-%m-%d %H:%M UTC")
