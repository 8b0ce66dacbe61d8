"""Recognise the format of an input by its content, and open it."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.interface import ARRAYS, MEGATRON, RESPONSES, SAMPLES, Classes
from xent_cli.readers.storage.locate import Located, locate
from xent_cli.readers.storage.reading import BOM, is_url
from xent_cli.readers.storage.stored import Stored, recognised

if TYPE_CHECKING:
    from xent_cli.readers.interface import Opener, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes

# Message for a file without rows; among shards such a file is skipped.
_EMPTY = "empty file"
# A text file of at most this many bytes is searched for rows when it is opened.
_SHORT = 1 << 14
# Enough for the header of any array.
_HEAD_BYTES = (1 << 16) + 12
_MAGICS = (
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"PK\3\4", "npz"),
    (b"PK\5\6", "npz"),
    (b"ARROW1", "arrow"),
    (b"_logits_", "kld"),
    (b"\xff\xff\xff\xff", "arrow"),
)
# The reader of each format: a module under readers, and its `Opener`.
_READERS = {
    "npy": ("arrays.npy", "open_npy"),
    "raw": ("arrays.raw", "open_raw"),
    "npz": ("arrays.npz", "open_npz"),
    "torch": ("arrays.torch_save", "open_torch_save"),
    "safetensors": ("arrays.safetensors", "open_safetensors"),
    "parquet": ("columnar.parquet", "open_parquet"),
    "arrow": ("columnar.arrow", "open_arrow"),
    "json": ("text.json_file", "open_json"),
    "jsonl": ("text.jsonl", "open_jsonl"),
    "csv": ("text.csv", "open_csv"),
    "kld": ("language_models.kld", "open_kld"),
    RESPONSES: ("language_models.completions", "open_completions"),
    SAMPLES: ("language_models.harness", "open_samples"),
    MEGATRON: ("language_models.megatron", "open_megatron"),
}
_NO_CLASSES = Classes()
_BINARY_SUFFIXES = (".npy", ".npz", ".parquet", ".safetensors", ".arrow", ".feather")
# How texts that are not tables begin: web pages, documents, protocol-0 pickles.
_TEXTS = (b"<", b"%PDF", b"HEADER RECORD", b"(lp0", b"(dp0", b"ccopy_reg\n_rec", b"cnumpy.")
# An array as numpy prints it: two numbers without a comma between them.
_NUMPY_ROW = re.compile(rb"\[\s*[-+]?[0-9][-+.0-9e]*\s+[-+.0-9]")
# Patterns in the first lines of text from other programs, which are rare in tables.
_OTHER_TEXTS = (b"@", b"inst#", b"__label__", b":", b" |", b"\n|", b"[")
_FIRST_LINES = 1 << 12
# Keys in the JSON that programs write which run language models.
_KEYS = b"""choices custom_id tokens_predicted completion_probabilities meta_info output doc_id filtered_resps
    candidates prefill done"""
_OF_PROGRAMS = tuple(b'"%b"' % key for key in _KEYS.split())
# How server-sent events begin, and few tables do.
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")
# The name of the first member of a tar archive that Megatron-LM wrote.
_CACHED = re.compile(rb"(_meta\.json|\d+\.pt\.zst)\0")
# This many bytes of a file are checked to see whether it is text.
_LOOKED_AT = 256


def open_source(path: str | Located, role: str, options: ReadOptions, classes: Classes = _NO_CLASSES) -> Source:
    """Open an input in a role.

    Parameters
    ----------
    path
        What the user typed (a file, a folder or glob of shards, a URL, or - for standard input), or the files found
        there.
    role
        "logits", "labels", "weights", "mask", "units" or "groups"; "names" only lists the columns of a table.
    classes
        The class axis of an array, and what is known about the classes from the logits.

    Raises
    ------
    InputError
        If there is no such file, its format is unknown, or shards do not match.
    """
    located = locate(path) if isinstance(path, str) else path
    # Logits, losses and gradients may be arrays of one file.
    buffer = f"{role} {options.logits_column} {options.run.values_only} of {located.name}"
    options = options._replace(run=options.run._replace(buffer_name=buffer))
    classes = classes._replace(names=classes.names or options.class_names)
    if located.sharded:
        sources, empty = _open_shards(located, role, options, classes)
    else:
        sources, empty = [_open_alone(located.files[0], role, options, classes)], []
    if not sources:
        raise InputError("no rows", located.name, found=f"{len(empty)} files, all empty", expected="at least one row")
    if role == "labels" and sources[0].info.format in ARRAYS:
        sources = _as_indices(sources, options, classes)
    if sources[0].info.format == SAMPLES and len(sources) > 1:
        from xent_cli.readers.language_models.harness import of_one_width

        sources = of_one_width(sources)
    if len(sources) == 1 and not located.sharded:
        return sources[0]
    from xent_cli.readers.shards import join

    return join(located.name, role, sources, classes.axis, tuple(empty))


def _open_shards(located: Located, role: str, options: ReadOptions, classes: Classes) -> tuple[list[Source], list[str]]:
    """Open shards in order, several at a time from a bucket; return them, and the names of empty ones."""

    def open_one(place: int, classes: Classes) -> Source | None:
        known = options.known
        if located.partitions:
            known = known._replace(partitions=located.partitions[place])
        return _open_shard(located.files[place], role, options._replace(known=known), classes)

    found: list[Source | None] = []
    while len(found) < len(located.files) and (not found or found[-1] is None):
        found.append(open_one(len(found), classes))
    first = found[-1]
    if first is not None and role == "logits":  # all shards are read like the first one with rows
        classes = classes._replace(like=first.info.plan)
    rest = range(len(found), len(located.files))
    if rest and is_url(located.files[0].name):
        from xent_cli.readers.storage.parallel import in_parallel

        found += in_parallel(partial(open_one, classes=classes), rest)
    else:
        found += [open_one(place, classes) for place in rest]
    empty = [file.name for file, source in zip(located.files, found, strict=True) if source is None]
    return [source for source in found if source is not None], empty


def _open_shard(file: Bytes, role: str, options: ReadOptions, classes: Classes) -> Source | None:
    """Open one of several files, which is closed again when it has been described; return None if it is empty."""
    assert isinstance(file, Stored)
    shard = recognised(file)
    try:
        source = _open(shard, role, options, classes)
        return None if _is_empty(source, shard) else source
    except InputError as error:
        if error.what not in (_EMPTY, "no rows"):
            raise
        return None
    finally:
        if shard.opened is not None:
            shard.opened.release()


def _open_alone(file: Bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open the only file of an input, which stays open if threads may share it."""
    try:
        return _open(file, role, options, classes)
    finally:
        if isinstance(file, Stored) and file.opened is not None and not file.opened.shared:
            file.opened.release()


