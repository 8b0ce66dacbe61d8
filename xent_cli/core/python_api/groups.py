"""Groups, clusters and units of samples, from the arguments of `evaluate`."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli.core.options import Outputs
from xent_cli.core.python_api.frames import refuse_other_order
from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.core.totals.group_keys import GroupKey
from xent_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.python_api.arguments import Call

_MACRO, _CLUSTER = "macro", "cluster"


class Grouping(NamedTuple):
    """Checked arguments with groups and units, and the outputs that these need.

    Fields
    ------
    total_units
        Total number of units of all samples, if only that is known; or None.
    """

    call: Call
    outputs: Outputs
    total_units: float | None = None

    @property
    def has_error(self) -> bool:
        """Whether the standard error per unit, which is over documents, is over the clusters in use."""
        documents, cluster = self.outputs.documents, self.outputs.cluster
        if documents is None or cluster is None:
            return documents is None
        return cluster._replace(name="") == documents._replace(name="")


def grouped(
    call: Call,
    logits: Any,
    axis: int,
    *,
    by: Any = None,
    macro: Any = None,
    units: Any = None,
    cluster: Any = "default",
) -> Grouping:
    """Add groups, clusters and units to checked arguments; see `evaluate`.

    Raises
    ------
    UsageError
        If there is no such axis, or a word has no meaning here.
    InputError
        If there is not one value per sample.
    """
    rank, columns = len(call.shape) + 1, {}
    keys: dict[str, GroupKey] = {}
    names = []
    for name, values in _by(by):
        if isinstance(values, np.ndarray):
            refuse_other_order(logits, by, f'groups by "{name}"')
            columns[name] = _each(call, values, f'groups by "{name}"')
        else:
            keys[name] = _key(call, name, values, axis, rank)
        names.append(name)
    outputs = Outputs(by=tuple(names))
    rules: dict[str, ClusterRule | None] = {_MACRO: None, _CLUSTER: None}
    if isinstance(cluster, str) and cluster == "default":
        cluster = "none" if len(call.shape) < 2 else next(side for side in range(rank) if side != axis % rank)
    for role, values in ((_MACRO, macro), (_CLUSTER, cluster)):
        if values is None or (isinstance(values, str) and values == "none" and role == _CLUSTER):
            continue
        if isinstance(values, str) and values == "label" and role == _MACRO:
            keys[role] = _key(call, role, "label", axis, rank)
        elif _is_number(values):
            rules[role] = _along(call, index(values), axis, rank, role)
        elif isinstance(values, str):
            raise UsageError(
                f"{role} does not name groups of samples", found=repr(values), expected="an axis or an array"
            )
        else:
            refuse_other_order(logits, values, f"groups of {role}")
            columns[role] = _each(call, np.asarray(values), f"groups of {role}")
    every_name = (*columns, *keys)
    for role in (_MACRO, _CLUSTER):
        if role in columns or role in keys:
            rules[role] = ClusterRule(role, every_name.index(role))
    outputs = outputs._replace(
        keys=tuple(keys.values()), groups=every_name, macro=rules[_MACRO], cluster=rules[_CLUSTER]
    )
    blocks, total = call.blocks, None
    if columns:
        texts = np.stack([_texts(values) for values in columns.values()], axis=1)
        blocks = tuple(block._replace(groups=texts[_samples(block)]) for block in blocks)
    if units is not None and _is_amount(units):
        total = float(units)
        if not 0 < total < math.inf:
            raise UsageError("units is out of range", found=str(units), expected="a finite number above 0")
    elif units is not None:
        refuse_other_order(logits, units, "units")
        amounts = np.asarray(units)
        shared = len(call.shape) > 1 and amounts.shape == call.shape[:1]
        if shared and call.options.sample_weighted:
            raise UsageError("units of whole documents cannot be combined with sample_weight")
        flat = _each(call, amounts, "units")
        if flat.dtype.kind not in "biuf":
            raise InputError("units are not numbers", found=f"dtype {flat.dtype.name}")
        blocks = tuple(block._replace(units=flat[_samples(block)]) for block in blocks)
        first = ClusterRule("axis 0", steps=(math.prod(call.shape[1:]),)) if shared else None
        outputs = outputs._replace(units=True, documents=first)
    if units is not None and call.options.class_weight is not None:
        raise UsageError("units divide losses in bits, and class_weight multiplies them")
    return Grouping(replace(call, blocks=blocks), outputs, total)


def _by(by: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and arrays, numbers of axes, or "label"."""
    if by is None:
        return
    if isinstance(by, str):
        if by != "label":
            raise UsageError(
                "by does not name groups of samples", found=repr(by), expected='"label", an axis, or a mapping'
            )
        yield by, by
    elif _is_number(by):
        yield f"axis:{index(by)}", index(by)
    elif hasattr(by, "items") and not hasattr(by, "dtype"):
        yield from ((str(name), np.asarray(values)) for name, values in by.items())
    elif getattr(by, "name", None) is not None:
        yield str(by.name), np.asarray(by)
    elif isinstance(by, list | tuple) and all(isinstance(one, str | int) or hasattr(one, "items") for one in by):
        for one in by:
            yield from _by(one)
    else:
        raise UsageError("groups without a name", expected="by={name: values}")


def _key(call: Call, name: str, values: Any, axis: int, rank: int) -> GroupKey:
    if values == "label":
        if call.options.labels == "dense":
            raise UsageError("groups by label: these labels are rows of probabilities")
        return GroupKey(name)
    return GroupKey(name, _along(call, values, axis, rank, name))


def _along(call: Call, asked: int, axis: int, rank: int, name: str) -> ClusterRule:
    if not -rank <= asked < rank:
        raise UsageError(f"{name}: axis {asked} is out of range", found=f"logits with axes 0 to {rank - 1}")
    number, classes = asked % rank, axis % rank
    if number == classes:
        raise UsageError(f"{name}: axis {asked} is the class axis")
    place = number - (number > classes)
    steps, count = math.prod(call.shape[place + 1 :]), call.shape[place] if place else 0
    return ClusterRule(f"axis {number}", steps=(steps,), counts=(count,))


def _each(call: Call, values: AnyArray, what: str) -> AnyArray:
    """Return one value per sample [n]; one for each position along the first axis is repeated."""
    if values.shape == call.shape:
        return values.reshape(-1)
    if len(call.shape) > 1 and values.shape == call.shape[:1]:
        return np.repeat(values, math.prod(call.shape[1:]))
    raise InputError(f"wrong number of {what}", found=str(values.shape), expected=f"{call.shape}")


def _texts(values: AnyArray) -> AnyArray:
    """Write numbers and texts [n] as texts; None and NaN are missing."""
    written = {value: _text(value) for value in dict.fromkeys(values.tolist())}
    found: AnyArray = np.array([*map(written.__getitem__, values.tolist()), None], object)[:-1]
    return found


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _samples(block: Any) -> slice:
    return slice(block.start, block.start + len(block.labels))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return np.ndim(value) == 0
