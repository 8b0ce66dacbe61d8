"""What a torch.save file may describe: tensors, the storages that they are views of, and everything else."""

from __future__ import annotations

from dataclasses import dataclass

SAVE_LINE = "torch.save({'logits': logits, 'labels': labels}, 'outputs.pt')"


class DamagedPickleError(Exception):
    """A pickle contradicts itself."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a function, class or constant in the pickle, or of what a call returns: never the object itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """The values that tensors are views of.

    Fields
    ------
    key
        Its name in the file.
    dtype
        torch's name of it; "" if the storage is untyped.
    size
        Number of values, or of bytes if it is untyped.
    """

    key: str
    dtype: str
    size: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A strided view of a storage.

    Fields
    ------
    storage
        Name of the storage in the file.
    capacity
        How many values the file says that the storage holds.
    dtype
        torch's name of it, such as "bfloat16".
    offset, strides
        In values, not bytes.
    """

    storage: str
    capacity: int
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Numbers that are not a plain tensor.

    Fields
    ------
    what
        What they are, with an article.
    plain
        A Python expression that turns it into a plain tensor, which can be read.
    """

    what: str
    plain: str


def save_line(expression: str, role: str) -> str:
    """The line that saves the value of an expression.

    Examples
    --------
    >>> save_line("tensor.to_dense()", "labels")
    "torch.save(tensor.to_dense(), 'labels.pt')"
    """
    return f"torch.save({expression}, '{role}.pt')"
