"""A writer of torch.save files, for large and hostile ones; it shares no code with torch or with the reader."""

import io
import math
import pickle
import struct
import zipfile
from dataclasses import dataclass

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclass(frozen=True)
class Global:
    """A name in a pickle: "module name"."""

    name: str


@dataclass(frozen=True)
class Call:
    """A call of a named function or class."""

    name: str
    arguments: tuple = ()


@dataclass(frozen=True)
class Persistent:
    """A persistent identifier."""

    identifier: object


@dataclass(frozen=True)
class Opcodes:
    """Bytes that go into the pickle unchanged."""

    content: bytes


def pickled(value):
    """Return a pickle of protocol 2."""
    return b"\x80\x02" + _pushed(value) + b"."


def _pushed(value):
    match value:
        case Opcodes(content):
            return content
        case Global(name):
            return b"c" + name.replace(" ", "\n").encode() + b"\n"
        case Call(name, arguments):
            return _pushed(Global(name)) + _pushed(arguments) + b"R"
        case Persistent(identifier):
            return _pushed(identifier) + b"Q"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(content)]) + content
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(_pushed, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_pushed, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_pushed(key) + _pushed(item) for key, item in value.items()) + b"u"
        case _:
            raise TypeError(value)


def storage(key, dtype, size, device="cpu"):
    """Return a storage as torch describes it."""
    return Persistent(("storage", Global(f"torch {STORAGES.get(dtype, dtype)}"), key, device, size))


def tensor(key, dtype, size, shape, strides=None, offset=0, metadata=None, device="cpu"):
    """Return a view of a storage with this many values; contiguous without strides."""
    if strides is None:
        strides = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    more = () if metadata is None else (metadata,)
    hooks = Call("collections OrderedDict")
    arguments = (storage(key, dtype, size, device), offset, tuple(shape), tuple(strides), False, hooks, *more)
    return Call("torch._utils _rebuild_tensor_v2", arguments)


def archive(path, content, storages=None, *, root="archive", compression=zipfile.ZIP_STORED, **more):
    """Write a zip archive: the pickle, the storages by key, and `more` members; path may be a stream."""
    members = {"data.pkl": content, "byteorder": b"little", "version": b"3\n"} | more
    members |= {f"data/{key}": value for key, value in (storages or {}).items()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, value in members.items():
            if value is not None:
                file.writestr(f"{root}/{name}", value)


def save(path, tree, **more):
    """Write NumPy arrays in dicts, lists and tuples as torch.save would; path may be a stream."""
    storages = {}

    def described(value):
        match value:
            case dict():
                return {key: described(item) for key, item in value.items()}
            case list() | tuple():
                return type(value)(described(item) for item in value)
            case int() | float() | str() | None:
                return value
        key = str(len(storages))
        storages[key] = value.tobytes()
        return tensor(key, value.dtype.name, value.size, value.shape)

    content = pickled(described(tree))
    archive(path, content, storages, **more)


def saved(tree):
    """Return the bytes of such a file."""
    stream = io.BytesIO()
    save(stream, tree)
    return stream.getvalue()


def calls(function, *arguments):
    """Return a pickle that would call a function if it were loaded, as Python itself writes it."""

    class Hostile:
        def __reduce__(self):
            return function, arguments

    return pickle.dumps({"logits": Hostile()}, protocol=2)
