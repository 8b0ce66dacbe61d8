"""Mutate valid files of one format and run the command on each: python fuzz.py FORMAT FIRST_SEED COUNT.

Prints the seeds whose run ended with an exit code other than 0, 2 or 3. This is a separate process, so that a crash or
a hang in a library's parser can be seen; the current seed is on standard error.
"""

import contextlib
import io
import json
import lzma
import os
import random
import signal
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.kld_writer import write_kld
from tests.megatron_writer import cache as write_cache
from tests.torch_writer import archive as write_archive
from tests.torch_writer import pickled, tensor
from tests.torch_writer import save as save_torch
from xent_cli.cli import main

N, K = 40, 5
RNG = np.random.default_rng(7)
LOGITS = RNG.normal(size=(N, K))
LABELS = RNG.integers(0, K, N)


def records(dtype):
    """Return a structured array, with logits and labels in the fields of these names."""
    made = np.zeros(N, dtype)
    for name in made.dtype.names:
        if name == "logits":
            made[name] = LOGITS
        elif name.startswith("logit_"):
            made[name] = LOGITS[:, int(name[-1])]
        elif name == "label":
            made[name] = LABELS
    return made


def highest(format_name):
    """Return a file with the three highest of each row, of a teacher or next to labels."""
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    index = np.argsort(-log_p, axis=1)[:, :3]
    values = np.take_along_axis(log_p, index, axis=1)
    pairs = list(zip(index.tolist(), values.tolist(), LABELS.tolist(), strict=True))
    stream = io.BytesIO()
    if format_name == "top.npz":
        np.savez_compressed(stream, indices=index, values=values)
    elif format_name == "top.tar":
        write_cache(stream, {i: [(index[None, i::2], values[None, i::2])] for i in (0, 1)}, "float32")
    elif format_name == "top.parquet":
        pq.write_table(
            pa.table({"top_ids": index.tolist(), "top_logprobs": values.tolist()}), stream, row_group_size=15
        )
    elif format_name == "top.jsonl":
        rows = [{"top_ids": i, "top_logprobs": v} for i, v, _ in pairs]
        stream.write("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    elif format_name == "maps.jsonl":
        rows = [{"top_logprobs": dict(zip(map(str, i), v, strict=True)), "label": str(y)} for i, v, y in pairs]
        stream.write("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    else:
        names = [f"top{r}_{what}" for r in range(3) for what in ("id", "logprob")]
        rows = [",".join(repr(x) for pair in zip(i, v, strict=True) for x in pair) + f",{y}" for i, v, y in pairs]
        stream.write("\n".join([",".join([*names, "label"]), *rows, ""]).encode())
    return stream.getvalue()


# Files of a teacher, used with logits in a separate file.
TEACHERS = ("top.npz", "top.tar", "top.parquet", "top.jsonl")


def sound(format_name):
    """Return a valid file of the format with logits and, except for .npy, labels."""
    stream = io.BytesIO()
    table = pa.table({"id": [f"s{i}" for i in range(N)], "logits": LOGITS.tolist(), "label": LABELS})
    wide = pa.table({**{f"c{i}": LOGITS[:, i] for i in range(K)}, "label": [f"c{y}" for y in LABELS]})
    if format_name == "npy":
        np.save(stream, LOGITS)
    elif format_name == "records.npy":
        np.save(stream, records([("id", "U4"), ("logits", "<f4", (K,)), ("label", "u1")]))
    elif format_name == "records.npz":
        held = records([*((f"logit_{i}", ">f8") for i in range(K)), ("label", "<i8"), ("at", [("ok", "?")])])
        np.savez_compressed(stream, held)
    elif format_name == "pieces.npz":
        cuts = dict(enumerate(np.array_split(LOGITS, 3)))
        np.savez(stream, **{f"logits_{i}": part for i, part in cuts.items()}, labels=LABELS)
    elif format_name == "pieces.safetensors":
        from safetensors.numpy import save

        cuts = dict(enumerate(np.array_split(LOGITS, 3)))
        stream.write(save({**{f"logits.{i}": part for i, part in cuts.items()}, "labels": LABELS}))
    elif format_name == "npz":
        np.savez_compressed(stream, logits=LOGITS, labels=LABELS)
    elif format_name == "stored.npz":
        np.savez(stream, logits=LOGITS, labels=LABELS)
    elif format_name == "safetensors":
        from safetensors.numpy import save

        stream.write(save({"logits": LOGITS, "labels": LABELS}))
    elif format_name == "pt":
        save_torch(stream, [{"logits": LOGITS[i : i + 20], "labels": LABELS[i : i + 20]} for i in (0, 20)])
    elif format_name == "views.pt":
        stored = np.repeat(LOGITS.T, 2)
        logits = tensor("0", "float64", stored.size, (N, K), (2, 2 * N))
        views = {"logits": logits, "labels": tensor("1", "int64", N, (N,))}
        write_archive(stream, pickled({"step": 7, "val": views}), {"0": stored.tobytes(), "1": LABELS.tobytes()})
    elif format_name == "parquet":
        pq.write_table(table, stream, row_group_size=15)
    elif format_name == "wide.parquet":
        pq.write_table(wide, stream, compression="zstd")
    elif format_name == "arrow":
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table, 15)
    elif format_name == "arrows":
        with pa.ipc.new_stream(stream, wide.schema) as writer:
            writer.write_table(wide, 15)
    elif format_name == "jsonl":
        for row in table.to_pylist():
            stream.write((str(row).replace("'", '"') + "\n").encode())
    elif format_name == "json":
        stream.write(json.dumps({"logits": LOGITS.tolist(), "labels": LABELS.tolist()}, indent=1).encode())
    elif format_name == "records.json":
        rows = [
            dict(zip("abcde", row, strict=True), label="abcde"[y])
            for row, y in zip(LOGITS.tolist(), LABELS, strict=True)
        ]
        stream.write(json.dumps(rows).encode())
    elif format_name == "nested.jsonl":
        for row, y in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
            scores = [{"label": name, "score": x} for name, x in zip("abcde", row, strict=True)]
            stream.write(
                f"{json.dumps({'prediction': {'text': 'x', 'scores': scores}, 'label': 'abcde'[y]})}\n".encode()
            )
    elif format_name == "completions.jsonl":
        for i, row in enumerate(LOGITS):
            content = [{"token": "a", "logprob": -abs(x), "bytes": [97], "top_logprobs": []} for x in row.tolist()]
            choice = {"index": 0, "logprobs": {"content": content}, "finish_reason": "stop"}
            stream.write(f"{json.dumps({'id': f'chatcmpl-{i}', 'choices': [choice]})}\n".encode())
    elif format_name == "llama.jsonl":
        for row in LOGITS:
            held = [
                {"id": 1, "token": "a", "bytes": [97], "logprob": -abs(x), "top_logprobs": []} for x in row.tolist()
            ]
            made = {"content": "a", "stop": True, "tokens_predicted": K, "completion_probabilities": held}
            stream.write(f"{json.dumps(made)}\n".encode())
    elif format_name == "older.jsonl":
        for row in LOGITS:
            held = [{"content": "a", "probs": [{"tok_str": "a", "prob": np.exp(-abs(x))}]} for x in row.tolist()]
            stream.write(f"{json.dumps({'content': 'a', 'completion_probabilities': held})}\n".encode())
    elif format_name == "samples.jsonl":
        for i, (row, y) in enumerate(zip(LOGITS.tolist(), LABELS.tolist(), strict=True)):
            held = [[str(-abs(x)), "False"] for x in row[: 3 + i % 3] + row[y : y + 1]]
            beside = {"doc_id": i, "doc": {"subject": "law", "of": {"year": i}}, "target": str(min(y, 2))}
            stream.write(f"{json.dumps(beside | {'filtered_resps': held, 'filter': 'none'})}\n".encode())
    elif format_name in ("top.npz", "top.tar", "top.parquet", "top.jsonl", "ranks.csv", "maps.jsonl"):
        stream.write(highest(format_name))
    elif format_name == "kld":
        write_kld(stream, LOGITS.reshape(8, 5, K) * 9, np.zeros((8, 11), "i4"), 11)
    elif format_name == "txt":
        stream.write(b"# logit_0 logit_1 logit_2 logit_3 logit_4 label\n")
        np.savetxt(stream, np.column_stack([LOGITS, LABELS]), fmt="%12.6f")
    elif format_name == "cells.csv":
        rows = [f'{y},"{np.array2string(row, max_line_width=30)}"' for row, y in zip(LOGITS, LABELS, strict=True)]
        stream.write("\n".join(["sep=,", "label,logits", *rows, ""]).encode("utf-16"))
    elif format_name == "csv.zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", sound("csv"))
    elif format_name == "csv.xz":
        stream.write(lzma.compress(sound("csv")))
    else:
        rows = [",".join(map(repr, row.tolist())) + f',"{label}"' for row, label in zip(LOGITS, LABELS, strict=True)]
        text = "\n".join(["logit_0,logit_1,logit_2,logit_3,logit_4,label", *rows, ""]).encode()
        if format_name == "csv.gz":
            import gzip

            text = gzip.compress(text)
        stream.write(text)
    return stream.getvalue()


