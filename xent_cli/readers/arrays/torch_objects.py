"""What the names in a torch.save file stand for: tensors, plain values, and what is refused by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from xent_cli.readers.arrays.torch_types import DamagedPickleError, Name, Storage, Tensor, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_RANK = 64
_MAX_NUMBER = 1 << 62
# Size of a value in bytes, by torch's name of its dtype.
ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
    "complex128": 16,
    "complex64": 8,
    "complex32": 4,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
}
# Dtype of the values in a storage, by the storage's class; an untyped storage is counted in bytes.
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "",
}


# Plain values hold no logits and are passed over.
_BUILTINS = frozenset({"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"})
_BUILTINS |= {"range", "set", "slice", "str", "tuple", "xrange"}
_PATHS = frozenset({"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"})
_VALUES = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "_codecs": {"encode"},
    "copyreg": {"_reconstructor"},
    "copy_reg": {"_reconstructor"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "uuid": {"UUID"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"scalar"},
    "numpy._core.multiarray": {"scalar"},
    "torch": {
        "Tensor",
        "device",
        "contiguous_format",
        "channels_last",
        "preserve_format",
        "per_tensor_affine",
        "per_channel_affine",
    },
    "torch.nn.parameter": {"Parameter", "Buffer"},
    "torch.serialization": {"_get_layout"},
}
_DICTS = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter"})
# Hugging Face models return subclasses of dict.
_MODEL_OUTPUT = re.compile(r"(transformers|diffusers)\.[\w.]*Output\w*")
_TENSOR_CLASSES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"})


_SPARSE = Unsupported("a sparse tensor", "tensor.to_dense()")
_ARRAY = Unsupported("a NumPy array", "torch.from_numpy(array)")
_ELSEWHERE = Unsupported("a tensor of another kind of device", "tensor.cpu()")
_SUBCLASS = Unsupported("a subclass of torch.Tensor", "tensor.as_subclass(torch.Tensor)")
_UNSUPPORTED = {
    "torch._utils._rebuild_sparse_tensor": _SPARSE,
    "torch._utils._rebuild_sparse_csr_tensor": _SPARSE,
    "torch._utils._rebuild_qtensor": Unsupported("a quantized tensor", "tensor.dequantize()"),
    "torch._utils._rebuild_nested_tensor": Unsupported("a nested tensor", "list(tensor.unbind())"),
    "torch._utils._rebuild_meta_tensor_no_storage": Unsupported(
        "a tensor on the meta device, which has no values", "model.to('cpu')(inputs)"
    ),
    "torch._utils._rebuild_device_tensor_from_numpy": _ELSEWHERE,
    "torch._utils._rebuild_xla_tensor": _ELSEWHERE,
    "torch._utils._rebuild_wrapper_subclass": _SUBCLASS,
    "numpy.core.multiarray._reconstruct": _ARRAY,
    "numpy._core.multiarray._reconstruct": _ARRAY,
    "numpy.core.numeric._frombuffer": _ARRAY,
    "numpy._core.numeric._frombuffer": _ARRAY,
}


def is_known(module: str, name: str) -> bool:
    """Whether a name stands for something that a file of tensors may hold.

    Examples
    --------
    >>> is_known("torch", "FloatStorage"), is_known("os", "system")
    (True, False)
    """
    full = f"{module}.{name}"
    if module in ("torch", "torch.storage", "torch.cuda"):
        known = name in _STORAGES or name in ITEM_BYTES
    else:
        known = _MODEL_OUTPUT.fullmatch(full) is not None
    return known or full in _CALLS or full in _UNSUPPORTED or full in _DICTS or name in _VALUES.get(module, ())


def meaning_of_call(function: Any, arguments: Any) -> Any:
    """Say what a call stands for; no call is made."""
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise DamagedPickleError
    name = function.name
    if name in _CALLS:
        return _CALLS[name](*arguments)
    if name in _UNSUPPORTED:
        return _UNSUPPORTED[name]
    if name in _DICTS:
        items = arguments[-1] if arguments else ()
        pairs = items.items() if isinstance(items, dict) else items if isinstance(items, list | tuple) else ()
        return {key_text(key): value for key, value in pairs}
    return {} if _MODEL_OUTPUT.fullmatch(name) else Name(name)


def storage_of(identifier: Any) -> Storage:
    """Read a persistent identifier: ("storage", class, key, device, size)."""
    match identifier:
        case ("storage", Name(name), str(key), str(), int(size)) if 0 <= size < _MAX_NUMBER:
            kind = name.rpartition(".")[2]
            if kind in _STORAGES:
                return Storage(key, _STORAGES[kind], size)
    raise DamagedPickleError


def key_text(key: Any) -> str:
    """Return the key of a dict as text.

    Text hashes differently in every process, so no file can make keys collide.

    Examples
    --------
    >>> key_text("logits"), key_text(3)
    ('logits', '3')
    """
    if not isinstance(key, str | int | float | bool | None):
        raise DamagedPickleError
    return str(key)


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *more: Any, dtype: str = "", metadata: Any = None
) -> Tensor | Unsupported:
    """Describe a tensor; `more` is requires_grad, the hooks and the metadata, of which only the last can matter."""
    metadata = more[2] if len(more) > 2 else metadata
    if not (isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)):
        raise DamagedPickleError
    numbers = (offset, *shape, *strides)
    if not all(type(number) is int and 0 <= number < _MAX_NUMBER for number in numbers):
        raise DamagedPickleError
    if len(shape) != len(strides) or len(shape) > _MAX_RANK:
        raise DamagedPickleError
    if metadata:
        # {"neg": True}: the storage holds the values with the opposite sign.
        return Unsupported("a lazily negated or conjugated view", "tensor.resolve_neg().resolve_conj()")
    capacity = storage.size if storage.dtype else storage.size // ITEM_BYTES[dtype]
    return Tensor(storage.key, capacity, storage.dtype or dtype, offset, shape, strides)


def _tensor_with_dtype(
    storage: Any, offset: Any, shape: Any, strides: Any, _: Any, __: Any, dtype: Any, metadata: Any = None
) -> Tensor | Unsupported:
    if not isinstance(dtype, Name) or not isinstance(storage, Storage) or storage.dtype:
        raise DamagedPickleError
    return _tensor(storage, offset, shape, strides, dtype=dtype.name.rpartition(".")[2], metadata=metadata)


def _tensor_of_class(function: Any, kind: Any, arguments: Any, _: Any) -> Any:
    """A tensor with attributes of its own, or of a subclass."""
    if not isinstance(kind, Name) or kind.name not in _TENSOR_CLASSES:
        return _SUBCLASS
    return meaning_of_call(function, arguments)


def _tensor_of_device(tensor: Any, dtype: Any, *_: Any) -> Any:
    same = isinstance(tensor, Tensor) and isinstance(dtype, Name) and dtype.name == f"torch.{tensor.dtype}"
    return tensor if same else _ELSEWHERE


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_CALLS: dict[str, Callable[..., Any]] = {
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_with_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _tensor_of_device,
    "torch._tensor._rebuild_from_type_v2": _tensor_of_class,
}
