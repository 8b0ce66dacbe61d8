"""The command lines that choose columns, and the errors that show one line for each way to read a table."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing, printable, without_secrets
from xent_cli.readers.columns.families import shown
from xent_cli.readers.columns.sample import MAP, VECTOR
from xent_cli.readers.columns.words import LABEL, OF_THE_PREDICTED, never_scores, plain_name
from xent_cli.readers.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.families import Family
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample

# A line with more names than this is too long to copy.
_MOST_NAMED = 30
_MAGIC = "*?["
# The command-line option of each field of `ReadOptions`.
_FLAGS = (
    ("--axis", "axis"),
    ("--input-format", "input_format"),
    ("--class-names", "class_names_file"),
    ("--id-column", "id_column"),
    ("--label-column", "label_column"),
    ("--logits-column", "logits_column"),
    ("--sample-weight-column", "weight_column"),
    ("--mask", "mask"),
    ("--join", "join"),
    ("--labels", "labels"),
    ("--labels-from", "labels_source"),
    ("--from", "source"),
    ("--first-class", "first_class"),
    ("--ignore-index", "ignored"),
    ("--shift", "shift"),
)
_DEFAULTS = ReadOptions()


class QuestionError(InputError):
    """A table that can be read in several ways.

    Fields
    ------
    readings
        The options that select each reading, the likeliest first.
    labels
        The columns that may hold the labels, if these are in question; () if the class columns are.
    borne_out
        Whether the rows of the table support the readings.
    """

    readings: tuple[ReadOptions, ...] = ()
    labels: tuple[str, ...] = ()
    borne_out: bool = False


class LongTableError(InputError):
    """A table with a row for each combination of sample and class."""


class OneScoreError(InputError):
    """A softmax over a single class."""


def line(path: str, options: ReadOptions, **changes: Any) -> str:
    """Return the command line that was typed, with some options of the inputs changed.

    Parameters
    ----------
    path
        Path of the logits, used if `options` does not hold what the user typed.
    changes
        Fields of `options` that are different.

    Examples
    --------
    >>> line("my table.csv", ReadOptions(label_column="gold"), logits_column=("logit_*",), source="probs")
    "xent compute 'my table.csv' --label-column gold --logits-column 'logit_*' --from probs"
    """
    import shlex  # only needed where a line is shown

    options = options._replace(**changes)
    words = [word for word in (options.logits_path or path, options.labels_path) if word]
    for flag, field in _FLAGS:
        value = getattr(options, field)
        if value != getattr(_DEFAULTS, field):
            words += [word for each in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(each))]
    if options.binary:
        words.append("--binary")
    if options.header is not None:
        words.append("--header" if options.header else "--no-header")
    name, *others = options.command
    return " ".join(shlex.quote(printable(without_secrets(word))) for word in ("xent", name, *words, *others))


def question(
    what: str,
    path: str,
    found: str,
    expected: str,
    readings: Sequence[ReadOptions],
    *,
    before: str = "",
    labels: Sequence[str] = (),
    more: str = "",
    borne_out: bool = False,
) -> QuestionError:
    """Refuse a table that can be read in several ways, with a line for each.

    Parameters
    ----------
    before
        Text before the lines.
    labels, borne_out
        As in `QuestionError`.
    """
    lines = "; or ".join(line(path, reading) for reading in readings)
    error = QuestionError(what, path, found, expected, before + lines, more)
    error.readings, error.labels, error.borne_out = tuple(readings), tuple(labels), borne_out
    return error


def naming(
    columns: Sequence[str],
    every: Iterable[str],
    options: ReadOptions,
    family: Family | None = None,
    kind: str = "",
    *,
    labels: bool = False,
) -> ReadOptions:
    """Return options that name columns: by a glob if one matches exactly these, else one by one.

    Parameters
    ----------
    every
        All columns of the table.
    kind
        What the columns hold according to their names.
    labels
        Whether they hold labels, one column for each class.
    """
    if kind == "probs" and options.source is None:
        options = options._replace(source="probs")
    names = _spelled(columns, every, family)
    return options._replace(logits_column=names) if not labels else options._replace(label_column=names[0])


def _spelled(columns: Sequence[str], every: Iterable[str], family: Family | None) -> tuple[str, ...]:
    stem = "" if family is None or set(_MAGIC) & set(family.before + family.after) else family.stem
    if stem and {name for name in every if fnmatchcase(name, stem)} == set(columns):
        return (stem,)
    if any("," in name for name in columns):
        return tuple(columns)
    if len(columns) > _MOST_NAMED:
        return (f"{columns[0]},...,{columns[-1]}",)
    return (",".join(columns),)


def several_readings(
    sample: TableSample, what: str, readings: Mapping[str, ReadOptions], expected: str = ""
) -> QuestionError:
    """Refuse a table that can be read in several ways.

    Parameters
    ----------
    readings
        What each reading takes as the classes, and the options that select it.
    """
    return question(what, sample.path, " or ".join(readings), expected or "one reading", [*readings.values()])


def columns_beside(roles: Mapping[str, Role], taken: Iterable[str]) -> str:
    """List the columns that are not used, with the role of those that have one: `id (id), fold (about the sample)`."""
    held = set(taken)
    parts = [f"{name} ({role.role})" if role.role else name for name, role in roles.items() if name not in held]
    few = 12
    return ", ".join(parts[:few]) + (f" and {len(parts) - few} more" if len(parts) > few else "")


def named_probabilities(path: str, plan: ColumnPlan, command: str) -> InputError:
    """Refuse columns whose names say that they hold probabilities, if no option says what they hold.

    Parameters
    ----------
    command
        The command line with that option; "" if the values cannot be probabilities.
    """
    named = f"columns named {shown(plan.values)}" if not plan.is_list else f'lists named "{plan.values[0]}"'
    expected, insists = "logits, or --from, which says what they hold", "--from logits insists that they are logits"
    if command:
        return InputError("probabilities where logits are expected", path, named, expected, f"{command}; {insists}")
    found = f"{named}, and values below 0 or above 100"
    return InputError("columns named like probabilities hold other numbers", path, found, expected, insists)


def two_labels(sample: TableSample, options: ReadOptions, names: Sequence[str], why: str = "") -> QuestionError:
    """Refuse a table with two columns that may be the labels."""
    readings = [options._replace(label_column=name) for name in names]
    return question("several columns of labels", sample.path, f"{listing(names)}{why}", "one", readings, labels=names)


def one_column(sample: TableSample, options: ReadOptions, name: str) -> OneScoreError:
    """Refuse a single column of scores."""
    values = sample.numbers([name])
    probabilities = options.source is None and bool(values.size and ((values >= 0) & (values <= 1)).all())
    reading = options._replace(logits_column=(name,), binary="logits")
    command = line(sample.path, reading._replace(source="probs") if probabilities else reading)
    hint = f"scores of a binary classifier: {command}"
    if plain_name(name) in OF_THE_PREDICTED:
        hint = f"save the scores of every class; if it is that of class 1, not of the class predicted: {command}"
    return OneScoreError(
        "one column is not a softmax",
        sample.path,
        found=f'"{name}" alone beside the other columns',
        expected="a column for each class, two or more",
        hint=hint,
    )


def lone_scores(sample: TableSample, options: ReadOptions, names: Sequence[str]) -> QuestionError:
    """Refuse columns that are a binary classifier's one score in several forms."""
    readings = []
    for name in names:
        reading = options._replace(logits_column=(name,), binary="logits")
        values = sample.numbers([name])
        probabilities = options.source is None and bool(((values >= 0) & (values <= 1)).all())
        readings.append(reading._replace(source="probs") if probabilities else reading)
    found = f"{listing(names)}, each a score by its name"
    return question(
        "one column is not a softmax",
        sample.path,
        found,
        "a column for each class",
        readings,
        before="scores of a binary classifier: ",
        borne_out=True,
    )


