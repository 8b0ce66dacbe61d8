"""What the command asks of the readers, and what a reader of one format answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from xent_cli.core.block import Part
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.columns.evidence import LabelValues

# What is read at once: small enough that a few of them in flight are nothing, large enough to be worth handing around.
TASK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the user says the inputs are laid out; None or "auto" leaves it to the file.

    Fields
    ------
    axis
        Class axis of an array.
    labels
        Whether labels are class indices or rows of probabilities.
    labels_source
        What the second input holds: "labels", or a teacher's outputs.
    logits_column
        Names of columns, globs over them, or several with commas between; () leaves it to the table.
    label_column, id_column, weight_column, mask_column
        Names in a table; the last two in an archive of arrays too.
    mask
        Which column or file says which samples count, as the user typed it.
    ignore_missing
        Whether a sample may have no label: an empty cell, a null or NaN.
    lenient
        Whether a mask or weights say which samples count: what is missing or no label is judged beside them.
    header
        Whether text tables begin with a line of names.
    shift
        Logits at t score the label at t + shift.
    logits_dtype, labels_dtype
        How to read 2-byte void arrays and integers of 16 bits: "bfloat16", or None.
    class_names, class_names_file
        Names of the classes where the logits do not name them, and where these are from.
    input_format
        Format of both inputs, in place of what their content says.
    with_ids
        Whether the id column is read at all.
    twice
        Whether the inputs are read more than once, so that what comes through a pipe is kept.
    whole_groups
        Whether tasks go to other processes, which read a row group of Parquet whole.
    by
        Columns whose values name slices.
    join
        Column by which tables are joined to the logits, in place of going along row by row.
    values_beside
        Whether tables of losses or gradients, which are opened later, may be joined too.
    elsewhere
        Columns that another input brings already: here they are passed over.
    said
        What was found out before the inputs are opened.
    values_only
        Read no labels, weights or ids beside the logits of a table, and NaN where a value is missing: pandas writes NaN
        so.
    source
        What the logits are said to hold, as `--from` has it; None where nothing is said.
    first_class
        What the first class is called by labels of whole numbers, or None.
    ignored
        Labels that mark samples without one.
    binary
        What one score a sample is, where the logits are such: the logit or the probability of the second class.
    logits_path, labels_path
        As the user gave them, for lines in messages; "" where the labels are in the table of the logits.
    label_numbers
        What labels of whole numbers call the classes, where that is not 0, 1, 2, ...
    class_columns
        Names of the columns of logits, by which labels of text may call the classes.
    like
        Plan of the first shard, which the others follow where they have the same columns.
    labels_ahead
        Gives what is known before the run of labels that are not in the table of the logits.
    """

    axis: int = -1
    labels: Literal["auto", "sparse", "dense"] = "auto"
    labels_source: Literal["labels", "logits", "log-probs", "probs"] = "labels"
    logits_column: tuple[str, ...] = ()
    label_column: str | None = None
    id_column: str | None = None
    weight_column: str | None = None
    mask: str | None = None
    mask_column: str | None = None
    ignore_missing: bool = False
    lenient: bool = False
    header: bool | None = None
    shift: int = 0
    logits_dtype: str | None = None
    labels_dtype: str | None = None
    class_names: tuple[str, ...] | None = None
    class_names_file: str | None = None
    input_format: str | None = None
    with_ids: bool = False
    twice: bool = False
    whole_groups: bool = False
    by: tuple[str, ...] = ()
    join: str | None = None
    values_beside: bool = False
    elsewhere: frozenset[str] = frozenset()
    said: tuple[Diagnostic, ...] = ()
    values_only: bool = False
    source: str | None = None
    first_class: int | None = None
    ignored: tuple[int, ...] = ()
    binary: Literal["logits", "probs"] | None = None
    logits_path: str = ""
    labels_path: str = ""
    label_numbers: tuple[int, ...] = ()
    class_columns: tuple[str, ...] = ()
    like: ColumnPlan | None = None
    labels_ahead: Callable[[], LabelValues | None] | None = field(default=None, compare=False)


# Formats that hold arrays, whose shape tells what they are; the others are tables.
ARRAYS = frozenset({"npy", "npz", "safetensors", "torch"})
# Of these, the ones that may hold several arrays, each with a name.
ARCHIVES = ARRAYS - {"npy"}

Role = Literal["logits", "labels", "weights", "mask"]


class Source(Protocol):
    """One opened input: its samples in order, in bounded parts.

    Fields
    ------
    description
        Path, format, shape and dtype, for the documents.
    num_rows
        Number of samples, or None where only reading to the end tells.
    row_shape
        Shape of what one sample has here: ``(k,)`` for logits and dense labels, ``()`` for class indices.
    sample_shape
        Shape of the samples as an array, ``(num_rows,)`` in a table; None where the number is not known.
    dtype
        Of the values as stored.
    brings
        Which fields of `Rows` its parts fill.
    class_names
        Names of the columns of logits, or None.
    named_labels
        Whether the labels it brings are names of classes.
    plan
        Which column of a table plays which part; None of an array.
    again
        Whether `parts` may be asked for more than once.
    """

    @property
    def description(self) -> InputDescription: ...
    @property
    def num_rows(self) -> int | None: ...
    @property
    def row_shape(self) -> tuple[int, ...]: ...
    @property
    def sample_shape(self) -> tuple[int, ...] | None: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def brings(self) -> frozenset[str]: ...
    @property
    def class_names(self) -> tuple[str, ...] | None: ...
    @property
    def named_labels(self) -> bool: ...
    @property
    def plan(self) -> ColumnPlan | None: ...
    @property
    def again(self) -> bool: ...

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """Start, size and recipe of consecutive runs of samples, together all of them; at most `TASK_BYTES` each.

        `first` is the number of the first one. What comes through a pipe can be had only once.
        """

    def rows(self, start: int, stop: int) -> Part | None:
        """Recipe for any run of samples, or None where they can only be had in order."""

    def where(self, row: int, role: str, first: int = 0) -> str:
        """Say where a sample stands, as the user counts: file, line, row, column. May read the file again.

        Both numbers are counted over the whole input, and `first` is that of the first sample here.
        """
