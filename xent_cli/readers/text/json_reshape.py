"""Reshape rows of JSON that are not flat objects into rows of a table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xent_cli.readers.columns.cells.named_scores import SCORE_KEYS, SCORE_LISTS, are_named, named_lists, scores_by_name
from xent_cli.readers.columns.roles import role_named
from xent_cli.readers.columns.words import LABEL, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Column name for a row that is only a list of scores, by the key of a score in it.
_LIST_OF_KEY = {"prob": "probs", "proba": "probs", "probability": "probs", "logprob": "log_probs"}
_LIST_OF_KEY |= {"log_prob": "log_probs", "logit": "logits"}
# Objects are flattened down to this depth.
_MOST_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Reshape:
    """How to flatten a row; nothing to do if all fields are empty.

    Fields
    ------
    nested
        Objects in the row, with the new name of each of their keys.
    single
        Keys whose value is a list with one list or object in it, or an object with just a label in it.
    named
        Keys of a list of names and of the list of their scores, which become one map.
    bare
        Whether a row may be a list or a single value.
    deeper
        How to reshape the resulting object, if that has nested objects again.
    """

    nested: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    single: frozenset[str] = frozenset()
    named: tuple[str, str] | None = None
    bare: bool = False
    deeper: Reshape | None = None

    def __bool__(self) -> bool:
        return bool(self.nested or self.single or self.named or self.bare)

    @property
    def merged(self) -> str:
        """Return the column name for the map from class names to scores: always a name that score lists have."""
        key = self.named[1] if self.named is not None else ""
        return key if plain_name(key) in SCORE_LISTS else "scores"

    def record(self, row: Any) -> dict[str, Any] | None:
        """Return the flat object; None for a row of unknown form."""
        record = as_record(row) if self.bare or isinstance(row, dict) else None
        if record is None or not self:
            return record
        found: dict[str, Any] = {}
        for key, value in self._unwrapped(record).items():
            if key in self.nested and isinstance(value, dict):
                found |= {self.nested[key].get(inner, f"{key}.{inner}"): each for inner, each in value.items()}
            else:
                found[key] = value
        found = self._unwrapped(found)
        if self.deeper is not None:
            return self.deeper.record(found)
        if self.named is None:
            return found
        names, scores = (found.get(key) for key in self.named)
        if names is None or scores is None or not are_named(names, scores):
            return found
        del found[self.named[0]], found[self.named[1]]
        found[self.merged] = dict(zip(names, scores, strict=True))
        return found

    def _unwrapped(self, record: dict[str, Any]) -> dict[str, Any]:
        return {key: _only(value) if key in self.single else value for key, value in record.items()}


NO_RESHAPE = Reshape()


def as_record(row: Any) -> dict[str, Any] | None:
    """Return a row as an object: a list of named scores by name, a list of numbers as "outputs", one value as "value".

    Examples
    --------
    >>> as_record([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]), as_record([0.5, 2]), as_record(1)
    ({'scores': {'cat': 0.9, 'dog': 0.1}}, {'outputs': [0.5, 2]}, {'value': 1})
    """
    if isinstance(row, dict):
        return row
    if not isinstance(row, list):
        return {"value": row}
    if len(row) == 1 and isinstance(row[0], list):
        return as_record(row[0])
    if (named := scores_by_name(row)) is not None:
        if len({name for name, _ in named}) < len(named):
            return None
        key = next(key for key in SCORE_KEYS if key in row[0])
        return {_LIST_OF_KEY.get(key, "scores"): dict(named)}
    return None if any(isinstance(item, list | dict) for item in row) else {"outputs": row}


def reshape_of(rows: Sequence[Any], levels: int = _MOST_LEVELS, asked: Sequence[str] = ()) -> Reshape:
    """Decide from the first rows how to reshape all of them.

    Parameters
    ----------
    asked
        Names of columns that the user gave; ``doc.subject`` names a nested value.

    Examples
    --------
    >>> reshape_of([{"doc": {"subject": "law", "n": 1}}], asked=["doc.subject"]).nested
    {'doc': {'subject': 'doc.subject', 'n': 'n'}}
    >>> rows = [{"id": 3, "prediction": {"displayNames": ["a", "b"], "confidences": [0.75, 0.25]}}]
    >>> reshape_of(rows).record(rows[0])
    {'id': 3, 'scores': {'a': 0.75, 'b': 0.25}}
    """
    records = [record for record in map(as_record, rows) if record is not None]
    if not any({list, dict} & {*map(type, record.values())} for record in records):
        return Reshape(bare=not isinstance(rows[0], dict))  # nothing is nested, and a thousand keys take time
    keys = list(dict.fromkeys(key for record in records for key in record))
    single = _wrapped(records)
    unwrapped = [Reshape(single=single).record(record) or {} for record in records]
    values = {key: [record[key] for record in unwrapped if record.get(key) is not None] for key in keys}
    nested = {key: held for key, held in values.items() if held and all(map(_is_nested, held))}
    names = _names(keys, nested, asked)
    flat = Reshape(names, single | _wrapped([Reshape(names, single).record(record) or {} for record in records]))
    found = [flat.record(record) for record in records]
    bare = not isinstance(rows[0], dict)
    again = [record for record in found if record]
    if names and levels > 1 and (deeper := reshape_of(again, levels - 1, asked)):
        return replace(flat, bare=bare, deeper=deeper)
    return replace(flat, named=named_lists([record for record in found if record]), bare=bare)


def _wrapped(records: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the keys whose value is wrapped in every row that has one."""
    keys = dict.fromkeys(key for record in records for key in record)
    values = {key: [record[key] for record in records if record.get(key) is not None] for key in keys}
    return frozenset(key for key, held in values.items() if held and all(_is_wrapped(key, value) for value in held))


def _is_wrapped(key: str, value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 1 and isinstance(value[0], list | dict) and scores_by_name(value) is None
    return isinstance(value, dict) and len(value) == 1 and role_named(key) == LABEL


def _only(value: Any) -> Any:
    if not isinstance(value, list | dict) or len(value) != 1:
        return value
    return next(iter(value.values())) if isinstance(value, dict) else value[0]


def _is_nested(value: Any) -> bool:
    """Whether an object holds columns rather than a number for each class, or a vector of Spark."""
    if not isinstance(value, dict) or {"type", "values"} <= value.keys():
        return False
    return any(isinstance(held, list | dict | str | bool) for held in value.values())


def _names(keys: Sequence[str], nested: Mapping[str, Sequence[Any]], asked: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return new names for nested values.

    The name of the parent is put before a name, unless that is unique and was not asked for with the parent.
    """
    inner = {key: list(dict.fromkeys(name for value in held for name in value)) for key, held in nested.items()}
    taken = [key for key in keys if key not in nested] + [name for names in inner.values() for name in names]

    def named(key: str, name: str) -> str:
        dotted = f"{key}.{name}"
        meant = any(each == dotted or each.startswith(f"{dotted}.") for each in asked)
        return name if taken.count(name) == 1 and not meant else dotted

    return {key: {name: named(key, name) for name in names} for key, names in inner.items()}
