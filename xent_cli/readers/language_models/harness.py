"""Samples of EleutherAI's lm-evaluation-harness, ``samples_TASK_DATE.jsonl``: see `harness_sample`.

They are read once, when they are opened: choices and columns are written to a temporary file as rows of a table, all
padded to the largest number of choices with -inf.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.interface import SAMPLES
from xent_cli.readers.language_models.harness_sample import columns_of, filter_of, read_sample
from xent_cli.readers.language_models.json_values import RecordError
from xent_cli.readers.language_models.refused_options import refuse_options
from xent_cli.readers.language_models.response_records import records_of
from xent_cli.readers.storage.pipe import written_to_disk
from xent_cli.readers.text.jsonl import JsonlSource, open_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.language_models.harness_sample import Sample
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

_RESPONSES = re.compile(rb'"filtered_resps"\s*:')
_BEGINNING = re.compile(rb'\s*\[?\s*\{\s*"doc_id"\s*:\s*[0-9]+\s*,\s*"doc"\s*:')
# How many bytes of a first line that begins like a sample are searched.
_LONG_LINE = 1 << 24
_NAME = re.compile(r"samples_(.+)_\d{4}-\d{2}-\d{2}T[\d.:-]+\.jsonl")
NOT_A_SAMPLE = "not a multiple choice"
_LOGITS, _LABEL, _FILTER = "logits", "label", "filter"


def are_samples(source: Bytes, head: bytes) -> bool:
    """Whether JSON begins with a sample; the keys that identify one come after the document, which may be long."""
    if _RESPONSES.search(head):
        return True
    return _BEGINNING.match(head) is not None and _RESPONSES.search(source.peek(_LONG_LINE)) is not None


def task_of(name: str) -> str | None:
    """Return the task that a file is named after.

    Examples
    --------
    >>> task_of("out/samples_arc_easy_2024-06-01T12-30-00.123456.jsonl"), task_of("samples.jsonl")
    ('arc_easy', None)
    """
    found = _NAME.fullmatch(PurePath(name).name)
    return None if found is None else found[1]


class Placed(NamedTuple):
    """A sample, the record that it was read from, and the place of that record."""

    place: str
    number: int
    record: dict[str, Any]
    sample: Sample


def samples_of(source: Bytes, most_bytes: int) -> Iterator[Placed]:
    """Yield the samples of a file.

    Raises
    ------
    InputError
        If it is not JSON, or a line is not a sample of a multiple choice.
    """
    for place, number, record in records_of(source, most_bytes):
        try:
            sample = read_sample(record)
        except RecordError as error:
            raise error.at(place, NOT_A_SAMPLE) from None
        yield Placed(place, number, record, sample)


def open_samples(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open samples, all of which are read; see `Opener`.

    Raises
    ------
    InputError
        If they are damaged, are not of multiple choices, or the role is not that of logits.
    UsageError
        If an option names what the format says itself.
    """
    if role != "logits" or options.labels_path:
        expected = "one operand: they hold the right choices"
        hint = "tasks together: 'samples_*.jsonl' in quotes; two runs: xent compare"
        raise InputError(
            "samples of lm-evaluation-harness", source.name, f"one of two operands, as {role}", expected, hint
        )
    others = {f"--from {options.source}": options.source not in (None, "logits")}
    refuse_options(options, f"{source.name} holds the log-likelihoods of choices", others)
    lines = _table(source, options)
    options = options._replace(logits_column=(_LOGITS,), label_column=_LABEL)
    found = open_jsonl(lines, lines.peek(len(head)), role, options, classes)
    return replace(found, format=SAMPLES, plan=found.plan._replace(left_out=()))


def of_one_width(sources: Sequence[Source]) -> list[Source]:
    """Pad the rows of tasks with fewer choices, so that several tasks can be joined into one table."""
    width = max(source.info.row_shape[0] for source in sources)
    found: list[Source] = []
    for source in sources:
        if isinstance(source, JsonlSource) and source.width < width:
            lines = written_to_disk(source.source.name, _padded(source.source, width))
            source = replace(source, source=lines, width=width)
        found.append(source)
    return found


def _table(source: Bytes, options: ReadOptions) -> Bytes:
    widths: set[int] = set()
    filters: dict[str, str] = {}
    task = task_of(source.name)
    named = {} if task is None else {"task": task}

    def rows() -> Iterator[bytes]:
        line = 1
        for place, number, record, sample in samples_of(source, options.run.document_bytes):
            widths.add(len(sample.scores))
            filters.setdefault(filter_of(record), place)
            if len(filters) > 1 and _FILTER not in options.by:
                names = " and ".join(f'"{name}"' for name in filters)
                one = f"jq -c 'select(.filter == \"{next(iter(filters))}\")'"
                hint = f"--by filter gives the figures of each; {one} takes one"
                raise InputError("samples of several filters", place, names, "each document once", hint)
            row = named | columns_of(record) | {_LOGITS: sample.scores, _LABEL: sample.label}
            # Blank lines keep the line numbers the same.
            yield b"\n" * (number - line) + json.dumps(row).encode() + b"\n"
            line = number + 1

    lines = written_to_disk(source.name, rows())
    if not widths:
        raise InputError("empty file", source.name, "no samples", "at least one")
    return lines if len(widths) == 1 else written_to_disk(source.name, _padded(lines, max(widths)))


def _padded(lines: Bytes, width: int) -> Iterator[bytes]:
    with lines.stream() as stream:
        rest = b""
        while chunk := stream.read(1 << 20):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if not line:
                    yield b"\n"
                    continue
                row = json.loads(line)
                row[_LOGITS] += [-float("inf")] * (width - len(row[_LOGITS]))
                yield json.dumps(row).encode() + b"\n"
