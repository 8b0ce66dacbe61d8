"""Labels, weights and masks in separate files, read over the same row ranges as the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.block import Rows
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from xent_cli.core.block import Part
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.readers.interface import Source
    from xent_cli.readers.pair.join import Joined
    from xent_cli.readers.pair.shifted_labels import Documents, ShiftedFollower

# The columns that shift together with the label.
BESIDE = frozenset(Rows._fields) - {"logits", "absent"}


def follow(
    source: Source, logits: Source, what: str, *, join: str | None, shift: int, documents: Documents | None
) -> Follower | Joined:
    """Read an input over the row ranges of the logits, or join it to them by a column if the user asks for that.

    Parameters
    ----------
    what, shift, documents
        As in `Follower`.
    join
        Column of the logits by which tables are joined, or None.
    """
    if join is not None and source.info.plan is not None:
        from xent_cli.readers.pair.ids import SharedId, column_in
        from xent_cli.readers.pair.join import Joined

        there = column_in(source.info.plan, join)
        if there is not None:
            return Joined(source, logits, SharedId(join, there), what)
    return Follower(source, logits, what, shift, documents)


class Follower:
    """Reads an input over the same row ranges as the logits.

    Parameters
    ----------
    what
        The name of its values in errors.
    shift
        Logits at position t belong to its row at t + shift.
    documents
        Documents of the logits, if the input is shifted within them.
    """

    def __init__(self, source: Source, logits: Source, what: str, shift: int, documents: Documents | None) -> None:
        self._source = source
        self._logits = logits
        self._shift = shift
        self._documents = documents
        self._what = what
        self._parts = source.parts()
        self._shifted: ShiftedFollower | None = None
        if documents is not None and source.rows(0, 1) is None:
            from xent_cli.readers.pair.shifted_labels import ShiftedFollower

            self._shifted = ShiftedFollower(source, shift, documents, BESIDE & source.info.fields | {"unscored"})
        self._waiting: list[Rows] = []
        self._stop = 0

    def take(self, start: int, stop: int) -> Part:
        """Return the recipe for samples `start` to `stop`; it must be called in order."""
        rows = self._source.info.num_rows
        if rows is not None and rows < stop:
            raise self._other_length(rows)
        if self._shifted is not None:
            shifted = self._shifted.take(start, stop)
            if shifted is None:
                raise self._other_length(self._shifted.stop)
            return shifted
        if self._documents is not None:
            from xent_cli.readers.pair.shifted_labels import ShiftedRows

            return ShiftedRows(self._source, start, stop, self._shift, self._documents.cut(start, stop))
        direct = self._source.rows(start, stop)
        if direct is not None:
            return direct
        while self._stop < stop:
            found = next(self._parts, None)
            if found is None:
                raise self._other_length(self._stop)
            self._waiting.append(found[2].read())
            self._stop = found[0] + found[1]
        whole = Rows.concatenate(self._waiting)
        kept = stop - self._stop or None
        self._waiting = [] if kept is None else [whole.cut(slice(kept, None))]
        return whole.cut(slice(None, kept))

    def finish(self, stop: int) -> tuple[Diagnostic, ...]:
        """Refuse rows after the last sample."""
        rows = self._source.info.num_rows
        if rows is None and self._shifted is not None:
            rows = self._shifted.rest()
        if rows is None:
            rows = self._stop + sum(size for _, size, _ in self._parts)
        elif self._stop == stop:
            next(self._parts, None)  # a stream may hold more rows than its header says
        if rows != stop:
            raise self._other_length(rows, stop)
        return ()

    def _other_length(self, rows: int, stop: int | None = None) -> InputError:
        logits = self._logits
        if stop is None:
            stop = logits.info.num_rows or sum(size for _, size, _ in logits.parts())
        return other_length(logits, self._source, self._what, stop, rows)


def other_length(logits: Source, other: Source, what: str, num_logits: int | None, num_other: int | None) -> InputError:
    """Return the error for inputs of different length, with a hint if they can be joined by ids."""
    from xent_cli.readers.pair.ids import join_hint, shared_id

    shared = shared_id(logits, other, None)
    hint = "" if shared is None else join_hint(shared.ours)
    if num_logits is not None and num_other is not None and abs(num_logits - num_other) == 1:
        hint = hint or _first_lines(logits, other)
    if not hint:
        from xent_cli.readers.pair.misfit import same_samples

        hint = same_samples(num_logits, num_other)
    return InputError(
        "inputs of different length",
        f"{logits.info.path}, {other.info.path}",
        found=f"{num_logits} rows of logits, {num_other} {what}",
        expected=f"as many {what} as rows of logits",
        hint=hint,
    )


def _first_lines(*sources: Source) -> str:
    """If the lengths differ by one, say whether the first lines of text were read as names or as rows."""
    said: list[str] = []
    for source in sources:
        lines = getattr(source, "header_lines", None)
        if lines is not None:
            taken = "the names of the columns" if lines else "a row"
            said.append(f"the first line of {source.info.path} was taken for {taken}")
    return f"{', and '.join(said)}: --header or --no-header says what they are" if said else ""
