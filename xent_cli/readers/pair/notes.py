"""What was done with the inputs of a run that the user did not spell out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import listing
from xent_cli.readers.columns.weight_column import NAMES
from xent_cli.readers.pair.repeated import Repeated
from xent_cli.readers.pair.shifted_labels import documents_of
from xent_cli.readers.shards import Shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.pair.pair import Pair

_OPTIONS = {"weights": "--sample-weight-column {name} weighs by it", "mask": "--mask {name} leaves out where it is 0"}


def notes(pair: Pair) -> tuple[Diagnostic, ...]:
    """Notes on columns that were seen and not used, empty shards, repeated weights and the documents of a shift."""
    found = (*_unused(pair), *_empty(pair), *_repeated(pair), *_documents(pair))
    return tuple(Diagnostic(code, message, note=True) for code, message in found)


def _unused(pair: Pair) -> Iterator[tuple[str, str]]:
    taken = {"weights": pair.weighted, "mask": pair.masked}
    for source in (pair.logits, pair.labels):
        plan = None if source is None else source.info.plan
        if source is None or plan is None:
            continue
        for role, names in NAMES.items():
            for name in plan.columns:
                if not taken[role] and name.strip().lower() in names and name not in plan.used:
                    told = _OPTIONS[role].format(name=name)
                    yield f"unused-{role}", f'column "{name}" of {source.info.path} is not used; {told}'


def _empty(pair: Pair) -> Iterator[tuple[str, str]]:
    for source in (pair.logits, pair.labels, pair.weights, pair.mask):
        if isinstance(source, Shards) and source.empty:
            names = ", ".join(source.empty[:3]) + (f" and {len(source.empty) - 3} more" if source.empty[3:] else "")
            yield "empty-shard", f"no rows in {names}: skipped"


def _repeated(pair: Pair) -> Iterator[tuple[str, str]]:
    for source, what in ((pair.weights, "weight"), (pair.mask, "entry of the mask")):
        if isinstance(source, Repeated):
            yield "repeated", f"each {what} of {source.info.path} is that of {source.times} samples"


def _documents(pair: Pair) -> Iterator[tuple[str, str]]:
    if not pair.shift:
        return
    documents = documents_of(pair.logits)
    path = pair.logits.info.path
    if (
        pair.logits.info.num_rows is not None
        and pair.logits.info.sample_shape is not None
        and pair.logits.info.plan is None
    ):
        starts = (*documents.starts, pair.logits.info.num_rows)
        runs = zip(documents.starts, starts[1:], documents.steps, strict=True)
        count = sum((stop - start) // steps for start, stop, steps in runs)
        yield "documents", f"--shift counts within each of {count} documents, along the last axis of samples of {path}"
    elif pair.by:
        yield "documents", f"--shift counts within runs of rows that have the same {listing(pair.by)}"
    else:
        yield "documents", f"--shift takes the rows of {path} for one document; --by COLUMN tells several apart"
