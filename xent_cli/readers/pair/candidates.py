"""Losses and gradients of another program, opened for comparison with those of the logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xent_cli.core.checks.same_samples import OtherIdError
from xent_cli.core.labels.class_order import columns_named, order_of
from xent_cli.core.number_text import shape_text
from xent_cli.core.verify.verify_block import VerifyTask
from xent_cli.errors import InputError, RowError, UsageError
from xent_cli.readers.binary_scores import BinaryScores
from xent_cli.readers.class_names import other_names
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.bad_rows import complete
from xent_cli.readers.pair.ids import column_in, nameless, shared_id, with_ids, with_plan
from xent_cli.readers.pair.misfit import unlike
from xent_cli.readers.shards import cut_alike
from xent_cli.readers.storage.locate import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part, Rows
    from xent_cli.core.input_description import InputDescription
    from xent_cli.readers.interface import Source
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.readers.storage.locate import Located

    Shape = tuple[int | None, ...]

_FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input that is compared with the reference.

    Fields
    ------
    name
        "loss" or "gradient".
    source
        The values, [n] or [n, 1] losses or [n, k] gradients, opened as if they were logits.
    dtype
        The dtype that they were computed in: "float16", "bfloat16", "float32" or "float64".
    """

    name: str
    source: Source
    dtype: str

    def description(self, num_rows: int) -> InputDescription:
        """Describe the input, once the number of rows is known."""
        found = self.source.info.description
        return found._replace(shape=tuple(num_rows if side is None else side for side in found.shape))

    def complete(self, error: RowError, pair: Pair) -> InputError:
        """Add the location of a row in the file."""
        if isinstance(error, OtherIdError):
            return unlike(error, self.source, pair.logits)
        return complete(error, self.source, "logits")


def open_losses(path: str, pair: Pair, column: str | None, dtype: str | None) -> Candidate:
    """Open per-sample losses: an array of the samples, flat or in their shape, or a column of a table.

    Parameters
    ----------
    column
        Name of the column or array; None for "loss" or, if there is none of that name, the only one.
    dtype
        The dtype that the losses were computed in; None to use that of the file.

    Raises
    ------
    InputError
        If the file cannot be read, or its shape does not fit that of the logits.
    """
    source = _open(locate(path), "loss", column, dtype, None)
    shape, logits = _shape_of(source, pair), pair.logits
    rows = logits.info.num_rows if logits.info.num_rows is not None else source.info.num_rows
    samples: Shape = (rows,) if logits.info.sample_shape is None else logits.info.sample_shape
    fits = any(_fits(shape, other) for other in (samples, (*samples, 1), (rows,), (rows, 1)))
    if not fits and not cut_alike(source, logits):
        one_number = shape in ((), (1,), (1, 1))
        hint = "--reduction mean, or sum, says it is one number" if one_number else ""
        hint = hint or ("name the column with --loss-column" if source.info.class_names else "")
        raise _shape_error(path, "losses", shape, samples, pair, hint)
    return Candidate("loss", source, _dtype_of(source, dtype))


def open_gradient(path: str, pair: Pair, axis: int, column: str | None, dtype: str | None) -> Candidate:
    """Open gradients: shaped like the logits, or as [n, k] with all samples along the first axis.

    Parameters
    ----------
    axis
        Class axis of the logits.
    column, dtype
        As for `open_losses`.

    Raises
    ------
    InputError
        If the file cannot be read, or its shape does not fit that of the logits.
    """
    logits = pair.logits
    full = logits.info.shape
    located = locate(path)
    source = _by_class(_open(located, "gradient", column, dtype, None), pair)
    shape = _shape_of(source, pair)
    alike = _fits(shape, full) and (
        None not in full or source.info.plan is not None or cut_alike(source, logits, by_class=True)
    )
    scores = isinstance(logits, BinaryScores)
    if not alike and (scores or not _fits(shape, (logits.info.num_rows, pair.num_classes))):
        raise _shape_error(path, "gradient", shape, full, pair)
    if source.info.plan is None:
        flat = scores and len(full) == 1
        source = _open(located, "gradient", column, dtype, None if flat else axis if alike else -1)
    return Candidate("gradient", source, _dtype_of(source, dtype))


def read_number(path: str, column: str | None, dtype: str | None) -> tuple[float, Candidate]:
    """Read a single number, a mean or a sum, and describe where it comes from.

    Raises
    ------
    InputError
        If the file does not hold exactly one number.
    """
    source = _open(locate(path), "loss", column, dtype, None)
    values: list[float] = []
    for _, _, part in source.parts():
        found = part.read().logits
        assert found is not None
        values += found.reshape(-1)[:2].astype(float).tolist()
        if len(values) > 1:
            break
    if len(values) != 1:
        raise InputError(
            "not one number",
            path,
            found=f"shape {shape_text(source.info.shape)}",
            expected="one reduced loss",
            hint="for per-sample losses, leave out --reduction",
        )
    return values[0], Candidate("loss", source, _dtype_of(source, dtype))


