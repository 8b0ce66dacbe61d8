"""The groups and clusters of a run, from its options or from the shape of the logits, and notes about them."""

from __future__ import annotations

import math
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.run_totals import per_unit
from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.errors import UsageError
from xent_cli.readers.binary_scores import scores_of
from xent_cli.readers.interface import RESPONSES
from xent_cli.readers.shards import Shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xent_cli.cli.group_choice import GroupChoice, GroupChoices
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.core.options import Outputs
    from xent_cli.core.statistics.paired_test import PairedComparison
    from xent_cli.core.totals.group_keys import GroupKey
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.core.totals.summary import LossSummary
    from xent_cli.readers.interface import Source
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.readers.saved.align import SavedClusters

# With fewer clusters, intervals tend to be too narrow (Cameron & Miller 2015).
_FEW = 40


def with_groups(wanted: Outputs, choices: GroupChoices | None, pair: Pair, options: ComputeOptions) -> Outputs:
    """Add to the outputs of a run what defines the groups and clusters of its samples.

    Raises
    ------
    UsageError
        If there is no such axis, the labels cannot define groups, or an option has no effect.
    """
    axis, typed = options.shared.layout.axis, options.shared.origin.on_command_line
    if choices is not None:
        wanted = _grouped(wanted, choices, pair, options)
    given = {"cluster": options.output.cluster, "macro": options.output.macro, "units": options.output.units}
    for name, text in given.items():
        in_rows = name == "cluster" or (name == "units" and wanted.units)
        shown = wanted.figures or (wanted.losses and in_rows)
        if text is not None and name in typed and not shown:
            found = f"--{name} has no effect: --reduction {options.output.reduction} prints one number"
            raise UsageError(found, hint="leave it out, or add -f json")
    if not (wanted.figures or wanted.losses):
        return wanted
    return wanted._replace(cluster=cluster_rule(None if choices is None else choices.cluster, pair, axis))


def _grouped(wanted: Outputs, choices: GroupChoices, pair: Pair, options: ComputeOptions) -> Outputs:
    from xent_cli.core.totals.group_keys import GroupKey

    axis = options.shared.layout.axis
    keys: dict[str, GroupKey] = {}
    for choice in (*choices.by, choices.macro):
        if choice is None:
            continue
        option = f"{'--by' if choice in choices.by else '--macro'} {choice.name}"
        if choice.kind == "axis":
            keys[choice.name] = GroupKey(choice.name, along(choice.number, pair, axis, option))
        elif choice.kind == "label":
            if pair.label_form == "dense":
                raise UsageError(f"{option}: these labels are rows of probabilities")
            keys[choice.name] = GroupKey(choice.name, None, pair.class_names if pair.named_labels else None)
    by = tuple(_name_in(choice, pair) for choice in choices.by)
    # For an average over an axis, the groups are not needed as text.
    used = tuple(key for key in keys.values() if key.name in by or (key.rule is None and wanted.figures))
    wanted = wanted._replace(by=by, keys=used, groups=(*pair.by, *(key.name for key in used)))
    if choices.macro is not None and wanted.figures:
        wanted = wanted._replace(macro=_macro_rule(choices.macro, keys, wanted.groups, pair))
    if choices.units is not None and (wanted.figures or wanted.losses):
        wanted = wanted._replace(units=True, documents=_documents(pair, axis))
    if (choices.units or choices.total_units) and options.shared.loss.class_weight is not None:
        raise UsageError("--units divides losses in bits, and --class-weight multiplies them", hint="leave one out")
    if wanted.documents is not None and pair.weighted:
        raise UsageError("--units of whole documents cannot be combined with weights of samples")
    return wanted


def _macro_rule(
    choice: GroupChoice, keys: Mapping[str, GroupKey], groups: tuple[str, ...], pair: Pair
) -> ClusterRule | None:
    if choice.kind == "axis":
        return keys[choice.name].rule
    name = _name_in(choice, pair)
    return ClusterRule(f'"{name}"', groups.index(name))


def _name_in(choice: GroupChoice, pair: Pair) -> str:
    """Return the name of groups in the blocks: ``NAME=FILE`` as typed if a column is named so, else NAME."""
    return choice.name if choice.file is None or choice.file.typed not in pair.by else choice.file.typed


def _documents(pair: Pair, class_axis: int) -> ClusterRule | None:
    """Return which samples share one number of units; None if each sample has its own."""
    from xent_cli.readers.pair.repeated import Repeated

    source = pair.units
    shards = source.shards if isinstance(source, Shards) else (source,)
    if not any(isinstance(shard, Repeated) for shard in shards):
        return None
    times = tuple(shard.times if isinstance(shard, Repeated) else 1 for shard in shards if shard is not None)
    first = along(None, pair, class_axis, "--units")
    if first is not None and (len(set(times)) > 1 or first.steps == times[:1]):
        return first
    return ClusterRule("documents", steps=times[:1])


