"""Mutate the metadata of small Parquet and Arrow files: python fuzz_columns.py FORMAT FIRST_SEED COUNT.

Numbers in Thrift and flatbuffers are changed in place, so that the file can still be parsed; pages and buffers are
changed too. Prints the seeds whose run ended with an exit code other than 0, 2 or 3, or counted fewer rows than the
file says.
"""

import contextlib
import io
import json
import os
import random
import signal
import struct
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xent_cli.cli import main

N, K = 60, 4
RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(N, K))
LABELS = RNG.integers(0, K, N)
NUMBERS = (0, 1, 2, 7, 30, 127, 128, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1)


def tables():
    """Return small tables of every layout."""
    ids = [f"s{i}" for i in range(N)]
    words = [("cat", "dog", "eel", "fox")[y] for y in LABELS]
    lists = pa.array(LOGITS.tolist(), pa.list_(pa.float32()))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(LOGITS.reshape(-1)), K)
    decimals = [[Decimal(f"{x:.4f}") for x in row] for row in LOGITS]
    wide = {f"logit_{name}": LOGITS[:, i] for i, name in enumerate(("cat", "dog", "eel", "fox"))}
    deep = pa.array([{"a": i, "b": ["x"] * (i % 3)} for i in range(N)])
    return {
        "lists": pa.table({"id": ids, "logits": lists, "label": LABELS}),
        "fixed": pa.table({"logits": fixed, "label": LABELS.astype("i4")}),
        "wide": pa.table({**wide, "label": words, "weight": np.ones(N)}),
        "dictionary": pa.table({**wide, "label": pa.array(words).dictionary_encode(), "id": ids}),
        "decimals": pa.table({"logits": pa.array(decimals, pa.list_(pa.decimal128(12, 4))), "label": LABELS}),
        "deep": pa.table({"deep": deep, "logits": lists.cast(pa.large_list(pa.float32())), "label": LABELS}),
        "halves": pa.table({**{k: v.astype("f2") for k, v in wide.items()}, "label": LABELS.astype("u1")}),
        "nulls": pa.table({**wide, "label": LABELS, "other": [None if i % 2 else i for i in range(N)]}),
    }


def sound(format_name, rng):
    """Return a valid file of the format."""
    table = rng.choice(list(tables().values()))
    stream = io.BytesIO()
    if format_name == "parquet":
        pq.write_table(
            table, stream, row_group_size=rng.choice([20, 25, 60]), compression=rng.choice(["none", "snappy", "zstd"]),
            data_page_version=rng.choice(["1.0", "2.0"]), use_dictionary=rng.random() < 0.5,
            data_page_size=rng.choice([64, 1 << 20]), write_page_checksum=rng.random() < 0.3,
            write_statistics=rng.random() < 0.5,
        )  # fmt: skip
    else:
        options = pa.ipc.IpcWriteOptions(compression=rng.choice([None, None, "lz4", "zstd"]))
        new = pa.ipc.new_file if format_name == "arrow" else pa.ipc.new_stream
        with new(stream, table.schema, options=options) as writer:
            writer.write_table(table, rng.choice([20, 25, 60]))
    return stream.getvalue()


def varint(data, at):
    """Return the value of a variable-length number and the offset of its end."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def spelt(value):
    """Return a number in variable-length encoding."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def walk(data, at, spans):
    """Record where the numbers of a struct in Thrift's compact protocol are; return the offset of its end."""
    while data[at]:
        kind, long = data[at] & 15, not data[at] >> 4
        at += 1
        if long:
            _, at = varint(data, at)
        at = value(data, at, kind, spans)
    return at + 1


def value(data, at, kind, spans):
    """Do the same for one value."""
    if kind in (1, 2):
        return at
    if kind == 3:
        return at + 1
    if kind in (4, 5, 6):
        end = varint(data, at)[1]
        spans.append((at, end))
        return end
    if kind == 7:
        return at + 8
    if kind == 8:
        size, end = varint(data, at)
        spans.append((at, end))
        return end + size
    if kind in (9, 10):
        head = data[at]
        size, at = (head >> 4, at + 1) if head >> 4 < 15 else varint(data, at + 1)
        for _ in range(size):
            at = value(data, at, head & 15, spans)
        return at
    return walk(data, at, spans)


def changed(data, spans, rng):
    """Replace one of the numbers."""
    at, end = rng.choice(spans)
    old, _ = varint(data, at)
    new = rng.choice(
        [*NUMBERS, old + 1, max(0, old - 1), old + 2, max(0, old - 2), old * 2, old ^ 1, rng.randrange(100)]
    )
    return data[:at] + spelt(new) + data[end:]


