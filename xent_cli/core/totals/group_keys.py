"""Groups that do not come from a column: those along an axis, and those of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.array_types import AnyArray, IntArray
    from xent_cli.core.totals.cluster_rule import ClusterRule

# The value of `NO_LABEL` in `labels.check_labels`.
_MISSING = np.iinfo(np.int64).min


class GroupKey(NamedTuple):
    """How to name the group of each sample.

    Fields
    ------
    name
        What the groups are called: "axis:0", "label".
    rule
        Index of each sample along an axis; None for the label.
    class_names
        Names of the classes if labels are shown as names, or None.
    """

    name: str
    rule: ClusterRule | None = None
    class_names: tuple[str, ...] | None = None

    def texts(self, start: int, labels: IntArray) -> AnyArray:
        """Return the groups of samples from `start` on as texts [n]."""
        if self.rule is not None:
            return _texts(self.rule.clusters(start, labels.size))
        return _texts(labels, self.class_names)


def with_keys(groups: AnyArray | None, keys: Sequence[GroupKey], start: int, labels: IntArray) -> AnyArray:
    """Append the groups of keys to those of columns.

    Parameters
    ----------
    groups
        [n, m] values of columns as text, None if missing; or None without columns.
    labels
        [n] as written in the input.

    Examples
    --------
    >>> with_keys(None, [GroupKey("label", None, ("cat", "dog"))], 0, np.array([1, 0, -100])).tolist()
    [['dog'], ['cat'], ['-100']]
    """
    columns = [key.texts(start, labels)[:, np.newaxis] for key in keys]
    found: AnyArray = np.hstack([*([] if groups is None else [groups]), *columns])
    return found


def _texts(numbers: AnyArray, names: tuple[str, ...] | None = None) -> AnyArray:
    """Write numbers [n] as text, converting each distinct one once; None for a missing label."""
    distinct, at = np.unique(numbers, return_inverse=True)
    texts = [
        None if number == _MISSING else names[number] if names is not None and 0 <= number < len(names) else str(number)
        for number in distinct.tolist()
    ]
    found: AnyArray = np.array([*texts, None], object)[at.reshape(-1)]
    return found
