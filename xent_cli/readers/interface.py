"""What commands need from readers, and what the reader of a format provides.

A reader of a format is a module with one function that opens it, ``open_npy`` in `arrays.npy`, with the signature of
`Opener`; `open` lists them all. It returns a `Source`: the facts of the input, and recipes for runs of its samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from xent_cli.core.block import Part
    from xent_cli.core.input_description import InputDescription
    from xent_cli.readers.columns.column_plan import ColumnPlan
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

# Formats that hold arrays, whose shapes say what they mean; all other formats are tables.
ARRAYS = frozenset({"npy", "npz", "safetensors", "torch", "raw", "kld"})
# Array formats that may hold several named arrays.
ARCHIVES = ARRAYS - {"npy", "raw", "kld"}
# The format of servers' responses, which hold the log-probabilities of scored tokens only.
RESPONSES = "completions"
# The format of the log-probabilities that Megatron-LM caches of a teacher.
MEGATRON = "megatron"
# The format of samples of lm-evaluation-harness.
SAMPLES = "lm-eval"

Role = Literal["logits", "labels", "weights", "mask", "units", "groups"]


class Classes(NamedTuple):
    """Where an input has its classes, and what is known about them.

    Fields
    ------
    axis
        Class axis of an array; None if a sample is one number.
    names
        Names of the classes of the logits that this input belongs to, or None.
    num_classes
        Number of classes of these logits; 0 if unknown.
    like
        Plan of the first shard, which the others follow if they have the same columns.
    """

    axis: int | None = None
    names: tuple[str, ...] | None = None
    num_classes: int = 0
    like: ColumnPlan | None = None


class SourceInfo(NamedTuple):
    """The facts of an opened input.

    Fields
    ------
    description
        Path, format, shape and dtype, for reports.
    dtype
        Dtype of the values as stored.
    row_shape
        Shape of the values of one sample: ``(k,)`` for logits and dense labels, ``()`` for class indices.
    num_rows
        Number of samples, or None if it takes reading to the end to know.
    sample_shape
        Shape of the samples as an array, ``(num_rows,)`` in a table; None if their number is unknown.
    fields
        The fields of `Rows` that its parts fill.
    class_names
        Names of the columns of logits, or None.
    named_labels
        Whether the labels are names of classes.
    plan
        Which column of a table has which role; None for an array.
    rereadable
        Whether `Source.parts` may be called more than once.
    """

    description: InputDescription
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    num_rows: int | None
    sample_shape: tuple[int, ...] | None
    fields: frozenset[str]
    class_names: tuple[str, ...] | None = None
    named_labels: bool = False
    plan: ColumnPlan | None = None
    rereadable: bool = True

    @property
    def path(self) -> str:
        """Path of the input, as the user gave it."""
        return self.description.path

    @property
    def format(self) -> str:
        """Format: "npy", "csv", "parquet", ..."""
        return self.description.format

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the values that are read."""
        return self.description.shape


class Source(Protocol):
    """One opened input: its samples in order, in bounded parts."""

    @property
    def info(self) -> SourceInfo:
        """What is known without reading samples."""

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """Yield the start, size and recipe of consecutive runs of samples, each of bounded size, up to the last sample.

        `first` is the number of the first sample. The parts of a pipe can be read only once.
        """

    def rows(self, start: int, stop: int) -> Part | None:
        """Return the recipe for any run of samples, or None if they can only be read in order."""

    def where(self, row: int, role: str, first: int = 0) -> str:
        """Return the location of a sample, as the user counts: file, line, row, column. May read the file again.

        Both numbers count from the start of the whole input; `first` is that of the first sample here.
        """


class Opener(Protocol):
    """Opens the bytes of one format."""

    def __call__(self, source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
        """Open an input in a role; no samples are read except the first few of a table.

        Parameters
        ----------
        source
            The bytes; a format that needs random access calls `seekable`.
        head
            The first bytes, enough for the header of any array.
        role
            Which field of `Rows` the values fill: "logits", "labels", "weights", "mask", "units" or "groups".
        classes
            The class axis of an array, and what is known of the classes from the logits.

        Raises
        ------
        InputError
            If the input is damaged, or holds nothing that fits the role; the error names the file.
        UsageError
            If an option does not fit the input.
        """
