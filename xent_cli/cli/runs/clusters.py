"""The clusters of a run: what `--cluster` says, or what the shape of the logits does, and notes about them."""

from __future__ import annotations

import math
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import UsageError
from xent_cli.readers.binary_scores import scores_of
from xent_cli.readers.shards import Shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xent_cli.core.totals.cluster_rule import ClusterRule
    from xent_cli.core.totals.summary import LossSummary
    from xent_cli.readers.pair.paired_inputs import Pair

_NUMBERED = re.compile(r"(axis|every):(.*)", re.DOTALL)
# With fewer clusters, intervals tend to be too narrow (Cameron & Miller 2015).
_FEW = 40


class ClusterChoice(NamedTuple):
    """What `--cluster` says.

    Fields
    ------
    column
        Name of a column.
    number
        Of an axis, or how many samples in a row are a cluster.
    """

    kind: Literal["none", "axis", "every", "column"]
    column: str | None = None
    number: int = 0


def cluster_choice(text: str) -> ClusterChoice:
    """Read COLUMN, axis:N, every:N or none; `column:NAME` is a column of any name.

    Raises
    ------
    UsageError
        If N is not a number that makes sense.

    Examples
    --------
    >>> cluster_choice("doc").column, cluster_choice("column:none").column, cluster_choice("every:512").number
    ('doc', 'none', 512)
    """
    if text == "none":
        return ClusterChoice("none")
    found = _NUMBERED.fullmatch(text)
    if found is None:
        return ClusterChoice("column", text.removeprefix("column:"))
    kind: Literal["axis", "every"] = "axis" if found[1] == "axis" else "every"
    number = int(found[2]) if re.fullmatch(r"-?[0-9]{1,18}", found[2]) else None
    if number is None or (kind == "every" and number < 1):
        expected = "axis:N with the number of an axis" if kind == "axis" else "every:N with N samples from 1 on"
        raise UsageError(f"--cluster {text}: expected {expected}", hint=f"--cluster column:{text} is a column")
    return ClusterChoice(kind, number=number)


def cluster_rule(choice: ClusterChoice | None, pair: Pair, class_axis: int) -> ClusterRule | None:
    """Return which cluster each sample of a run belongs to; None if samples are independent.

    Without a choice, samples at one index of the first axis are a cluster if there is another axis of samples: a
    document of tokens, an image of pixels.

    Raises
    ------
    UsageError
        If there is no such axis.
    """
    if choice is None or choice.kind == "axis":
        return _along(None if choice is None else choice.number, pair, class_axis)
    if choice.kind == "none":
        return None
    from xent_cli.core.totals.cluster_rule import ClusterRule

    if choice.kind == "every":
        return ClusterRule(f"every {choice.number:,} samples", steps=(choice.number,))
    return ClusterRule(f'column "{choice.column}"', pair.by.index(str(choice.column)))


def _along(asked: int | None, pair: Pair, class_axis: int) -> ClusterRule | None:
    """Clusters along an axis of an array, or of each of its shards."""
    logits = scores_of(pair.logits)
    infos = [shard.info for shard in (logits.shards if isinstance(logits, Shards) else (logits,))]
    shapes = [info.sample_shape for info in infos if info.sample_shape is not None]
    table = infos[0].plan is not None or len(shapes) < len(infos)
    rank = 1 if table else len(infos[0].shape)
    # Scores of two classes have no class axis.
    classes = None if table or rank == len(shapes[0]) else class_axis % rank
    axes = [axis for axis in range(rank) if axis != classes]
    if asked is None:
        return None if len(axes) < 2 else _rule(f"axis {axes[0]}", 0, shapes)
    if not -rank <= asked < rank:
        found = "a table, which has one axis" if table else f"an array with axes 0 to {rank - 1}"
        raise UsageError(f"--cluster axis:{asked}: {pair.logits.info.path} is {found}")
    number = asked % rank
    if number == classes:
        raise UsageError(f"--cluster axis:{asked} is the class axis", hint=f"samples are along {_listed(axes)}")
    return _rule(f"axis {number}", axes.index(number), [(0,)] if table else shapes)


def _rule(name: str, axis: int, shapes: Sequence[tuple[int, ...]]) -> ClusterRule:
    """Clusters of samples with one index along an axis of samples; shards follow one another along the first one."""
    from xent_cli.core.totals.cluster_rule import ClusterRule

    full = [shape for shape in shapes if math.prod(shape)] or list(shapes)[:1]
    steps = tuple(math.prod(shape[axis + 1 :]) for shape in full)
    if axis == 0 and len(set(steps)) == 1:
        return ClusterRule(name, steps=steps[:1])
    sizes = [math.prod(shape) for shape in full]
    starts = tuple(accumulate(sizes[:-1], initial=0))
    if axis == 0:
        firsts = tuple(accumulate((shape[0] for shape in full[:-1]), initial=0))
        return ClusterRule(name, None, starts, steps, (0,) * len(full), firsts)
    return ClusterRule(name, None, starts, steps, tuple(shape[axis] for shape in full), (0,) * len(full))


def cluster_notes(choice: ClusterChoice | None, rule: ClusterRule, summary: LossSummary) -> Iterator[Diagnostic]:
    """Say which clusters are in force where nobody asked for them, and where there are few."""
    count = summary.n_clusters
    if count is None:
        return
    if choice is None:
        found = f"{_counted(summary.n_samples, 'sample')} in {_counted(count, 'cluster')} along {rule.name}"
        text = f"{found}: clusters, not samples, are taken as independent; --cluster none takes samples"
        yield Diagnostic("clustered", text, note=True)
    yield from few_clusters(count)


def few_clusters(count: int, where: str = "") -> Iterator[Diagnostic]:
    """Say that an interval is too narrow, or that there is none."""
    if count == 1:
        text = "there is one cluster, and so no interval; --cluster none takes its samples as independent"
        yield Diagnostic("one-cluster", where + text, note=True)
    elif count < _FEW:
        text = f"{count} clusters: with fewer than {_FEW}, intervals tend to be too narrow"
        yield Diagnostic("few-clusters", where + text, note=True)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(axes: list[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
