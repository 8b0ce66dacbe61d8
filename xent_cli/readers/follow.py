"""Labels and weights in files of their own: cut where the logits are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xent_cli.core.block import Rows
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.core.block import Part
    from xent_cli.core.findings import Finding
    from xent_cli.readers.interface import Source
    from xent_cli.readers.join import Joined
    from xent_cli.readers.paired import Pair


def follow(source: Source, pair: Pair, what: str) -> Follower | Joined:
    """Let an input go along with the logits row by row, or join it to them where that was asked for."""
    if pair.join is not None and source.plan is not None and pair.join in source.plan.columns:
        from xent_cli.readers.join import Joined

        return Joined(source, pair.logits, pair.join, what)
    return Follower(source, pair, what)


class Follower:
    """An input that goes along with the logits: cut where they are cut; `what` names its values in an error."""

    def __init__(self, source: Source, pair: Pair, what: str) -> None:
        self._source = source
        self._pair = pair
        self._what = what
        self._parts = source.parts()
        self._waiting: list[Rows] = []
        self._stop = 0

    def take(self, start: int, stop: int) -> Part:
        """Recipe for samples `start` to `stop`; these must be asked for in order."""
        rows = self._source.num_rows
        if rows is not None and rows < stop:
            raise self._other_length(rows)
        shift = self._pair.shift
        if shift and self._source is self._pair.labels:
            from xent_cli.readers.shifted import ShiftedRows

            return ShiftedRows(self._source, start, stop, shift, self._pair.time_steps)
        direct = self._source.rows(start, stop)
        if direct is not None:
            return AsWeights(direct) if self._source is self._pair.weights else direct
        while self._stop < stop:
            found = next(self._parts, None)
            if found is None:
                raise self._other_length(self._stop)
            self._waiting.append(found[2].read())
            self._stop = found[0] + found[1]
        whole = Rows.concatenate(self._waiting)
        kept = stop - self._stop or None
        self._waiting = [] if kept is None else [whole.cut(slice(kept, None))]
        taken = whole.cut(slice(None, kept))
        return AsWeights(taken) if self._source is self._pair.weights else taken

    def finish(self, stop: int) -> tuple[Finding, ...]:
        """Refuse rows beyond the last sample."""
        rows = self._source.num_rows
        if rows is None:
            rows = self._stop + sum(size for _, size, _ in self._parts)
        if rows != stop:
            raise self._other_length(rows, stop)
        return ()

    def _other_length(self, rows: int, stop: int | None = None) -> InputError:
        logits = self._pair.logits
        if stop is None:
            stop = logits.num_rows or sum(size for _, size, _ in logits.parts())
        return other_length(logits, self._source, self._what, stop, rows)


@dataclass(frozen=True, slots=True)
class AsWeights:
    """Recipe for weights that a reader takes for labels: one number a sample, either way."""

    part: Part

    def read(self) -> Rows:
        """Read the weights."""
        rows = self.part.read()
        return Rows(weights=rows.weights if rows.labels is None else rows.labels)


def other_length(logits: Source, other: Source, what: str, num_logits: int | None, num_other: int | None) -> InputError:
    """Say how many there are of either."""
    return InputError(
        "inputs of different length",
        f"{logits.description.path}, {other.description.path}",
        found=f"{num_logits} rows of logits, {num_other} {what}",
        expected=f"as many {what} as rows of logits",
    )
