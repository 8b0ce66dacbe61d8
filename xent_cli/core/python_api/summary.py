"""The figures that `evaluate` returns, for notebooks and for pandas."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.number_text import rounded
from xent_cli.core.totals import summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

# A notebook shows this many slices.
_SHOWN = 20
_OF_A_SLICE = ("n_samples", "mean_loss", "max_loss", "accuracy")


class Slice(NamedTuple):
    """The figures of the samples that share a value; `value` is None for those without one."""

    by: str
    value: str | None
    summary: summary.LossSummary


@dataclass(frozen=True, slots=True)
class LossSummary(summary.LossSummary):
    """The figures of `evaluate`: those of all samples, and of every slice that was requested.

    Fields
    ------
    slices
        Figures for each value of `by`; () without it.

    Examples
    --------
    >>> from xent_cli import evaluate
    >>> found = evaluate([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [2, 0])
    >>> found.to_frame()[["n_samples", "mean_loss"]].round(4)
       n_samples  mean_loss
    0          2     1.4076
    """

    slices: tuple[Slice, ...] = ()

    @classmethod
    def of(cls, figures: summary.LossSummary, slices: Iterable[Slice] = ()) -> LossSummary:
        """Return the figures of a run with those of its slices."""
        own = {field.name: getattr(figures, field.name) for field in fields(summary.LossSummary)}
        return cls(**own, slices=tuple(slices))

    def to_frame(self) -> pd.DataFrame:
        """Return the figures as a frame with one row and a column for each figure.

        With slices, their rows follow, and the columns `by` and `value` come first, missing in the row of all samples.
        """
        import pandas as pd

        rows: list[dict[str, object]] = [{**self.as_dict()}]
        if self.slices:
            rows = [{"by": None, "value": None, **self.as_dict()}]
            rows += [{"by": entry.by, "value": entry.value, **entry.summary.as_dict()} for entry in self.slices]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """Return a table for a notebook, with rounded figures, warnings first."""
        parts = [f"<p><b>{escape(warning.code)}</b>: {escape(warning.message)}</p>" for warning in self.warnings]
        parts.append(_table(("figure", "value"), ((name, _cell(value)) for name, value in self.as_dict().items())))
        if self.slices:
            shown = ((entry, entry.summary.as_dict()) for entry in self.slices[:_SHOWN])
            rows = (
                (entry.by, entry.value or "", *(_cell(found.get(name)) for name in _OF_A_SLICE))
                for entry, found in shown
            )
            parts.append(_table(("by", "value", *_OF_A_SLICE), rows))
        if len(self.slices) > _SHOWN:
            parts.append(f"<p>{len(self.slices) - _SHOWN} more slices; to_frame() has them all</p>")
        return "\n".join(parts)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(heads, 'th')}</thead><tbody>{body}</tbody></table>"


def _cell(value: float | int | bool | None) -> str:
    if value is None:
        return ""
    return rounded(value) if isinstance(value, float) else str(value).lower()
