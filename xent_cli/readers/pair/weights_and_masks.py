"""Find sample weights, masks, units and groups in a column or file, and check that they fit the logits."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import InputError, UsageError, XentError, listing
from xent_cli.readers.arrays.choose_array import is_called
from xent_cli.readers.columns.weight_column import NAMES
from xent_cli.readers.groups import Groups, begins_with_a_value
from xent_cli.readers.interface import ARRAYS
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.follower import other_length
from xent_cli.readers.pair.ids import column_in
from xent_cli.readers.pair.repeated import repeat
from xent_cli.readers.shards import Shards, with_shards
from xent_cli.readers.storage.locate import locate
from xent_cli.readers.storage.reading import is_url
from xent_cli.readers.storage.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xent_cli.readers.interface import Role, Source
    from xent_cli.readers.options import GroupFile
    from xent_cli.readers.storage.locate import Located

_MAGIC = re.compile(r"[*?\[]")
_OPTIONS = {"weights": "--sample-weight", "mask": "--mask", "units": "--units"}
_VALUES = {"weights": "weights", "mask": "entries of the mask", "units": "units", "groups": "values"}


class NameOrFile(NamedTuple):
    """The column or the file that a user may have meant; None if it cannot be one."""

    column: str | None = None
    path: str | None = None


def name_or_file(given: str | None) -> NameOrFile:
    """Tell a column from a file: what has a slash is a file, what begins with ``column:`` a column.

    Examples
    --------
    >>> name_or_file("column:./x"), name_or_file("./x").column, name_or_file("x").path
    (NameOrFile(column='./x', path=None), None, 'x')
    """
    if given is None:
        return NameOrFile()
    if given.startswith("column:"):
        return NameOrFile(given.removeprefix("column:"))
    if given == "-" or "/" in given or is_url(given):
        return NameOrFile(path=given)
    return NameOrFile(given, given)


def open_weights(
    path: str | None, sources: Sequence[tuple[Located, Source]], options: ReadOptions
) -> tuple[Source | None, ReadOptions]:
    """Open weights from a file or from an array in an archive; also return the options that are left to handle.

    Parameters
    ----------
    sources
        The logits, and the labels if they are in a separate file.
    """
    if any(options.weight_column in names_in(located) for located, _ in sources):
        meant = NameOrFile(column=options.weight_column)
        return _open("weights", meant, sources, options), options._replace(weight_column=None)
    return None if path is None else _open("weights", NameOrFile(path=path), sources, options), options


def open_mask(sources: Sequence[tuple[Located, Source]], options: ReadOptions) -> Source | None:
    """Open a mask; None if there is none, or if it is a column of a table that is open already.

    Raises
    ------
    InputError
        If there is no such column or file, or if there are both, or if it does not fit the logits.
    """
    return None if options.mask is None else _open("mask", name_or_file(options.mask), sources, options)


def open_units(sources: Sequence[tuple[Located, Source]], options: ReadOptions) -> Source | None:
    """Open units from a file or an array; see `open_mask`.

    One value for each outer index of the samples, such as [batch] for [batch, time], is shared by all of its samples;
    the source repeats it.
    """
    return None if options.units is None else _open("units", name_or_file(options.units), sources, options)


def open_groups(
    sources: Sequence[tuple[Located, Source]], options: ReadOptions
) -> tuple[tuple[Source, ...], ReadOptions]:
    """Open the files and arrays that say which group each sample belongs to.

    Parameters
    ----------
    sources
        The logits, and the labels if they are in a separate file.

    Returns
    -------
    The sources, and the options, in which `by` keeps only the names of columns of tables.

    Raises
    ------
    InputError
        If a name may be a column or a file, or if the values do not fit the logits.
    """
    if options.join is not None and options.group_files:
        typed = options.group_files[0].typed
        raise UsageError(f"--join {options.join} and --by {typed}: the rows of a file of groups are matched one by one")
    logits, needs = sources[0][1], options.run
    plans = [source.info.plan for _, source in sources if source.info.plan is not None]
    columns = {name for plan in plans for name in plan.columns}
    found, by = [], list(options.by)
    for group in options.group_files:
        if group.typed in columns:
            _refuse_both(group, sources[0][1].info.path)
            continue
        by.remove(group.typed)
        layout = ReadOptions(by=(group.name,), header=options.header, run=needs)
        source = open_source(group.path, "groups", layout)
        if options.header is None and begins_with_a_value(source, logits, group.name):
            source = open_source(group.path, "groups", layout._replace(header=False))
        found.append(Groups(fit(source, logits, "groups", needs.task_bytes), group.name))
    for name in [name for name in by if name not in columns]:
        held = [located for located, _ in sources if name in names_in(located)]
        if held:
            by.remove(name)
            source = open_source(held[0], "groups", ReadOptions(by=(name,), run=needs))
            found.append(Groups(fit(source, logits, "groups", needs.task_bytes), name))
    return tuple(found), options._replace(by=tuple(by))


def _refuse_both(group: GroupFile, path: str) -> None:
    if Path(group.path).exists():
        raise InputError(
            "a column and a file of one name",
            path,
            found=f'a column "{group.typed}", and a file {group.path}',
            hint=f"--by column:{group.typed} is the column, --by {group.name}=./{group.path} the file",
        )


def _open(
    role: Role, meant: NameOrFile, sources: Sequence[tuple[Located, Source]], options: ReadOptions
) -> Source | None:
    logits, needs = sources[0][1], options.run
    held = [
        source for _, source in sources if source.info.plan is not None and meant.column in source.info.plan.columns
    ]
    archives = [located for located, _ in sources if meant.column is not None and meant.column in names_in(located)]
    if (held or archives) and meant.path is not None and _exists(meant.path):
        where = held[0].info.path if held else archives[0].name
        raise InputError(
            "a column and a file of one name",
            where,
            found=f'a column "{meant.column}", and a file {meant.path}',
            hint=f"{_OPTIONS[role]} column:{meant.column} is the column, {_OPTIONS[role]} ./{meant.path} the file",
        )
    if held:
        return None
    if archives:
        name = meant.column
        layout = ReadOptions(weight_column=name, mask_column=name, units_column=name, run=needs)
        return fit(open_source(archives[0], role, layout), logits, role, needs.task_bytes)
    if meant.path is None or not (meant.column is None or _exists(meant.path)):
        raise _nothing(role, meant, sources)
    source = open_source(meant.path, role, ReadOptions(header=options.header, run=needs))
    joined = options.join is not None and column_in(source.info.plan, options.join) is not None
    return source if joined else fit(source, logits, role, needs.task_bytes)


def unused_arrays(
    located: Located, source: Source, labels: str | None, *, weighted: bool, masked: bool
) -> Iterator[Diagnostic]:
    """Note arrays of an archive that are named like labels, weights or a mask and are not used.

    Parameters
    ----------
    labels
        The file that the labels are in, if it is another one.
    """
    held = names_in(located)
    for name in held if labels is not None else ():
        if is_called(name, "labels") and f"{located.name}:{name}" != source.info.path:
            message = f'labels: {labels}; array "{name}" of {located.name} is not used'
            yield Diagnostic("labels-from-file", message, note=True)
    for role, taken, option in (("weights", weighted, "--sample-weight-column"), ("mask", masked, "--mask")):
        for name in held:
            if not taken and name.lower() in NAMES[role] and f"{located.name}:{name}" != source.info.path:
                message = f'array "{name}" of {located.name} is not used; {option} {name} takes it'
                yield Diagnostic(f"unused-{role}", message, note=True)


def names_in(located: Located) -> list[str]:
    """Return the names of the arrays in an archive; none for anything else."""
    return [array.name for array in list_arrays(located)] if isinstance(located.files[0], Stored) else []


def fit(source: Source, logits: Source, role: str, task_bytes: int) -> Source:
    """Check that there is one value per sample, or one for each outer index: [batch] applies to [batch, time].

    Raises
    ------
    InputError
        If the shapes or the number of values do not fit.
    """
    ragged = isinstance(logits, Shards) and logits.ragged
    if (
        isinstance(source, Shards)
        and isinstance(logits, Shards)
        and ragged
        and len(source.shards) == len(logits.shards)
    ):
        pairs = zip(source.shards, logits.shards, strict=True)
        return with_shards(source, [fit(one, other, role, task_bytes) for one, other in pairs])
    samples, n = logits.info.sample_shape, logits.info.num_rows
    what = _VALUES[role]
    count = source.info.num_rows
    array = source.info.format in ARRAYS
    if not array and count is None and samples is not None and len(samples) > 1 and source.info.rereadable:
        count = sum(size for _, size, _ in source.parts())
    shape = source.info.sample_shape if array else (count,)
    if samples is None or shape is None or None in shape:
        if array and len(_plain(source.info.shape)) > 1:
            raise _unfit(source, logits, role)
        return source
    if (count == n and _is(shape, samples)) or _is(shape, (n,)):
        return source
    for outer in range(1, len(samples)):
        if _is(shape, samples[:outer]):
            return repeat(source, math.prod(samples[outer:]), task_bytes)
    if len(_plain(shape)) <= 1 and len(samples) == 1:
        raise other_length(logits, source, what, n, count)
    raise _unfit(source, logits, role)


def _is(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether a shape is the expected one, apart from axes of length 1 at the end."""
    return tuple(shape[: len(wanted)]) == tuple(wanted) and all(side == 1 for side in shape[len(wanted) :])