def _open(source: Bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    if options.run.two_passes and not source.rereadable:
        source = _seekable(source)
    head = source.peek(_HEAD_BYTES)
    raw = _is_raw(source.name, head, role, options)
    if not raw and head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        from xent_cli.readers.text.rewritten import in_utf8

        source = in_utf8(source, head)
        head = source.peek(_HEAD_BYTES)
    plays = "values" if options.run.values_only else role
    format_name = "raw" if raw else options.input_format or format_of(source.name, head, plays)
    if options.shift and role == "logits" and format_name not in ARRAYS and not source.rereadable:
        source = _seekable(source)  # columns beside a label are read separately from the logits
    if format_name == "npz" and not options.input_format:
        from xent_cli.readers.storage.zipped_table import zipped_table

        source = _seekable(source)
        if (table := zipped_table(source)) is not None:
            return _open(table, role, options, classes)
    if format_name == "json" and not options.input_format and any(mark in head for mark in _OF_PROGRAMS):
        from xent_cli.readers.language_models.recognise import program_of

        format_name = program_of(source, head) or format_name
    module, function = _READERS[format_name]
    open_format: Opener = getattr(import_module(f"xent_cli.readers.{module}"), function)
    return open_format(source, head, role, options, classes)


def _seekable(source: Bytes) -> Stored:
    from xent_cli.readers.storage.pipe import seekable

    return seekable(source)


def _is_empty(source: Source, file: Bytes) -> bool:
    """Whether a shard is known to have no rows, from its header or, if it is a short text, from its content."""
    info = source.info
    if info.num_rows is not None:
        return info.num_rows == 0
    short = info.rereadable and not is_url(file.name) and len(file.peek(_SHORT)) < _SHORT
    return short and next(source.parts(), None) is None


def _as_indices(sources: list[Source], options: ReadOptions, classes: Classes) -> list[Source]:
    """Return labels of arrays as class indices, if they are names or numbers of classes."""
    known = options.known
    if any(source.info.dtype.kind in "US" for source in sources):
        from xent_cli.readers.class_names import named

        sources = [named(source, classes.names, known.class_columns, lenient=known.lenient) for source in sources]
    if known.label_numbers:
        from xent_cli.readers.numbered_labels import by_number

        ignored = frozenset(options.ignored)
        sources = [by_number(source, known.label_numbers, ignored, lenient=known.lenient) for source in sources]
    return sources


def _is_raw(name: str, head: bytes, role: str, options: ReadOptions) -> bool:
    """Whether the user says that an input is raw numbers, and its content does not contradict that."""
    said = (role == "logits" and options.shape) or (role == "labels" and options.labels_dtype)
    if not said or not head or options.run.values_only:
        return False
    from xent_cli.readers.arrays.raw import are_numbers

    return are_numbers(name, head)


def format_of(name: str, head: bytes, role: str = "values") -> str:
    """Return the name of the format that begins with these bytes.

    Examples
    --------
    >>> format_of("x", b"PAR1...."), format_of("x", b"1,2")
    ('parquet', 'csv')
    """
    if not head:
        raise InputError(_EMPTY, name, found="0 bytes", hint="did the program that writes it end without an error?")
    for magic, format_name in _MAGICS:
        if head.startswith(magic):
            return archive_format(head) if format_name == "npz" else format_name
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":  # a header length below 1 TiB, then its first byte
        return "safetensors"
    if head.startswith(b"ustar", 257) and _CACHED.match(head):
        return MEGATRON
    text = head.removeprefix(BOM).lstrip()
    if text.startswith((b"{", b"[")) and not _NUMPY_ROW.match(text):
        return "json"
    if text.startswith(_TEXTS) or not _looks_like_text(head[:_LOOKED_AT]):
        from xent_cli.readers.foreign_formats.refuse import refuse_foreign

        refuse_foreign(name, text if text.startswith(_TEXTS) else head)
    if text.startswith(_EVENTS):
        from xent_cli.readers.language_models.event_streams import is_event_stream

        if is_event_stream(text):
            return RESPONSES
    suffix = PurePath(name).suffix.lower()
    if suffix in _BINARY_SUFFIXES and suffix != ".npy" and not _looks_like_text(head[:8]):
        raise InputError(
            "content does not fit the name",
            name,
            found=f"bytes {head[:6]!r}",
            expected=f"a {suffix} file",
            hint="the file is damaged, or of another format",
        )
    if not _looks_like_text(head[:_LOOKED_AT]):
        from xent_cli.readers.arrays.raw import refuse_numbers

        refuse_numbers(name, head, role)
    beginning = text[:_FIRST_LINES]
    if any(mark in beginning for mark in _OTHER_TEXTS):
        from xent_cli.readers.foreign_formats.texts import refuse_text

        refuse_text(name, beginning.decode(errors="replace"))
    return "csv"


def archive_format(head: bytes) -> str:
    """Return the format of a zip archive from its first member: torch.save writes a pickle first."""
    length = int.from_bytes(head[26:28], "little")
    return "torch" if head[30 : 30 + length].endswith(b"/data.pkl") else "npz"


def _looks_like_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)
