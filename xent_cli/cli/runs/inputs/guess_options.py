"""Finds the options under which inputs fit together, and the command that uses them."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple

from xent_cli.cli.display.shell import quoted
from xent_cli.errors import InputError, UsageError, XentError
from xent_cli.readers.columns.lines import LongTableError, OneScoreError, QuestionError
from xent_cli.readers.interface import ARCHIVES, ARRAYS, Classes
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.pair.pair import open_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xent_cli.core.inspect.advice import Advice
    from xent_cli.core.inspect.contents import Entry
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.readers.storage.locate import Located

# An archive of more arrays than this is not a pair of logits and labels.
_MOST_ARRAYS = 12


class MisfitError(InputError):
    """The inputs can be read, but do not fit together."""


class Opened(NamedTuple):
    """An input, its role, and the options that opened it.

    Fields
    ------
    readings
        If a table by itself can be read in several ways: the options of each.
    """

    role: Literal["logits", "labels"]
    source: Source
    options: ReadOptions
    readings: tuple[ReadOptions, ...] = ()


def pair_up(
    files: Sequence[Located], options: ReadOptions, readings: Sequence[ReadOptions] = ()
) -> tuple[Pair, ReadOptions, tuple[int, ...]]:
    """Find options under which inputs fit together, trying the given ones first; also return the order of the inputs.

    Parameters
    ----------
    files
        One file or two.
    readings
        The ways to read a table; if there is only one, it is tried too.

    Raises
    ------
    MisfitError
        What is wrong with the pair under the given options, if no others fit either.
    """
    failure: InputError | UsageError | None = None
    orders: list[tuple[int, ...]] = [(0, 1), (1, 0)] if len(files) == 2 else [(0,)]
    for order in orders:
        logits, labels = files[order[0]], files[order[-1]] if len(files) == 2 else None
        for tried in _candidates(logits, labels, options, readings if len(readings) == 1 else ()):
            try:
                if tried.labels_path and labels is None:  # columns of the same table
                    return open_pair(logits, logits, None, tried), tried, (0, 1)
                return open_pair(logits, labels, None, tried), tried, order
            except OneScoreError as error:
                failure = failure or error
                found = as_scores(logits, labels, tried)
                if found is not None:
                    return *found, order
            except (InputError, UsageError) as error:
                failure = failure or error
    if failure is None:
        raise MisfitError(
            "no labels", files[0].name, found="one array", expected="a second file, or an array of labels"
        )
    raise MisfitError(failure.what, failure.where, failure.found, failure.expected, failure.hint)


def as_scores(logits: Located, labels: Located | None, options: ReadOptions) -> tuple[Pair, ReadOptions] | None:
    """Return the inputs as one score and one label per sample, and the options that say so; None if they are not."""
    for scores in (options._replace(binary="logits"), options._replace(binary="probs", source="probs")):
        with suppress(InputError, UsageError):
            pair = open_pair(logits, labels, None, scores)
            if pair.label_form == "sparse" and pair.logits.info.dtype.kind == "f":
                return pair, scores
    return None


def open_alone(file: Located, options: ReadOptions) -> Opened:
    """Open an input whose role is unknown: whole numbers, or one value per sample, are labels, and others logits."""
    failure: XentError | None = None
    arrays = list_arrays(file)[:_MOST_ARRAYS]
    keys = [None, *_by_rank(arrays)] if arrays and not options.logits_column else [None]
    for key, dtype in product(keys, _dtypes(options)):
        tried = options._replace(logits_dtype=dtype)
        if key is not None:
            tried = tried._replace(logits_column=(key,), label_column=key)
        try:
            return _opened(file, tried)
        except (InputError, UsageError) as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _opened(file: Located, options: ReadOptions) -> Opened:
    try:
        source = open_source(file, "logits", options, Classes(options.axis))
    except InputError as error:
        return _not_logits(file, options, error)
    if source.info.format in ARRAYS and (source.info.dtype.kind in "iub" or len(source.info.shape) == 1):
        named = options._replace(label_column=options.label_column or next(iter(options.logits_column), None))
        key = source.info.path.removeprefix(f"{file.name}:")
        if source.info.format in ARCHIVES and named.label_column is None and key != file.name:
            named = named._replace(label_column=key)
        return Opened("labels", open_source(file, "labels", named), named)
    return Opened("logits", source, options, () if source.info.plan is None else source.info.plan.readings)


def _not_logits(file: Located, options: ReadOptions, error: InputError) -> Opened:
    """Open an input that cannot be opened as logits: as labels, or in the only way that it can be read."""
    readings = error.readings if isinstance(error, QuestionError) else ()
    if isinstance(error, QuestionError) and error.borne_out and len(readings) == 1:
        with suppress(InputError):
            source = open_source(file, "logits", readings[0], Classes(options.axis))
            return Opened("logits", source, readings[0], readings)
    if isinstance(error, LongTableError):
        raise error
    try:
        source = open_source(file, "labels", options)
    except InputError as other:
        # The user is told what is unclear about the logits rather than that there are no labels.
        raise error if readings or other.what == error.what else other from None
    if source.info.row_shape or (source.info.format in ARRAYS and len(source.info.shape) > 1):
        raise error
    return Opened("labels", source, options, readings)


def _candidates(
    logits: Located, labels: Located | None, options: ReadOptions, readings: Sequence[ReadOptions]
) -> Iterator[ReadOptions]:
    arrays = list_arrays(logits)[:_MOST_ARRAYS]
    if labels is None and len(arrays) == 1:
        return  # the same array would be logits and labels
    bases = [options, *readings]
    if arrays:
        mine = options.logits_column[:1] or _by_rank(arrays)
        theirs = [options.label_column] if options.label_column else [entry.name for entry in arrays]
        for first, second in product(mine, theirs if labels is None else [options.label_column]):
            if labels is not None or first != second:
                bases.append(options._replace(logits_column=(first,), label_column=second))
    forms: tuple[Literal["auto", "sparse", "dense"], ...] = ("auto", "sparse", "dense")
    forms = forms if options.labels == "auto" else (options.labels,)
    for base, axis, form, dtype in product(
        bases,
        (options.axis, 1, 0, 2, 3) if options.axis == -1 else (options.axis,),
        forms,
        _dtypes(options),
    ):
        yield base._replace(axis=axis, labels=form, logits_dtype=dtype)


def _dtypes(options: ReadOptions) -> Iterable[str | None]:
    """Return the dtypes to try for 16-bit arrays: the user's, or both."""
    return (None, "bfloat16") if options.logits_dtype is None else (options.logits_dtype,)


