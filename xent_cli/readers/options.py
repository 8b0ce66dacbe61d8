"""How to read inputs: what the user says about them, what the run needs, and what is known from other inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.storage.folders import Partition

# Memory of all threads together for arrays whose class axis is not the last; and how many gradients of a thread may
# wait to be written.
_SLABS_BYTES, _GRADIENTS_HELD = 88 << 20, 3


class RunNeeds(NamedTuple):
    """What a run needs of its inputs, and how much of them it holds in memory.

    Fields
    ------
    with_ids
        Whether the id column is read.
    two_passes
        Whether the inputs are read more than once, so that the bytes of a pipe must be kept.
    whole_groups
        Whether a task is a whole row group of Parquet or record batch of Arrow, which another process can read.
    values_only
        Read only the values of a table, no labels, weights or ids; a missing value is NaN, because pandas writes NaN
        like that.
    values_beside
        Whether tables of losses or gradients, which are opened later, may be joined too.
    buffer_name
        Name of the memory that a thread reads an array into: the same for all shards of an input.
    task_bytes
        How many bytes a task reads: few enough that several tasks fit in any memory, enough to be worth the cost of
        dispatch.
    slab_bytes
        Like `task_bytes` if classes are not the last axis: with fewer samples per task, the bytes between them are read
        more often.
    streams
        Number of threads that may stream logits class by class, which is possible if only losses against class indices
        are wanted, by the compiled kernel; else 0.
    chunk_bytes
        Text is cut into chunks of about this size. Each takes several times as much when parsed; 2 MiB take some 8 ms.
    group_bytes
        A row group of columns up to this size is decoded whole by the thread that works on it; a run has two in memory.
    batch_bytes
        The same for a record batch of an Arrow file.
    list_group_bytes
        A row group of lists up to this size is decoded in one go, which saves a copy.
    step_bytes
        How much of a larger row group is decoded at once: a few of its columns, or a few of its lists.
    document_bytes
        A JSON document larger than this is refused: it is parsed whole, which takes several times its size in memory.
    """

    with_ids: bool = False
    two_passes: bool = False
    whole_groups: bool = False
    values_only: bool = False
    values_beside: bool = False
    buffer_name: str = ""
    task_bytes: int = 8 << 20
    slab_bytes: int = 32 << 20
    streams: int = 0
    chunk_bytes: int = 2 << 20
    group_bytes: int = 48 << 20
    batch_bytes: int = 48 << 20
    list_group_bytes: int = 16 << 20
    step_bytes: int = 4 << 20
    document_bytes: int = 256 << 20


class GroupFile(NamedTuple):
    """A file with the group of each sample: the name of the groups, the path, and what the user typed."""

    name: str
    path: str
    typed: str


def slab_bytes(threads: int, *, dense: bool, gradients: bool) -> int:
    """Return how much of the logits a thread may have in memory if their class axis is not the last.

    Parameters
    ----------
    dense
        Whether labels are as large as the logits.
    gradients
        Whether there are gradients, some of which wait in memory to be written.
    """
    arrays = 1 + dense + _GRADIENTS_HELD * gradients
    return max(RunNeeds().task_bytes, _SLABS_BYTES // (arrays * threads))


class Known(NamedTuple):
    """What other inputs tell about an input before it is opened.

    Fields
    ------
    lenient
        Whether a mask or weights say which samples count; only then is it known whether a missing label matters.
    columns_elsewhere
        Columns that another input already provides, and which are skipped here.
    label_numbers
        The numbers of the classes in integer labels, if these are not 0, 1, 2, ...
    class_columns
        Names of the columns of logits, which text labels may use for the classes.
    partitions
        Columns from the names of the folders that an input is in.
    labels_shape
        Shape of labels that are numbers without a header.
    labels_ahead
        Describes, before the run, labels that are not in the table of logits.
    column_ahead
        For a table in several files: returns every value of a column in any of them as text, before the run.
    said
        Notes from before the inputs were opened.
    """

    lenient: bool = False
    columns_elsewhere: frozenset[str] = frozenset()
    label_numbers: tuple[int, ...] = ()
    class_columns: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    labels_shape: tuple[int, ...] = (-1,)
    labels_ahead: Callable[[], LabelValues | None] | None = None
    column_ahead: Callable[[str], frozenset[str] | None] | None = None
    said: tuple[Diagnostic, ...] = ()


class ReadOptions(NamedTuple):
    """What the user says about the layout of the inputs; None or "auto" leaves it to the file.

    Fields
    ------
    axis
        Class axis of the logits, if they are an array.
    labels
        Whether labels are class indices or rows of probabilities.
    labels_source
        What the second input holds: "labels", or a teacher's outputs.
    logits_column
        Names of columns, globs over them, or several with commas between; () leaves it to the table.
    label_column, id_column, weight_column, mask_column
        Names in a table; the last two in an archive of arrays too.
    mask
        The column or file that says which samples count, as the user typed it.
    true_labels
        File with the true classes, if the labels are a teacher's outputs; or None.
    units, units_column
        The column or file with the number of bytes or words of each sample, as the user typed it; and the column.
    ignore_missing
        Whether a sample may have no label: an empty cell, a null or NaN.
    header
        Whether text tables begin with a line of names.
    shift
        Logits at t score the label at t + shift.
    shape
        Shape of logits that are numbers without a header, in which one length may be -1; else ().
    logits_dtype, labels_dtype
        Dtype of numbers without a header, as NumPy spells it, or None; "bfloat16" also applies to 2-byte void arrays
        and integers of 16 bits.
    class_names, class_names_file
        Names of the classes if the logits do not name them, and the file that these are from.
    input_format
        Format of both inputs, in place of what their content says.
    by
        Columns whose values name groups of samples: those of `--by`, and that of `cluster`.
    cluster
        The one of these whose values are the clusters, or None.
    group_files
        Files with a value for each sample, which `by` may name like columns.
    join
        Column by which tables are joined to the logits, instead of row by row.
    source
        What the logits are according to `--from`; None if it is not given.
    first_class
        The number of the first class in integer labels, or None.
    ignored
        Labels that mark samples without one.
    binary
        Whether there is one score per sample: the logit or the probability of the second class.
    logits_path, labels_path
        As the user typed them, for command lines in messages; "" if the labels are in the table of the logits.
    command
        For the same command lines: the name of the command, then the options typed that are not about the inputs.
    run
        What the run needs.
    known
        What is known from other inputs.
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
    true_labels: str | None = None
    units: str | None = None
    units_column: str | None = None
    ignore_missing: bool = False
    header: bool | None = None
    shift: int = 0
    shape: tuple[int, ...] = ()
    logits_dtype: str | None = None
    labels_dtype: str | None = None
    class_names: tuple[str, ...] | None = None
    class_names_file: str | None = None
    input_format: str | None = None
    by: tuple[str, ...] = ()
    cluster: str | None = None
    group_files: tuple[GroupFile, ...] = ()
    join: str | None = None
    source: str | None = None
    first_class: int | None = None
    ignored: tuple[int, ...] = ()
    binary: Literal["logits", "probs"] | None = None
    logits_path: str = ""
    labels_path: str = ""
    command: tuple[str, ...] = ("compute",)
    run: RunNeeds = RunNeeds()
    known: Known = Known()

    @property
    def asked_columns(self) -> tuple[str, ...]:
        """The names of columns that the user gives."""
        single = (self.label_column, self.id_column, self.weight_column, self.mask_column, self.units_column, self.join)
        return (*self.logits_column, *self.by, *(name for name in single if name is not None))

    def bfloat16(self, role: str) -> bool:
        """Whether the user says that a 16-bit array in a role is bfloat16."""
        return {"logits": self.logits_dtype, "labels": self.labels_dtype}.get(role) == "bfloat16"