def mutated_parquet(data, rng):
    """Change numbers of the footer, of a page's header, or bytes of a page."""
    size = int.from_bytes(data[-8:-4], "little")
    body, footer = data[: -8 - size], data[-8 - size : -8]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        kind = rng.random()
        if kind < 0.6:
            spans = []
            walk(footer, 0, spans)
            footer = changed(footer, spans, rng)
        else:
            metadata = pq.ParquetFile(io.BytesIO(data)).metadata
            group = metadata.row_group(rng.randrange(metadata.num_row_groups))
            column = group.column(rng.randrange(group.num_columns))
            at = rng.choice([column.data_page_offset, column.dictionary_page_offset or column.data_page_offset])
            spans = []
            end = walk(body, at, spans)
            if kind < 0.85:
                page = changed(body, spans, rng)
                body = page if len(page) == len(body) or rng.random() < 0.2 else body
            else:
                place = min(end + rng.randrange(max(1, column.total_compressed_size)), len(body) - 1)
                body = body[:place] + bytes([rng.choice([0, 1, 2, 127, 128, 255])]) + body[place + 1 :]
    return body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def mutated_arrow(data, rng):
    """Change words of the flatbuffers: offsets, lengths, types, or of the buffers."""
    data = bytearray(data)
    edges = [i for i in range(0, len(data) - 4, 8) if data[i : i + 4] == b"\xff\xff\xff\xff"] or [0]
    for _ in range(rng.choice([1, 1, 2, 4])):
        start = rng.choice([*edges, len(data) - 400 if len(data) > 400 else 0])
        width = rng.choice([1, 2, 4, 4, 8])
        at = min(start + 8 + rng.randrange(0, 300, width), len(data) - width)
        old = int.from_bytes(data[at : at + width], "little")
        new = rng.choice([*NUMBERS, old + 1, old - 1, old + 8, old * 2, old ^ 1, rng.randrange(100)])
        data[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(data)


def claimed(path, format_name):
    """Return how many rows the file says that it has, if that can be read."""
    try:
        if format_name == "parquet":
            file = pq.ParquetFile(path)
            file.read()  # looking at the metadata of an unreadable file may crash the process
            metadata = file.metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            flat = [i for i in range(metadata.num_columns) if metadata.schema.column(i).max_repetition_level == 0]
            values = [sum(group.column(i).num_values for group in groups) for i in flat]
            return max([metadata.num_rows, sum(group.num_rows for group in groups), *values])
        if format_name == "arrow":
            return pa.ipc.open_file(path).read_all().num_rows
        return pa.ipc.open_stream(path).read_all().num_rows
    except Exception:
        return 0


def run(path):
    """Run the command in this process; return its exit code and how many samples it counted."""
    sys.argv = ["xent", "compute", str(path), "-f", "json", "-q", "--threads", "1"]
    told = path.with_suffix(".json")
    code = told_to(told)
    figures = json.loads(told.read_text())["summary"] if code == 0 else {}
    return code, figures.get("n_samples", 0) + figures.get("n_ignored", 0)


def told_to(told):
    """Run the command in `sys.argv`, with its output in a file; return the exit code."""
    with contextlib.ExitStack() as files:
        files.enter_context(contextlib.redirect_stdout(files.enter_context(told.open("w"))))
        files.enter_context(contextlib.redirect_stderr(files.enter_context(Path(os.devnull).open("w"))))
        try:
            main()
        except SystemExit as stop:
            return stop.code


def inspected(path):
    """Return the exit code of inspect."""
    sys.argv = ["xent", "inspect", str(path), "-f", "json", "-q", "--threads", "1"]
    return told_to(path.with_suffix(".json"))


if __name__ == "__main__":
    format_name, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        path = Path(folder, f"f.{format_name}")
        for seed in range(first, first + count):
            print(seed, file=sys.stderr, flush=True)
            rng = random.Random(seed)
            content = sound(format_name, rng)
            with contextlib.suppress(IndexError, struct.error):  # the changed number has a different length
                content = (mutated_parquet if format_name == "parquet" else mutated_arrow)(content, rng)
            path.write_bytes(content)
            signal.alarm(10)
            code, rows = run(path)
            look = inspected(path) if seed % 5 == 0 else 0
            signal.alarm(0)
            if code not in (0, 2, 3) or look not in (0, 2, 3):
                print(seed, code, look, flush=True)
            elif code == 0 and rows < claimed(path, format_name):
                print(seed, "rows", rows, claimed(path, format_name), flush=True)