def no_columns(sample: TableSample, options: ReadOptions, roles: Mapping[str, Role]) -> InputError:
    """Refuse a table in which no column is a class."""
    names = list(sample.kinds)
    labels = [name for name, role in roles.items() if role.role == LABEL]
    if len(names) == 1 or set(names) <= {*labels, *(n for n, r in roles.items() if r.role in ("index", "id"))}:
        swapped = ""
        if options.labels_path:
            swapped = f": {line('', options, logits_path=options.labels_path, labels_path=sample.path)}?"
        return InputError(
            "labels where the logits belong" if labels or len(names) == 1 else "no columns of logits",
            sample.path,
            found=f"columns {listing(names)}",
            expected="a column of scores for each class",
            hint=f"LOGITS comes first, LABELS after it{swapped}",
        )
    numbers = [n for n, kind in sample.kinds.items() if kind == "number" and n not in labels]
    some = shown(numbers) if len(numbers) > 1 else ""
    found = f"columns {listing(names)}"
    expected = "a list column named logits, or columns such as logit_0 and logit_1"
    beside = f"not taken: {columns_beside(roles, labels)}" if roles else ""
    cells = [name for name, kind in sample.kinds.items() if kind in (VECTOR, MAP)]
    cells = [name for name in cells if not never_scores(plain_name(name))]
    if cells:
        return question(
            "no columns of logits",
            sample.path,
            found,
            expected,
            [options._replace(logits_column=(name,)) for name in cells[:3]],
            before="if they are the logits: ",
            more=beside,
            # The keys of a map may be names of classes or anything else.
            borne_out=len(cells) == 1 and sample.kinds[cells[0]] == MAP,
        )
    hint = "name them with --logits-column" + (f", if they are {some}" if some else "")
    nested = [name for name in names if sample.types.get(name, "").startswith("struct<")]
    if nested and not some:
        hint = f'columns within columns are not read: write those of "{nested[0]}" as columns of the table'
    return InputError("no columns of logits", sample.path, found, expected, hint, beside)
