"""Pictures of the losses, drawn by matplotlib; equal data give equal bytes."""

from __future__ import annotations

import re
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from xent_cli.core.totals.histogram import HUGE, TINY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from xent_cli.core.confidence.calibration import ReliabilityBin
    from xent_cli.core.totals.histogram import Histogram

_INK, _BAR, _LINE, _GRID = "#1b1f24", "#2563a8", "#b4451f", "#c9ced4"
# In a page, colours come from its style sheet, so that they follow the light or dark scheme.
_VARIABLES = {_INK: "var(--ink)", _BAR: "var(--bar)", _LINE: "var(--line)", _GRID: "var(--grid)"}
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "xent",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _GRID,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.formatter.useoffset": False,
}
_SIZE = (5.6, 3.4)


def save_histogram(histogram: Histogram, stream: BinaryIO, form: str) -> None:
    """Write the histogram of the losses as "svg" or "png"."""
    with _settings():
        figure = _figure()
        _draw_histogram(figure.gca(), histogram)
        figure.gca().set_title(_beyond(histogram), fontsize=10)
        metadata = {"Software": None} if form == "png" else _NO_METADATA
        figure.savefig(stream, format=form, dpi=150, metadata=metadata)


def histogram_svg(histogram: Histogram, description: str, name: str = "histogram", label: str = "loss in nats") -> str:
    """Return a histogram as an element for a page; in these functions, `description` says in words what it shows."""
    with _settings():
        figure = _figure()
        _draw_histogram(figure.gca(), histogram, label)
        return _element(figure, name, description)


def cumulative_svg(histogram: Histogram, description: str) -> str:
    """Return the share of all samples (with losses 0, inf and NaN) whose loss is below x, as an element for a page."""
    with _settings():
        figure = _figure()
        axes = figure.gca()
        edges = [histogram.bars[0].low, *(bar.high for bar in histogram.bars)]
        below = np.cumsum([histogram.n_tiny, *(bar.samples for bar in histogram.bars)]) / histogram.size
        axes.plot(edges, below, color=_LINE, linewidth=2)
        _scale(axes, histogram)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("share of samples below")
        return _element(figure, "cumulative", description)


def reliability_svg(bins: Sequence[ReliabilityBin], description: str) -> str:
    """Return accuracy by confidence, with the diagonal of perfect calibration, as an element for a page."""
    with _settings():
        figure = _figure()
        axes = figure.gca()
        lows, widths = [b.low for b in bins], [b.high - b.low for b in bins]
        shares = [b.correct / b.samples for b in bins]
        axes.bar(lows, shares, width=widths, align="edge", color=_BAR, edgecolor=_INK, linewidth=0.8, label="accuracy")
        axes.plot([0, 1], [0, 1], color=_INK, linestyle="--", linewidth=1, label="perfectly calibrated")
        axes.plot(
            [b.confidence for b in bins], shares, color=_LINE, marker="o", linestyle="", label="mean confidence in bin"
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        figure.legend(loc="outside upper left", frameon=False, fontsize=9, ncols=3, columnspacing=1.2)
        return _element(figure, "reliability", description)


_NO_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


def _settings() -> Any:
    # From matplotlib's defaults, so that a user's own settings do not change the picture.
    style: Any = {**mpl.rcParamsDefault, **_STYLE}
    del style["backend"]
    return mpl.rc_context(style)


def _figure() -> Figure:
    figure = Figure(figsize=_SIZE, layout="constrained")
    figure.add_subplot()
    return figure


def _draw_histogram(axes: Axes, histogram: Histogram, label: str = "loss in nats") -> None:
    lows = [bar.low for bar in histogram.bars]
    widths = [bar.high - bar.low for bar in histogram.bars]
    counts = [bar.samples for bar in histogram.bars]
    axes.bar(lows, counts, width=widths, align="edge", color=_BAR, edgecolor=_INK, linewidth=0.6)
    _scale(axes, histogram, label)
    axes.set_ylabel("samples")
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(_plainly)
    filled = [count for count in counts if count]
    # On a linear scale, a few tall bars would hide the others.
    if filled and max(filled) > 200 * min(filled):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plainly)
        axes.set_ylim(bottom=0.5)
        axes.set_ylabel("samples (log scale)")


def _scale(axes: Axes, histogram: Histogram, label: str = "loss in nats") -> None:
    axes.set_xlabel(f"{label} (log scale)" if histogram.logarithmic else label)
    if histogram.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(_ticks(histogram.bars[-1].high / histogram.bars[0].low))
        axes.xaxis.set_major_formatter(_plainly)
        # matplotlib also labels the small ticks of a short axis, and the labels overlap.
        axes.xaxis.set_minor_formatter(NullFormatter())
    if histogram.bars:
        axes.set_xlim(histogram.bars[0].low, histogram.bars[-1].high)


def _ticks(ratio: float) -> LogLocator:
    """Choose numbers that do not overlap on a logarithmic axis whose ends have this ratio, which is above 10."""
    subs = next(subs for most, subs in ((1e2, (1, 2, 5)), (1e3, (1, 3)), (np.inf, (1,))) if ratio < most)
    return LogLocator(subs=subs, numticks=7)


def _plainly(value: float, position: float) -> str:
    return f"{value:,.0f}" if 1 <= value < 1e6 else f"{value:g}"


def _beyond(histogram: Histogram) -> str:
    """Return a note on the losses that are beyond the axis."""
    parts = [f"{histogram.size:,} samples"]
    named = (
        (f"below {TINY:.1g}", histogram.n_tiny),
        (f"above {HUGE:.1g} or infinite", histogram.n_huge),
        ("NaN", histogram.n_nan),
    )
    return ", ".join([*parts, *(f"{n:,} {name} not drawn" for name, n in named if n)])


def _element(figure: Figure, name: str, description: str) -> str:
    """Return SVG that can be part of a page: no prolog, address, font or fixed colour, and ids unique in the page."""
    stream = BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata=_NO_METADATA)
    text = stream.getvalue().decode()
    body = re.sub(r"<defs>\s*<style.*?</defs>|<!--.*?-->", "", text[text.index("<g ") :], flags=re.DOTALL)
    used = set(re.findall(r"#(\w+)[\")]", body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r"(?:xlink:)?href=\"#|url\(#", lambda found: f"{found[0].removeprefix('xlink:')}{name}-", body)
    body = body.replace("'DejaVu Sans', sans-serif", "sans-serif").replace("'DejaVu Sans'", "sans-serif")
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    width, height = (72 * inches for inches in figure.get_size_inches())
    label = escape(description, quote=True)
    head = f'<svg role="img" aria-label="{label}" viewBox="0 0 {width:g} {height:g}"><title>{label}</title>'
    return head + re.sub(r"\s*\n\s*", " ", body)