def cluster_rule(choice: GroupChoice | None, pair: Pair, class_axis: int) -> ClusterRule | None:
    """Return which cluster each sample of a run belongs to; None if samples are independent.

    Without a choice, samples at one index of the first axis are a cluster if there is another axis of samples: a
    document of tokens, an image of pixels.

    Raises
    ------
    UsageError
        If there is no such axis.
    """
    if choice is None and pair.logits.info.format == RESPONSES:
        return ClusterRule("responses", 0, together=_each_named_once(pair.logits))
    if choice is None or choice.kind == "axis":
        named = "" if choice is None else f"--cluster {choice.name}"
        return along(None if choice is None else choice.number, pair, class_axis, named)
    if choice.kind == "none":
        return None
    if choice.kind == "every":
        return ClusterRule(f"every {choice.number:,} samples", steps=(choice.number,))
    return ClusterRule(f'column "{choice.name}"', pair.by.index(choice.name))


def _each_named_once(source: Source) -> bool:
    """Whether the tokens of each response follow one another, so that its cluster can be closed at its end."""
    from xent_cli.readers.language_models.completions import CompletionsSource

    shards = source.shards if isinstance(source, Shards) else (source,)
    names = [name for shard in shards if isinstance(shard, CompletionsSource) for name in shard.found.names]
    runs = sum(1 for _ in groupby(names))
    return len(set(names)) == runs


def along(asked: int | None, pair: Pair, class_axis: int, option: str) -> ClusterRule | None:
    """Return groups along an axis of an array, or of each of its shards; `option` is named in errors."""
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
        raise UsageError(f"{option}: {pair.logits.info.path} is {found}")
    number = asked % rank
    if number == classes:
        raise UsageError(f"{option} is the class axis", hint=f"samples are along {_listed(axes)}")
    return _rule(f"axis {number}", axes.index(number), [(0,)] if table else shapes)


def _rule(name: str, axis: int, shapes: Sequence[tuple[int, ...]]) -> ClusterRule:
    """Return clusters of samples that share an index along an axis; shards are joined along the first axis."""
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


def cluster_notes(choice: GroupChoice | None, rule: ClusterRule, summary: LossSummary) -> Iterator[Diagnostic]:
    """Return a note on the clusters in use if the user did not choose them, and a warning if there are few."""
    count = summary.n_clusters
    if count is None:
        return
    if choice is None:
        yield _by_default(summary.n_samples, count, rule.name)
    yield from few_clusters(count)


def with_units(
    summary: LossSummary, losses: LossTotals, wanted: Outputs, choices: GroupChoices | None
) -> tuple[LossSummary, tuple[Diagnostic, ...]]:
    """Return the summary with figures per unit if their number was given, and notes about groups."""
    notes: tuple[Diagnostic, ...] = ()
    if wanted.cluster is not None:
        notes = tuple(cluster_notes(None if choices is None else choices.cluster, wanted.cluster, summary))
    units = choices.total_units if choices is not None and wanted.figures else None
    # The error per unit is over documents: the user may have asked for different clusters, or for none.
    has_error = wanted.documents is None or wanted.documents == wanted.cluster
    return per_unit(summary, losses, units, has_error=has_error), notes


def saved_cluster_notes(
    choice: GroupChoice | None, clusters: SavedClusters | None, paired: PairedComparison
) -> Iterator[Diagnostic]:
    """Return the same about the clusters of a comparison."""
    if choice is None and clusters is None:
        text = "samples are treated as independent; --cluster COLUMN or every:N says which are not"
        yield Diagnostic("not-clustered", text, note=True)
    if clusters is None or paired.n_clusters is None:
        return
    if choice is None:
        yield _by_default(paired.n, paired.n_clusters, clusters.name)
    yield from few_clusters(paired.n_clusters)


def few_clusters(count: int, where: str = "") -> Iterator[Diagnostic]:
    """Return a warning that an interval is too narrow, or that there is none."""
    if count == 1:
        text = "there is only one cluster, and so no interval; --cluster none treats samples as independent"
        yield Diagnostic("one-cluster", where + text, note=True)
    elif count < _FEW:
        text = f"{count} clusters: with fewer than {_FEW}, intervals tend to be too narrow"
        yield Diagnostic("few-clusters", where + text, note=True)


def _by_default(n: int, count: int, name: str) -> Diagnostic:
    found = f"{_counted(n, 'sample')} in {_counted(count, 'cluster')} ({name})"
    text = f"{found}: clusters, not samples, are treated as independent; --cluster none treats samples so"
    return Diagnostic("clustered", text, note=True)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(axes: list[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
