"""Notes on decisions about the inputs that the user did not make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import listing
from xent_cli.readers.columns.weight_column import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from xent_cli.readers.interface import Source
    from xent_cli.readers.shards import Shards

_OPTIONS = {"weights": "--sample-weight-column {name} weighs by it", "mask": "--mask {name} leaves out where it is 0"}


def notes(
    inputs: Mapping[str, Source | None], taken: Mapping[str, bool], shift: int, by: tuple[str, ...]
) -> tuple[Diagnostic, ...]:
    """Return notes on unused columns, empty shards, numbered arrays, repeated weights and the documents of a shift.

    Parameters
    ----------
    inputs
        "logits", "labels", "weights" and "mask"; None if they are not separate files.
    taken
        Whether samples have "weights", and a "mask".
    by
        Columns whose values name slices.
    """
    sources = {role: source for role, source in inputs.items() if source is not None}
    found = (
        *_unused(sources, taken),
        *_sharded(sources),
        *_repeated(sources),
        *_documents(sources["logits"], shift, by),
    )
    return tuple(Diagnostic(code, message, note=True) for code, message in found)


def _unused(sources: Mapping[str, Source], taken: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    free = {role: names for role, names in NAMES.items() if not taken.get(role, True)}
    for info in (sources[role].info for role in ("logits", "labels") if role in sources):
        used = set() if info.plan is None else {*info.plan.used}
        unused = () if info.plan is None else [name for name in info.plan.columns if name not in used]
        for role, names in free.items():
            for name in unused:
                if name.strip().lower() in names:
                    hint = _OPTIONS[role].format(name=name)
                    yield f"unused-{role}", f'column "{name}" of {info.path} is not used; {hint}'


def _sharded(sources: Mapping[str, Source]) -> Iterator[tuple[str, str]]:
    if not any(source.info.description.shards for source in sources.values()):
        return
    from xent_cli.readers.shards import Shards

    shards = [source for source in sources.values() if isinstance(source, Shards)]
    yield from _empty(shards)
    yield from _joined(shards)


def _empty(sources: Iterable[Shards]) -> Iterator[tuple[str, str]]:
    for source in sources:
        if source.empty:
            names = ", ".join(source.empty[:3]) + (f" and {len(source.empty) - 3} more" if source.empty[3:] else "")
            yield "empty-shard", f"no rows in {names}: skipped"


def _joined(sources: Iterable[Shards]) -> Iterator[tuple[str, str]]:
    for source in sources:
        paths = source.info.description.shards
        files, names = {path.rpartition(":")[0] for path in paths}, [path.rpartition(":")[2] for path in paths]
        # The : in :// of a URL does not separate an array from its file.
        one_file = len(files) == 1 and not names[0].startswith("//")
        if len(names) > 1 and one_file and source.info.path.startswith(f"{min(files)}:"):
            yield "arrays-joined", f"{names[0]} to {names[-1]} of {min(files)} follow one another: {len(names)} arrays"


def _repeated(sources: Mapping[str, Source]) -> Iterator[tuple[str, str]]:
    roles = {"weights": "weight", "mask": "entry of the mask", "units": "number of units"}
    beside = [role for role in roles if role in sources]
    if not beside:
        return
    from xent_cli.readers.pair.repeated import Repeated

    for role in beside:
        source, what = sources[role], roles[role]
        if isinstance(source, Repeated):
            together = " together" if role == "units" else ""
            yield "repeated", f"each {what} of {source.info.path} is that of {source.times} samples{together}"


def _documents(logits: Source, shift: int, by: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not shift:
        return
    from xent_cli.readers.pair.shifted_labels import documents_of

    documents, info = documents_of(logits), logits.info
    if info.num_rows is not None and info.sample_shape is not None and info.plan is None:
        starts = (*documents.starts, info.num_rows)
        runs = zip(documents.starts, starts[1:], documents.steps, strict=True)
        count = sum((stop - start) // steps for start, stop, steps in runs)
        where = f"within each of {count} documents, along the last axis of samples of {info.path}"
        yield "documents", f"--shift counts {where}"
    elif by:
        yield "documents", f"--shift counts within runs of rows that have the same {listing(by)}"
    else:
        yield (
            "documents",
            f"--shift takes the rows of {info.path} for one document; --cluster COLUMN tells several apart",
        )
