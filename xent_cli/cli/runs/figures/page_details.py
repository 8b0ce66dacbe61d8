"""What a page shows beyond the figures of a run."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from xent_cli.cli.runs.declared_kind import line_with
from xent_cli.errors import without_secrets
from xent_cli.reports.interface import Details

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin
    from xent_cli.core.totals.run_totals import RunTotals
    from xent_cli.readers.pair.paired_inputs import Pair


def page_details(totals: RunTotals, pair: Pair, first_class: int, origin: Origin) -> Details:
    """Return the distributions and lists of a run, its command line, and when it ran."""
    losses = totals.losses
    assert losses.quantiles is not None
    by, worst = losses.listed
    kl = None if losses.divergence is None else losses.divergence.spreads.get("kl_divergence")
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
    )


def _now() -> str:
    """Return the time in UTC to the minute; builds that must give equal bytes say it in SOURCE_DATE_EPOCH."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return now.strftime("%Y-%m-%d %H:%M UTC")