def by_ids(
    pair: Pair, candidates: tuple[Candidate, ...], asked: str | None, join: str | None
) -> tuple[Pair, tuple[Candidate, ...]]:
    """Check tables of candidates against the ids of the logits, or join them by id.

    Parameters
    ----------
    asked
        The column of ids that the user named.
    join
        The column by which tables are joined.

    Raises
    ------
    UsageError
        If there is nothing to join.
    """
    tables = {entry.name: entry.source for entry in candidates if entry.source.info.plan is not None}
    if join is not None:
        others = (*tables.values(), *(source for source in (pair.labels, pair.weights) if source is not None))
        if not any(column_in(source.info.plan, join) for source in others):
            raise UsageError(f'--join {join}: no second table has a column "{join}"')
        return pair, candidates
    # Labels may be compared by a column already.
    already = None if pair.logits.info.plan is None or pair.labels is None else pair.logits.info.plan.id
    shared = {name: shared_id(pair.logits, source, asked or already) for name, source in tables.items()}
    column = next((found.ours for found in shared.values() if found is not None), None)
    if column is None:
        return pair, candidates
    named = []
    for entry in candidates:
        found = shared.get(entry.name)
        alike = found is not None and found.ours == column
        named.append(replace(entry, source=with_ids(entry.source, found.theirs)) if found and alike else entry)
    return replace(pair, logits=with_ids(pair.logits, column)), tuple(named)


def held_blocks(pair: Pair, candidates: tuple[Candidate, ...]) -> Iterator[VerifyTask]:
    """Yield blocks of samples, with their losses and gradients from the candidates, in order.

    Raises
    ------
    InputError
        At the end, if an input turns out to have a different length.
    """
    words = {"loss": "losses", "gradient": "rows of gradients"}
    followers = {entry.name: pair.follow(entry.source, words[entry.name]) for entry in candidates}
    stop = 0
    for block in pair.tasks():
        stop = block.start + block.size
        parts: dict[str, Part] = {}
        for name, follower in followers.items():
            try:
                parts[name] = CandidateRows(name, follower.take(block.start, stop))
            except RowError as error:
                raise error.for_role(name) from None
        yield VerifyTask(block, parts)
    for follower in followers.values():
        follower.finish(stop)


@dataclass(frozen=True, slots=True)
class CandidateRows:
    """Recipe for some rows of a candidate; errors name the candidate."""

    name: str
    part: Part

    def read(self) -> Rows:
        """Read the rows."""
        try:
            return self.part.read()
        except RowError as error:
            raise error.for_role(self.name) from None


def _shape_of(source: Source, pair: Pair) -> Shape:
    """Return the shape, with any number of rows if these are found by id."""
    shape = source.info.shape
    joined = pair.join is not None and column_in(source.info.plan, pair.join) is not None
    return (None, *shape[1:]) if joined else shape


def _by_class(source: Source, pair: Pair) -> Source:
    """Return the table with its named columns in the order of the classes."""
    plan, names = source.info.plan, pair.class_names
    if plan is None or names is None or plan.is_list or nameless(source):
        return source
    values = columns_named(names, plan.columns) if len(plan.values) != len(names) else None
    if values is None:
        order = order_of(names, plan.values)
        if order is None and len(plan.values) == len(names):
            raise other_names(names, plan.values, source.info.path, f"the classes of {pair.logits.info.path}")
        values = plan.values if order is None else tuple(plan.values[place] for place in order)
    return with_plan(source, plan._replace(values=values))


def _open(located: Located, name: str, column: str | None, dtype: str | None, axis: int | None) -> Source:
    """Open a column or array by the given name, else by the usual name, else the only one in the file."""
    bfloat16 = "bfloat16" if dtype == "bfloat16" else None
    layout = ReadOptions(logits_column=(column or name,), logits_dtype=bfloat16, run=RunNeeds(values_only=True))
    try:
        try:
            return open_source(located, "logits", layout, Classes(axis))
        except InputError:
            if column is not None:
                raise
            return open_source(located, "logits", layout._replace(logits_column=()), Classes(axis))
    except InputError as error:
        expected = error.expected.replace("--logits-column", f"--{name}-column")
        hint = error.hint.replace("--logits-column", f"--{name}-column").replace("--logits-dtype", f"--{name}-dtype")
        raise InputError(error.what, error.where, error.found, expected, hint, error.more) from None


def _dtype_of(source: Source, dtype: str | None) -> str:
    found = source.info.dtype.name
    return dtype or (found if found in _FLOATS else "float64")


def _fits(shape: Shape, other: Shape) -> bool:
    """Whether shapes agree as far as they are known."""
    return len(shape) == len(other) and all(None in (a, b) or a == b for a, b in zip(shape, other, strict=True))


def _shape_error(path: str, what: str, shape: Shape, expected: Shape, pair: Pair, hint: str = "") -> InputError:
    logits = pair.logits.info.description
    return InputError(
        "shapes do not fit",
        f"{logits.path}, {path}",
        found=f"logits {shape_text(logits.shape)}, {what} {shape_text(shape)}",
        expected=f"{what} {shape_text(expected)}",
        hint=hint,
    )