def _plain(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """Return a shape without axes of length 1 at the end."""
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def _exists(path: str) -> bool:
    return Path(path).exists() or bool(_MAGIC.search(path))


def _unfit(source: Source, logits: Source, role: str) -> InputError:
    samples = logits.info.sample_shape
    outer = "" if samples is None or len(samples) < 2 else f", or {samples[:1]}"
    what = {"mask": "mask", "groups": "values of --by"}.get(role, role)
    return InputError(
        "shapes do not fit",
        f"{logits.info.path}, {source.info.path}",
        found=f"logits {logits.info.shape}, {what} {source.info.shape}",
        expected=f"one for each sample: {samples}{outer}" if samples else "one for each row",
    )


def _nothing(role: str, meant: NameOrFile, sources: Sequence[tuple[Located, Source]]) -> XentError:
    columns = [name for _, source in sources if source.info.plan is not None for name in source.info.plan.columns]
    columns += [name for located, _ in sources for name in names_in(located)]
    columns = list(dict.fromkeys(columns))
    option = f"{_OPTIONS[role]} {'column:' if meant.path is None else ''}{meant.column or meant.path}"
    if not columns and meant.path is None:
        return UsageError(f"{option}: arrays have no columns", hint="name a file")
    if meant.path is not None and not columns:
        locate(meant.path)  # reports that there is no such file, with the closest name
    return InputError(
        "no such column or file",
        ", ".join(dict.fromkeys(source.info.path for _, source in sources)),
        found=f"columns {listing(columns)}",
        expected=f'"{meant.column}" ({_OPTIONS[role]}), or a file of that name',
    )
