"""Losses of the samples of lm-evaluation-harness, to compare two runs without computing rows first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli.core.kernel.variants import kernel_for
from xent_cli.core.options import LossOptions
from xent_cli.core.python_api.functions import sparse_softmax_cross_entropy
from xent_cli.errors import InputError
from xent_cli.readers.interface import SAMPLES
from xent_cli.readers.language_models.harness import NOT_A_SAMPLE, are_samples, samples_of, task_of
from xent_cli.readers.language_models.harness_sample import columns_of, filter_of, hashes_of
from xent_cli.readers.language_models.json_values import RecordError
from xent_cli.readers.options import RunNeeds
from xent_cli.readers.saved.saved_results import SavedResults
from xent_cli.readers.storage.reading import BOM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import FloatArray
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.locate import Located

# The columns that identify a document in both runs.
JOINED_ON = "doc_hash, filter"
# Number of samples whose losses are computed at once.
_AT_ONCE = 1 << 12


@dataclass(slots=True)
class _Read:
    """What has been read of the samples, with one entry per sample."""

    columns: dict[str, list[Any]]
    losses: list[FloatArray] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    predicted: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    hashes: list[tuple[str, str, str]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def score(self) -> None:
        """Compute the losses of the samples that were read since the last call."""
        if not self.scores:
            return
        width = max(map(len, self.scores))
        rows = np.full((len(self.scores), width), -np.inf)
        for row, own in zip(rows, self.scores, strict=True):
            row[: len(own)] = own
        self.losses.append(sparse_softmax_cross_entropy(rows, np.array(self.labels[-len(rows) :])))
        # As the harness does: the first of several that are equally likely.
        self.predicted += rows.argmax(axis=1).tolist()
        self.scores.clear()


def holds_samples(file: Bytes, head: bytes) -> bool:
    """Whether a file of results that begins with these bytes holds samples."""
    return head.lstrip(BOM + b" \t\r\n")[:1] in (b"{", b"[") and are_samples(file, head)


def read_harness(located: Located, id_column: str | None, columns: Sequence[str], version: str) -> SavedResults:
    """Read samples as the rows of results: losses of the softmax over the choices, and the likeliest choice.

    Raises
    ------
    InputError
        If they are damaged or not of multiple choices, a task occurs twice, or a requested column does not exist.
    """
    path = located.name
    if id_column is not None:
        raise InputError(
            "samples of lm-evaluation-harness", path, "--id-column", f"none: they are joined on {JOINED_ON}"
        )
    read = _Read({name: [] for name in columns})
    tasks: dict[str, str] = {}
    for file in located.files:
        if not file.peek(1):
            continue
        task = task_of(file.name)
        if task is not None and tasks.setdefault(task, file.name) != file.name:
            found = f"{tasks[task]} and {file.name}"
            raise InputError("one task in two files", path, found, "one run of each task", "name the files of one run")
        _read_file(file, task, len(located.files) > 1, read)
        read.score()
    if not read.ids:
        raise InputError("nothing to compare", path, "no samples")
    loss = np.concatenate(read.losses)
    prompts, targets = (np.array([hashes[place] for hashes in read.hashes], object) for place in (1, 2))
    return SavedResults(
        path,
        SAMPLES,
        "rows",
        loss=loss,
        ignored=np.zeros(loss.size, np.bool_),
        labels=np.array(read.labels),
        predicted=np.array(read.predicted),
        ids=np.array(read.ids, object),
        id_name=JOINED_ON,
        columns={name: np.array(values, object) for name, values in read.columns.items() if name in read.names},
        names=tuple(read.names),
        signature=LossOptions(kernel=kernel_for("float64")).signature(version),
        hashes={"prompt_hash": prompts, "target_hash": targets},
    )


def _read_file(file: Bytes, task: str | None, several: bool, read: _Read) -> None:
    for place, _, record, sample in samples_of(file, RunNeeds().document_bytes):
        try:
            hashes = hashes_of(record)
        except RecordError as error:
            raise error.at(place, NOT_A_SAMPLE) from None
        name = f"{hashes[0]}, {filter_of(record)}"
        name = f"{task} {name}" if several and task is not None else name
        times = read.seen[name] = read.seen.get(name, 0) + 1
        read.ids.append(name if times == 1 else f"{name} #{times}")
        read.hashes.append(hashes)
        read.labels.append(sample.label)
        read.scores.append(sample.scores)
        held = ({} if task is None else {"task": task}) | columns_of(record)
        read.names |= dict.fromkeys(held)
        for column, values in read.columns.items():
            value = held.get(column)
            values.append(value if value is None or isinstance(value, str) else str(value))
        if len(read.scores) >= _AT_ONCE:
            read.score()
