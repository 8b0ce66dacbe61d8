"""Names for the tensors in nested dicts, lists and tuples, and which of them are pieces of one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.readers.arrays.torch_pickle import damaged, too_many_objects
from xent_cli.readers.arrays.torch_types import Storage, Tensor, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

# Name given to the tensor of a file that holds a single one without a name.
BARE = "tensor"
_MAX_DEPTH = 32
_MAX_VISITS = 1_500_000


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors of a list that are pieces of one array, along its first axis: each with its own name."""

    pieces: tuple[tuple[str, Tensor], ...]


Array = Tensor | Unsupported | Joined


def name_tensors(tree: Any, path: str) -> dict[str, Array]:
    """Name everything in a file that holds numbers.

    Entries of nested dicts are named by their keys, with dots between them. A list of tensors that are alike, such as
    batches, is one array, and a list of dicts is one array for each key. Items of other lists are named by position.

    Parameters
    ----------
    path
        Of the file, for messages.

    Examples
    --------
    >>> x = Tensor("0", 6, "float32", 0, (2, 3), (3, 1))
    >>> list(name_tensors({"val": {"logits": x}, "epoch": 3}, "a.pt"))
    ['val.logits']
    >>> list(name_tensors([{"logits": x}, {"logits": x}], "a.pt"))
    ['logits']
    """
    return _Walk(path).arrays(tree, "", 0)


class _Walk:
    """A bounded walk through nested containers, which may refer to one another many times over."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._visits = 0

    def arrays(self, value: Any, prefix: str, depth: int) -> dict[str, Array]:
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise too_many_objects(self._path, f"more than {_MAX_VISITS:,} objects")
        if depth > _MAX_DEPTH:
            raise too_many_objects(self._path, f"dicts and lists nested more than {_MAX_DEPTH} deep")
        if isinstance(value, Tensor | Unsupported):
            return {prefix or BARE: value}
        if isinstance(value, Storage):
            return {prefix or BARE: Unsupported("a storage", "tensor")}
        if isinstance(value, dict):
            return self._merged((self.arrays(item, _dotted(prefix, key), depth + 1) for key, item in value.items()))
        if not isinstance(value, list | tuple) or not value:
            return {}
        if all(isinstance(item, int | float) for item in value):
            return {prefix or BARE: Unsupported(f"a list of {len(value)} Python numbers", "torch.tensor(numbers)")}
        items = [self.arrays(item, _dotted(prefix, str(place)), depth + 1) for place, item in enumerate(value)]
        if all(isinstance(item, Tensor) for item in value) and _alike(value):
            return {prefix or BARE: _join([found for item in items for found in item.items()])}
        if all(isinstance(item, dict) for item in value):
            return self._by_key(value, items, prefix)
        sizes = {len(item) if isinstance(item, tuple) else 0 for item in value}
        if len(value) > 1 and len(sizes) == 1 and sizes != {0}:  # one tuple per batch
            return self._by_key([dict(enumerate(item)) for item in value], items, prefix)
        return self._merged(items)

    def _by_key(self, values: Any, items: list[dict[str, Array]], prefix: str) -> dict[str, Array]:
        """Join the tensors under the same key of each item."""
        found: dict[str, list[tuple[str, Array]]] = {}
        for place, item in enumerate(items):
            start = len(_dotted(prefix, str(place))) + 1
            for name, array in item.items():
                found.setdefault(_dotted(prefix, name[start:]), []).append((name, array))
        return {name: _joined(pieces, len(values)) for name, pieces in found.items()}

    def _merged(self, groups: Any) -> dict[str, Array]:
        merged: dict[str, Array] = {}
        for group in groups:
            for name, array in group.items():
                if name in merged:
                    raise damaged(self._path, f'two tensors called "{name}"')
                merged[name] = array
        return merged


def _joined(pieces: list[tuple[str, Array]], wanted: int) -> Array:
    if len(pieces) < wanted:
        return Unsupported(f"in {len(pieces)} of {wanted} items of a list", "[tensor for every item]")
    flat: list[tuple[str, Tensor]] = []
    for name, array in pieces:
        if isinstance(array, Unsupported):
            return array
        flat.extend(array.pieces if isinstance(array, Joined) else [(name, array)])
    return _join(flat)


def _join(pieces: list[tuple[str, Any]]) -> Array:
    return pieces[0][1] if len(pieces) == 1 else Joined(tuple(pieces))


def _alike(tensors: Sequence[Tensor]) -> bool:
    """Whether tensors may be pieces of one array: batches, each perhaps padded to a different length."""
    first, *rest = tensors
    for tensor in rest:
        sides = list(zip(tensor.shape, first.shape, strict=False))
        if tensor.dtype != first.dtype or len(tensor.shape) != len(first.shape):
            return False
        if len(sides) > 1 and sides[-1][0] != sides[-1][1] and sides[1][0] != sides[1][1]:
            return False
    return True


def _dotted(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key
