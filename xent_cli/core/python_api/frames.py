"""Turn frames and series of pandas or polars into arrays, matching classes by name; neither library is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.labels.class_order import numbers_of, order_of, without_shared
from xent_cli.errors import InputError, RowError, did_you_mean, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import AnyArray

# Columns of whole numbers with these names are not classes, if other columns are floats.
_NOT_CLASSES = frozenset(
    (
        "id",
        "index",
        "row",
        "row_id",
        "sample",
        "sample_id",
        "label",
        "labels",
        "target",
        "targets",
        "y",
        "y_true",
        "fold",
    )
)


class Arrays(NamedTuple):
    """The arguments as plain arrays."""

    logits: Any
    labels: Any
    class_weight: Any = None
    sample_weight: Any = None


def unframed(
    logits: Any,
    labels: Any,
    class_weight: Any = None,
    sample_weight: Any = None,
    *,
    axis: int = -1,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
) -> Arrays:
    """Turn frames and series into arrays; other arguments are returned unchanged.

    Parameters
    ----------
    logits
        The columns of a frame name the classes.
    labels
        Text is matched with these names, and so are the columns of a frame of probabilities.
    class_weight
        A mapping or a series is matched with these names too.
    ignore_index
        Labels that need not name a class.
    mask
        0 where a label need not be valid.

    Raises
    ------
    InputError
        Rows are in a different order, a column is not numeric, or names are ambiguous.

    Examples
    --------
    >>> unframed([[1.0, 2.0]], [1]).labels
    array([1])
    """
    names = _column_names(logits) if axis in (-1, 1) else None
    for what, other in (("labels", labels), ("sample weights", sample_weight), ("masks", mask)):
        refuse_other_order(logits, other, what)
    if names is not None:
        _refuse_no_class(logits, labels, names)
        logits = _numbers(logits, names)
    theirs = _column_names(labels) if axis in (-1, 1) else None
    if theirs is not None:
        labels = _numbers(labels, theirs)
        if names is not None and labels.shape == logits.shape:
            labels = labels[:, list(_order(names, theirs, "labels"))]
    elif names is None or np.shape(labels) != np.shape(logits):
        ignored = () if ignore_index is None else np.atleast_1d(ignore_index).tolist()
        labels = _indices(labels if mask is None else _blanked(labels, np.asarray(mask)), names, ignored)
    if hasattr(class_weight, "keys"):
        count = np.shape(logits)[axis]
        known = names or [str(number) for number in range(count)]
        entries = list(class_weight.items())
        keys, weights = [str(key) for key, _ in entries], [weight for _, weight in entries]
        class_weight = np.asarray(weights, np.float64)[list(_order(known, keys, "class weights"))]
    return Arrays(logits, labels, class_weight, sample_weight)


def _column_names(frame: Any) -> list[str] | None:
    """Return the names of the columns of a frame; None for anything else."""
    if not hasattr(frame, "columns") or not hasattr(frame, "__array__") or len(np.shape(frame)) != 2:
        return None
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        repeated = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError("two columns with the same name", found=f'"{repeated}"', expected="a name for each class")
    return names


def refuse_other_order(logits: Any, other: Any, what: str) -> None:
    """Refuse rows that are in a different order than the logits according to their pandas indices.

    Raises
    ------
    InputError
        Naming the first row that differs.
    """
    ours: Any = getattr(logits, "index", None)
    theirs: Any = getattr(other, "index", None)
    if not hasattr(ours, "equals") or not hasattr(theirs, "equals") or len(ours) != len(theirs) or ours.equals(theirs):
        return
    if set(ours) == set(theirs):
        row = next(row for row, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        raise InputError(
            f"{what} are in a different order",
            found=f"row {row} is {ours[row]} in the logits and {theirs[row]} in the {what}",
            expected="the same index",
            hint=f"{what.replace(' ', '_')}.loc[logits.index] puts them in order",
        )


def _refuse_no_class(logits: Any, labels: Any, names: list[str]) -> None:
    """Refuse a frame that contains its labels or ids as well."""
    kinds = [np.dtype(str(dtype).lower()).kind if _is_plain(dtype) else "O" for dtype in _dtypes(logits)]
    name = getattr(labels, "name", None)
    others = [
        column
        for column, kind in zip(names, kinds, strict=True)
        if (isinstance(name, str) and column == name)
        or (kind in "iub" and "f" in kinds and column.lower() in _NOT_CLASSES)
    ]
    if others:
        raise InputError(
            "columns that are not classes",
            found=f"{listing(others)} next to the logits",
            expected="a frame of logits alone",
            hint=f"logits.drop({'columns=' if hasattr(logits, 'index') else ''}{others!r}) leaves them out",
        )


def _dtypes(frame: Any) -> list[Any]:
    return list(frame.dtypes)


def _is_plain(dtype: Any) -> bool:
    return str(dtype).lower().rstrip("0123456789") in ("float", "int", "uint", "bool")


def _numbers(frame: Any, names: Sequence[str]) -> AnyArray:
    array: AnyArray = np.asarray(frame)
    if array.dtype.kind in "biuf":
        return array
    for name, column in zip(names, array.T, strict=True):
        bad = next((value for value in column if not isinstance(value, int | float | np.number)), None)
        if bad is not None:
            raise InputError(
                "column is not numeric",
                f'column "{name}"',
                found=repr(bad),
                expected="numbers",
                hint="pass only the columns of the classes",
            )
    return array.astype(np.float64)


def _order(names: Sequence[str], others: Sequence[str], what: str) -> tuple[int, ...]:
    order = order_of(names, others)
    if order is None:
        odd = next((name for name in others if name not in set(names)), "")
        raise InputError(
            f"{what} of different classes",
            found=listing(others),
            expected=listing(names),
            hint=did_you_mean(odd, names),
        )
    return order


def _indices(labels: Any, names: Sequence[str] | None, ignored: Sequence[int]) -> AnyArray:
    """Turn labels that are text, Python objects, or whole numbers that name columns, into class indices."""
    array = np.asarray(labels)
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind == "O":
        array = _of_objects(array)
    if array.dtype.kind == "b" and names is not None and len(names) == 2:
        for words in (("False", "True"), ("No", "Yes")):
            places = order_of(words, names)
            if places is not None and not numbers_of(names):
                return np.where(array, places[1], places[0])
    if array.dtype.kind in "US":
        return _named(array, names)
    if array.dtype.kind in "iuf" and names is not None:
        return _numbered(array, names, ignored)
    return array


def _blanked(labels: Any, mask: AnyArray) -> Any:
    """Replace each label that does not count by one that does."""
    array = np.asarray(labels)
    if array.dtype.kind in "biuf" or mask.shape != array.shape[: mask.ndim]:
        return labels
    kept = np.broadcast_to(mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim)) != 0, array.shape)
    return np.where(kept, array, array[kept][0]) if kept.any() else np.zeros(array.shape, np.int64)


def _of_objects(array: AnyArray) -> AnyArray:
    """Convert Python objects to text or numbers, whichever all of them are."""
    flat = array.reshape(-1)
    missing = np.array([value is None or repr(value) == "<NA>" or value != value for value in flat], bool)
    if missing.any():
        row = int(np.argmax(missing))
        raise RowError("missing label", row, "labels", found=repr(flat[row]), expected="a label in every row")
    if flat.size and all(isinstance(value, str) for value in flat):
        return array.astype(str)
    if all(isinstance(value, int | float | np.number | np.bool_) for value in flat):
        return array.astype(bool if all(isinstance(value, bool | np.bool_) for value in flat) else np.float64)
    odd = next(row for row, value in enumerate(flat) if type(value) is not type(flat[0]) or not isinstance(value, str))
    raise RowError(
        "label is neither text nor a number", odd, "labels", found=repr(flat[odd]), expected="labels of one type"
    )


def _named(array: AnyArray, names: Sequence[str] | None) -> AnyArray:
    """Turn texts into positions in `names`."""
    words, places = np.unique(array.reshape(-1), return_inverse=True)
    texts = [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in words]
    if names is None:
        hint = "labels that are text need logits in a frame whose columns have the names of the classes"
        raise InputError("labels are not numbers", found=f'"{texts[0]}"', expected="class indices", hint=hint)
    index = np.array([place_of(text, names) for text in texts], np.int64)[places.reshape(-1)]
    if (index < 0).any():
        row = int(np.argmax(index < 0))
        text = texts[places.reshape(-1)[row]]
        expected = f"one of {listing(names)}"
        raise RowError("label names no class", row, "labels", f'"{text}"', expected, did_you_mean(text, names))
    return index.reshape(array.shape)


def place_of(text: str, names: Sequence[str]) -> int:
    """Return the position of the only name that matches a text, or -1."""
    wanted = text.strip()
    for known in (names, [name.strip() for name in names], without_shared(names)):
        for spell in (str, str.casefold):
            found = [place for place, name in enumerate(known) if spell(name) == spell(wanted)]
            if len(found) == 1:
                return found[0]
    return -1


def _numbered(array: AnyArray, names: Sequence[str], ignored: Sequence[int]) -> AnyArray:
    """Turn whole numbers that name columns into their positions, if columns are not simply numbered from 0."""
    numbers = numbers_of(names)
    if numbers is None or numbers == list(range(len(names))):
        return array
    valued = array[~np.isin(array, list(ignored))] if ignored else array
    as_names = bool(np.isin(valued, numbers).all())
    as_places = sorted(numbers) != list(range(len(names))) and bool(((valued >= 0) & (valued < len(names))).all())
    if as_names == as_places:
        raise InputError(
            "ambiguous labels" if as_names else "labels name no columns",
            found=f"labels from {array.min()} to {array.max()}, columns {listing(names)}",
            expected="names of columns, or positions from 0",
            hint="pass logits.to_numpy() if labels are positions",
        )
    if as_places:
        return array
    places = dict(zip(numbers, range(len(names)), strict=True))
    flat = [places.get(int(label), int(label)) if label == label else label for label in array.reshape(-1).tolist()]
    return np.array(flat, array.dtype).reshape(array.shape)