TOKENS = [
    b"",
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"-1",
    b"nan",
    b"1e999",
    b"\n",
    b'"',
    b",",
    b"\r",
    b"{",
    b"\x7f\xff\xff\xff",
]
TOKENS += [b"\x7f\xff\xff\xff", b"[" * 50, b"9" * 30]


def mutated(content, seed):
    """Return the content with some bytes changed, cut, repeated, moved or replaced by what parsers dislike."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not data:
            break
        # Half of the time near either end, where headers and footers are.
        limit = min(len(data), rng.choice([100, 400, len(data)]))
        at = rng.randrange(limit) if rng.random() < 0.6 else len(data) - 1 - rng.randrange(limit)
        span = rng.choice([1, 2, 4, 8, 60])
        kind = rng.randrange(7)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x0A])
        elif kind == 2:
            del data[at : at + span]
        elif kind == 3:
            data[at:at] = data[at : at + span] * rng.choice([1, 2, 50])
        elif kind == 4:
            data[at : at + span] = rng.randbytes(span)
        elif kind == 5:
            data[at : at + rng.choice([0, 1, 4])] = rng.choice(TOKENS)
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def run(path, labels):
    """Run the command in this process, and return its exit code."""
    operands = [str(path), *labels] if "--labels-from" not in labels else [labels[0], str(path), *labels[1:]]
    sys.argv = ["xent", "compute", *operands, "-f", "json", "-q", "--threads", "1"]
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        try:
            main()
        except SystemExit as stop:
            return stop.code


if __name__ == "__main__":
    format_name, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    content = sound(format_name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        path = Path(folder, f"f.{format_name}")
        np.save(Path(folder, "y.npy"), LABELS)
        labels = [str(Path(folder, "y.npy"))] if format_name == "npy" else []
        if format_name in TEACHERS:
            np.save(Path(folder, "z.npy"), LOGITS)
            labels = [str(Path(folder, "z.npy")), "--labels-from", "log-probs"]
        path.write_bytes(content)
        assert run(path, labels) == 0
        for seed in range(first, first + count):
            print(seed, file=sys.stderr, flush=True)
            path.write_bytes(mutated(content, seed))
            signal.alarm(20)
            code = run(path, labels)
            signal.alarm(0)
            if code not in (0, 2, 3):
                print(seed, code, flush=True)
