"""Judge the inputs by their first rows, before anything is written: they must hold what the options declare."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from xent_cli.core.checks.first_rows import FirstRows, look_at
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.labels.check_labels import labels_as_written
from xent_cli.core.warnings import find_warnings, predicted_labels
from xent_cli.errors import RowError
from xent_cli.readers.storage.reading import is_url

if TYPE_CHECKING:
    from xent_cli.cli.options import Origin, SharedOptions
    from xent_cli.core.block import Block, BlockRef, Rows
    from xent_cli.core.checks.distributions import Distributions
    from xent_cli.core.labels.label_offsets import Offsets
    from xent_cli.core.options import LossOptions
    from xent_cli.core.totals.loss_totals import LossTotals
    from xent_cli.readers.pair.paired_inputs import Pair

# Number of rows of logits that are read first, which are nearly always enough.
_GLANCE = 16
# Rows of at least this many classes are kept instead of read twice, up to this many bytes.
_WIDE, _KEPT_BYTES = 256, 16 << 20


class Preview(NamedTuple):
    """What the first rows show.

    Fields
    ------
    pair
        The inputs; what was read from a pipe is kept, and read again.
    options
        The options of the loss, now with the scale and the rounding of probabilities.
    diagnostics
        Warnings about what looks wrong, and a note if percentages are divided by 100.
    """

    pair: Pair
    options: LossOptions
    diagnostics: tuple[Diagnostic, ...] = ()


def preview(shared: SharedOptions, pair: Pair, options: LossOptions) -> Preview:
    """Read the first rows that count, at most 1,024, and refuse inputs that are not what the options declare.

    Raises
    ------
    InputError
        If logits are probabilities, probabilities do not sum to 1, or dense labels are counts.
    """
    if options.source == "log-probs" and "logit_bounds" in pair.logits.info.fields:
        return Preview(pair, options)  # sums say nothing if a row is known only in part
    whole = options.source != "logits" or options.binary
    labels = None
    if options.labels == "dense" and "label_bounds" not in pair.fields:
        source = options.labels_source
        labels = FirstRows(logarithms=source == "log-probs", whole=source != "logits")
    try:
        glance = None if labels is not None or whole else _glance(pair)
        student = FirstRows(logarithms=options.source == "log-probs", whole=whole)
        if glance is not None:
            look_at(glance, options, student)
        # Nothing more is read if these rows are enough, or are all there are.
        if glance is None or not (student.enough or len(glance.logits) == pair.logits.info.num_rows):
            student.clear()
            pair = _read(pair, options, student, labels, keep=shared.run.engine == "local")
    except RowError as error:
        raise pair.complete(error, options) from None
    diagnostics: list[Diagnostic] = []
    if options.source == "logits":
        found = student.distributions()
        if (options.binary and found.sure) or found.scale is not None or student.quantised:
            diagnostics += _about_logits(shared.origin, pair, options, student, found)
    if pair.num_classes == 1:
        text = "there is one class: its probability is 1 and every loss 0; scores of a binary classifier need --binary"
        diagnostics.append(Diagnostic("one-class", text))
    if options.source == "logits" and labels is None:  # the usual case, which needs no more imports
        return Preview(pair, options, tuple(diagnostics))
    from xent_cli.cli.runs.inputs.declared_kind import judge_labels, judge_logits, softmaxed_teacher

    if options.source != "logits":
        scale = judge_logits(shared, pair, options, student)
        options = replace(options, scale=scale, unit=student.rounding.unit)
    if labels is not None:
        if options.labels_source == "logits":
            diagnostics += softmaxed_teacher(shared.origin, pair, labels)
        fractions = options.labels_source == "labels" and not labels.rounding.whole
        if options.source == "probs" and student.rounding.whole and fractions and pair.labels is not None:
            from xent_cli.readers.pair.swapped_operands import refuse_one_hot

            refuse_one_hot(pair.logits, pair.labels)
        scale = judge_labels(shared, pair, options, labels)
        options = replace(options, labels_scale=scale, labels_unit=labels.rounding.unit)
    for what, scale in (("probabilities", options.scale), ("probabilities of the teacher", options.labels_scale)):
        if scale != 1.0:
            diagnostics.append(Diagnostic("percentages", f"{what} are percentages: divided by 100", note=True))
    return Preview(pair, options, tuple(diagnostics))


class FirstLook(NamedTuple):
    """The first rows of a pair whose kind is not known yet."""

    logits: FirstRows
    labels: FirstRows
    offsets: Offsets


def first_look(pair: Pair, options: LossOptions) -> FirstLook:
    """Look at the first rows that count, at most 1,024, without judging them."""
    from xent_cli.core.labels.label_offsets import Offsets

    look = FirstLook(FirstRows(), FirstRows(), Offsets())
    for task in pair.tasks():
        block = task.load()
        counts = look_at(block, options, look.logits, look.labels)
        if options.labels == "sparse":
            labels = labels_as_written(block.labels, block.unscored)
            look = look._replace(offsets=look.offsets.merge(Offsets.of(block.logits, labels, ~counts, block.start)))
        if look.logits.enough:
            break
    return look


def _glance(pair: Pair) -> Block | None:
    """Read a few rows, if the format can read a few."""
    rows = pair.logits.info.num_rows
    head = None if rows is None else pair.head(min(rows, _GLANCE))
    return None if head is None else head.load()


def _read(
    pair: Pair, options: LossOptions, student: FirstRows, labels: FirstRows | None, *, keep: bool = False
) -> Pair:
    """Look at the first blocks, and return inputs that still yield them; small blocks are kept, not read again."""
    taken: list[BlockRef] = []
    kept: list[Rows] = []
    tasks, again = pair.tasks(), pair.again  # looked up once, because it checks every shard
    for task in tasks:
        keep = keep and again and _may_keep(pair, task)
        if keep:
            kept.append(task.parts[0].read().copied())
            task = task._replace(parts=(kept[-1], *task.parts[1:]))
        taken.append(task)
        look_at(task.load(), options, student, labels)
        if student.enough and (labels is None or labels.enough):
            break
        if again:
            taken.clear()
    return replace(pair, ahead=kept) if again else replace(pair, begun=chain(taken, tasks))


def _may_keep(pair: Pair, task: BlockRef) -> bool:
    """Whether a table has few rows, so wide or so far away that reading them again would take most of the run."""
    info = pair.logits.info
    if info.plan is None or pair.shift or pair.join is not None:
        return False
    remote = is_url(info.description.shards[0] if info.description.shards else info.path)
    # Part of a larger row group may be on disk, and is read into memory that the next read reuses.
    whole = info.num_rows in (None, task.size) and not info.description.shards
    few = 8 * (task.start + task.size) * pair.num_classes <= _KEPT_BYTES
    return few and (remote or (whole and pair.num_classes >= _WIDE))


def _about_logits(
    origin: Origin, pair: Pair, options: LossOptions, student: FirstRows, found: Distributions
) -> tuple[Diagnostic, ...]:
    """Refuse logits that are distributions; warn that quantised ones need their scale."""
    if options.binary and student.lowest >= 0 and student.highest <= 1 and found.sure:
        from xent_cli.cli.runs.inputs.declared_kind import refuse_scores

        refuse_scores(origin, pair, found)
    elif found.scale is not None and pair.num_classes > 1:
        from xent_cli.cli.runs.inputs.declared_kind import refuse_softmaxed

        return refuse_softmaxed(origin, pair, options, found)
    if student.quantised:
        held = f"{' and '.join(sorted(student.dtypes))} from {student.lowest:g} to {student.highest:g}"
        text = (
            f"logits are {held}, as quantised outputs are: those need their scale and zero point, "
            "(q - zero_point) * scale, before a loss means anything"
        )
        return (Diagnostic("logits-look-quantised", text),)
    return ()


def diagnostics_of(totals: LossTotals, seen: Preview, origin: Origin) -> tuple[Diagnostic, ...]:
    """Return the warnings that follow from the totals, except those that the first rows have already caused."""
    pair, options = seen.pair, seen.options
    labels = pair.labels or pair.logits
    paths = (pair.logits.info.path, labels.info.path)
    said = "source" in origin.explicit or any(
        diagnostic.code == "logits-look-softmaxed" for diagnostic in seen.diagnostics
    )
    found = find_warnings(totals, options, pair.num_classes, insisted=said, paths=paths)
    found += predicted_labels(totals) if pair.labels is None else ()
    if not found:
        return ()
    from xent_cli.cli.display.hints import with_hints

    return with_hints(found)
