"""A writer of Megatron-LM's caches of a teacher, for tests of any layout; no code is shared with the reader."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa

from tests.torch_writer import Call, Global, Persistent, archive, pickled, tensor

SENTINEL = {1: -1e4, 2: -1e3}


def rounded(values, dtype):
    """Return the bits of values as stored in a dtype."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def payload(batches, dtype="float16", version=2):
    """Return an iteration of [position, sequence, k] batches, each with indices (-1 for none) and log-probabilities."""
    storages = {}

    def saved(values, name):
        key = str(len(storages))
        storages[key] = np.ascontiguousarray(values).tobytes()
        if name == "uint16":  # has no storage class
            held = Persistent(("storage", Global("torch.storage UntypedStorage"), key, "cpu", values.nbytes))
            strides = tuple(int(np.prod(values.shape[i + 1 :])) for i in range(values.ndim))
            hooks = Call("collections OrderedDict")
            return Call(
                "torch._utils _rebuild_tensor_v3",
                (held, 0, values.shape, strides, False, hooks, Global("torch uint16")),
            )
        kind = {"bfloat16": "BFloat16Storage"}.get(name, name)
        return tensor(key, kind, values.size, values.shape)

    tree = {"values": [], "indices_low": [], "bit_17": []}
    for index, log_p in batches:
        values = np.where(index < 0, SENTINEL[version], log_p)
        tree["values"].append(saved(rounded(values, dtype), dtype))
        tree["indices_low"].append(saved((index & 0xFFFF).astype(np.uint16), "uint16"))
        tree["bit_17"].append(saved((index >> 16) != 0, "bool"))
    if version == 2:
        tree = {"format_version": 2, **{name: tensors[0] for name, tensors in tree.items()}}
    stream = io.BytesIO()
    archive(stream, pickled(tree), storages)
    return stream.getvalue()


def packed(content):
    """Return the bytes compressed with zstd."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def write(path, members, meta=True):
    """Write a tar archive of named contents; path may be a stream."""
    where = {"fileobj": path} if hasattr(path, "write") else {"name": path}
    with tarfile.open(mode="w", **where) as tar:
        start = {"_meta.json": json.dumps({"hash": "0", "saver": {"k": 4}}).encode()} if meta else {}
        for name, content in (start | members).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def cache(path, iterations, dtype="float16", version=2):
    """Write a cache of iterations by number, each a list of batches."""
    write(path, {f"{i}.pt.zst": packed(payload(batches, dtype, version)) for i, batches in iterations.items()})
