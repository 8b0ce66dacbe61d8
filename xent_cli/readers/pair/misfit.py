"""Errors for inputs that do not fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, UsageError, listing

if TYPE_CHECKING:
    from xent_cli.errors import RowError
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions


def no_labels(logits: Source, options: ReadOptions) -> InputError:
    """Return the error for inputs without labels, with the options that name what may be labels."""
    path, plan = logits.info.path, logits.info.plan
    expected = "a second file, or a column of labels such as label, target or y_true"
    from xent_cli.readers.columns.lines import line, question

    hint = f"{line(path, options, labels_path='LABELS')}, or --label-column NAME"
    if plan is not None:
        columns = "column" if len(plan.others) == 1 else "columns"
        found = f"{columns} {listing(plan.others)} beside the classes" if plan.others else "columns of classes only"
        if plan.readings:
            return question("no labels", path, found, expected, plan.readings, before="which are the labels? ")
        return InputError("no labels", path, found, expected, hint)
    return InputError("no labels", path, "logits only", expected, hint)


def shape_error(path: str, shape: tuple[int | None, ...], logits: Source, options: ReadOptions) -> InputError:
    """Return the error for labels whose shape does not fit the logits, with the class axis that would make it fit."""
    from xent_cli.readers.columns.lines import line

    full, k = logits.info.description, logits.info.row_shape[0]
    count = logits.info.num_rows
    sides = full.shape
    axes = [axis for axis in range(len(sides) - 1) if (*sides[:axis], *sides[axis + 1 :]) == shape]
    hint = ""
    if options.axis == -1 and len(axes) == 1 and logits.info.plan is None:
        hint = f"if the classes are along axis {axes[0]}: {line(full.path, options, axis=axes[0])}"
    if count is not None and len(shape) == 1 and len(full.shape) == 2:
        return InputError(
            "inputs of different length",
            f"{full.path}, {path}",
            found=f"{count} rows of logits, {shape[0]} labels",
            expected="as many labels as rows of logits",
            hint=hint or same_samples(count, shape[0]),
        )
    sparse = logits.info.sample_shape if logits.info.sample_shape is not None else ("n",)
    return InputError(
        "shapes do not fit",
        f"{full.path}, {path}",
        found=f"logits {shape_text(full.shape)}, labels {shape_text(shape)}",
        expected=f"labels {shape_text(sparse)} (sparse) or {shape_text(full.shape)} (dense), for {k} classes",
        hint=hint or "--axis says which axis of the logits holds the classes",
    )


def same_samples(num_logits: int | None, num_other: int | None) -> str:
    """Say what to do about inputs of different length.

    Examples
    --------
    >>> same_samples(40, 41)
    'was a line of column names saved as a row? both must hold the same samples in the same order'
    """
    header = num_logits is not None and num_other is not None and abs(num_logits - num_other) == 1
    asked = "was a line of column names saved as a row? " if header else ""
    return f"{asked}both must hold the same samples in the same order"


def shape_text(shape: tuple[int | str | None, ...]) -> str:
    """Write a shape, with "n" for a length that is only known at the end of the file.

    Examples
    --------
    >>> shape_text((None, 3)), shape_text((4,))
    ('(n, 3)', '(4,)')
    """
    return (
        "(" + ", ".join("n" if side is None else str(side) for side in shape) + ("," if len(shape) == 1 else "") + ")"
    )


def refuse_missing(sources: list[Source], options: ReadOptions) -> None:
    """Refuse names of columns that no table has.

    Raises
    ------
    InputError
        With the closest name that exists.
    UsageError
        If there is no table at all.
    """
    plans = {source.info.path: source.info.plan for source in sources if source.info.plan is not None}
    columns = list(dict.fromkeys(name for plan in plans.values() for name in plan.columns))
    asked: list[tuple[str | None, str]] = [
        (name, "--cluster" if name == options.cluster else "--by") for name in options.by
    ]
    asked += [(options.id_column, "--id-column"), (options.weight_column, "--sample-weight-column")]
    if columns and sources[-1].info.plan is not None:
        asked.append((options.label_column, "--label-column"))
    for name, option in asked:
        several = option == "--label-column" and name is not None and any(mark in name for mark in ",*?[")
        if name is not None and name not in columns and not several:
            if not columns:
                hint = "give logits or labels as CSV, Parquet, Arrow or JSON Lines, with that column"
                raise UsageError(f"{option} {name}: arrays have no columns", hint=hint)
            from xent_cli.readers.columns.asked_columns import missing_column

            raise missing_column(", ".join(plans), name, columns, option)


def unlike(error: RowError, source: Source, logits: Source) -> InputError:
    """Return the error for an id or a label that differs from the one in the table of logits."""
    from xent_cli.core.checks.same_samples import OtherIdError
    from xent_cli.readers.pair.ids import join_hint

    name = logits.info.path
    if isinstance(error, OtherIdError):
        named = "" if logits.info.plan is None else logits.info.plan.id or ""
        expected = f"{error.expected}, as in {name}"
        return InputError(error.what, source.where(error.row, "ids"), error.found, expected, join_hint(named))
    column = None if logits.info.plan is None else logits.info.plan.label
    expected = f'{error.expected}, as in column "{column}" of {name}'
    hint = f'leave LABELS out to take the column, or take column "{column}" out of the table'
    return InputError(error.what, source.where(error.row, "labels"), error.found, expected, hint)