def _by_rank(arrays: Sequence[Entry]) -> list[str]:
    """Return the names of arrays, floats before whole numbers and more axes before fewer."""

    def rank(entry: Entry) -> tuple[bool, int]:
        return not entry.dtype.lower().startswith(("f", "bf")), -len(entry.shape or ())

    return [entry.name for entry in sorted(arrays, key=rank)]


def command_line(paths: Sequence[str], options: ReadOptions, advice: Advice) -> str:
    """Return the command to run, quoted for a shell, with the options that are not at their default.

    Examples
    --------
    >>> from xent_cli.core.inspect.advice import Advice
    >>> from xent_cli.readers.options import ReadOptions
    >>> command_line(["my logits.npy", "y.npy"], ReadOptions(axis=0), Advice(ignore_index=-100))
    "xent compute 'my logits.npy' y.npy --axis 0 --ignore-index -100"
    """
    words = {
        "--axis": options.axis if options.axis != -1 else None,
        "--input-format": options.input_format,
        "--label-column": options.label_column,
        "--id-column": options.id_column,
        "--sample-weight-column": options.weight_column,
        "--class-names": options.class_names_file,
        "--join": options.join,
        "--logits-dtype": options.logits_dtype,
        "--labels-dtype": options.labels_dtype,
        "--labels": options.labels if options.labels != "auto" else None,
        "--from": advice.source if advice.source != "logits" else options.source,
        "--labels-from": advice.labels_source if advice.labels_source != "labels" else None,
        "--first-class": options.first_class if advice.first_class is None else advice.first_class,
        "--ignore-index": advice.ignore_index,
    }
    flags = [word for name in options.logits_column for word in ("--logits-column", name)]
    flags += [word for name, value in words.items() if value is not None for word in (name, str(value))]
    if options.shape:  # with an equals sign, because a shape may begin with a minus
        flags.append(f"--shape={','.join(map(str, options.shape))}")
    flags += [f"--{name}" for name in ("binary", "normalize") if getattr(advice, name)]
    if options.header is not None:
        flags.append("--header" if options.header else "--no-header")
    dashed = any(path.startswith("-") and path != "-" for path in paths)
    line = [*flags, "--", *paths] if dashed else [*paths, *flags]
    return " ".join(map(quoted, ["xent", "compute", *line]))
