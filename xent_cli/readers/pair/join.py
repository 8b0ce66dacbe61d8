"""Find the rows of a table by the ids of the logits, in any order."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.checks.same_samples import plain_id
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import InputError, more_rows
from xent_cli.readers.pair.ids import SharedId, column_in, ids_alone, with_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.readers.interface import Source


class Joined:
    """An input that is joined to the logits by a column; it is kept in memory, unlike the logits.

    Parameters
    ----------
    column
        Name of the column in the logits and in the source.
    what
        The name of its values in errors, such as "labels".
    """

    def __init__(self, source: Source, logits: Source, column: SharedId, what: str) -> None:
        self._source = source
        self._logits = logits
        self._column = column.ours
        self._what = what
        self._ids = _ids_of(ids_alone(logits, column.ours))
        self._waiting: AnyArray = np.empty(0, object)
        self._stop = 0
        self._rows, self._places = _held(with_ids(source, column.theirs), column.theirs)
        self._used = np.zeros(len(self._places), np.bool_)

    def take(self, start: int, stop: int) -> Rows:
        """Return the rows of samples `start` to `stop`; it must be called in order."""
        while self._stop < stop:
            found = next(self._ids)
            self._waiting = np.concatenate([self._waiting, found])
            self._stop += len(found)
        ids, self._waiting = self._waiting[: stop - start], self._waiting[stop - start :]
        places = np.fromiter((self._places.get(key, -1) for key in ids), np.int64, len(ids))
        if (places < 0).any():
            raise self._missing(start, ids, places < 0)
        counts = np.bincount(places, minlength=len(self._used))
        if (counts > 1).any() or self._used[places].any():
            again = counts[places] > 1 if (counts > 1).any() else self._used[places]
            row = int(np.flatnonzero(again)[-1])
            raise _repeated(self._logits, start + row, ids[row], self._column)
        self._used[places] = True
        return Rows(*(None if values is None else values[places] for values in _fields(self._rows)))

    def finish(self, stop: int) -> Iterator[Diagnostic]:
        """Refuse rows that belong to no sample."""
        unused = np.flatnonzero(~self._used)
        if unused.size:
            first = next(key for key, place in self._places.items() if place == unused[0])
            there, here = self._source.info.path, self._logits.info.path
            unmatched = f'{unused.size} of {len(self._used)} rows of {there} have a value of "{self._column}"'
            message = f'{unmatched} that no row of {here} has (first: "{first}"); they are left out'
            yield Diagnostic("rows-not-joined", message)

    def _missing(self, start: int, ids: AnyArray, missing: AnyArray) -> InputError:
        row = int(np.argmax(missing))
        left = np.concatenate([ids, self._waiting, *self._ids])
        others = sum(key not in self._places for key in left) - 1
        if ids[row] is None:
            return _no_id(self._logits, start + row, self._column)
        return InputError(
            f"sample without {self._what}",
            with_ids(self._logits, self._column).where(start + row, "ids"),
            found=f'"{ids[row]}"',
            expected=f'a row of {self._source.info.path} whose "{self._column}" is that',
            more=more_rows(others),
        )


def joined_row(logits: Source, source: Source, column: str, row: int) -> int:
    """Return which row of a table is joined to a sample of the logits."""
    there = column_in(source.info.plan, column) or column
    wanted = next(islice(chain.from_iterable(_ids_of(ids_alone(logits, column))), row, None))
    ids = chain.from_iterable(_ids_of(ids_alone(source, there)))
    return next(place for place, value in enumerate(ids) if value == wanted)


def _ids_of(source: Source) -> Iterator[AnyArray]:
    """Return the ids of all samples, normalised for comparison."""
    for _, _, part in source.parts():
        ids = part.read().ids
        assert ids is not None
        yield np.array([plain_id(value) for value in ids], object)


def _held(source: Source, column: str) -> tuple[Rows, dict[str, int]]:
    """Return all rows of a table without their ids, and the number of the row of each id."""
    parts, places = [], {}
    repeats: list[tuple[int, str]] = []
    for start, _, part in source.parts():
        rows = part.read()
        assert rows.ids is not None
        for row, value in enumerate(rows.ids, start):
            key = plain_id(value)
            if key is None:
                raise _no_id(source, row, column)
            if key in places:
                repeats.append((row, key))
            places[key] = row
        # Copied: the memory may be reused when the next part is read.
        parts.append(Rows(*(None if values is None else values.copy() for values in _fields(rows))))
    if repeats:
        raise _repeated(source, *repeats[0], column, len(repeats) - 1)
    return Rows.concatenate(parts), places


def _fields(rows: Rows) -> list[AnyArray | None]:
    return [None if name == "ids" else getattr(rows, name) for name in Rows._fields]


def _repeated(source: Source, row: int, key: str, column: str, others: int = 0) -> InputError:
    return InputError(
        "id that repeats",
        with_ids(source, column).where(row, "ids"),
        found=f'"{key}" again',
        expected="each id once, to join by it",
        more=more_rows(others),
    )


def _no_id(source: Source, row: int, column: str) -> InputError:
    where = with_ids(source, column).where(row, "ids")
    return InputError("row without an id", where, found="nothing", expected="an id, to join by it")
