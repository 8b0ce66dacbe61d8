"""Which outputs a run computes: those that were requested, and those that a limit or a report needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.options import Outputs

if TYPE_CHECKING:
    from xent_cli.cli.group_choice import GroupChoices
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.cli.output_plan import OutputPlan
    from xent_cli.cli.runs.check import Limits
    from xent_cli.readers.pair.paired_inputs import Pair

# A page lists this many of the highest losses.
_WORST_ON_A_PAGE = 20


def group_choices_of(options: ComputeOptions) -> GroupChoices | None:
    """Return what defines groups of samples; nothing is imported if no option does."""
    flags = options.output
    if not flags.by and all(text is None for text in (flags.cluster, flags.macro, flags.units)):
        return None
    from xent_cli.cli.group_choice import group_choices

    return group_choices(flags)


def needs_rows(options: ComputeOptions, output: OutputPlan, limits: Limits | None) -> bool:
    """Whether per-sample rows are shown, written, or compared with those of a baseline."""
    written = output.rows is not None or options.output.output is not None
    return written or (limits is not None and limits.needs_rows)


def wanted_outputs(
    options: ComputeOptions, output: OutputPlan, limits: Limits | None, pair: Pair, groups: GroupChoices | None
) -> Outputs:
    """Return what to compute besides the mean; modules are imported only for outputs that need them."""
    flags, page = options.output, output.has_page
    figures = output.shows_figures or bool(output.reports) or flags.plot is not None
    wanted = Outputs(
        losses=needs_rows(options, output, limits),
        figures=figures,
        worst=max(output.top, _WORST_ON_A_PAGE if page else 0),
        top_k=_top_k(options, limits, pair, figures=figures),
        by_class=page,
        digest=output.has_digest(flags.output) or (limits is not None and limits.baseline is not None),
    )
    if flags.overflow_report or (limits is not None and limits.needs_overflow):
        from xent_cli.cli.runs.figures.overflow_outputs import overflow_dtypes

        wanted = wanted._replace(overflow=overflow_dtypes())
    if options.shared.loss.labels_from != "labels" or flags.divergence != "kl" or flags.top_by != "loss":
        from xent_cli.cli.runs.figures.divergence_outputs import with_divergence

        wanted = with_divergence(wanted, flags, options.shared.loss, limits, pair)
    calibrates = flags.calibration or flags.bins is not None or (limits is not None and limits.needs_calibration)
    if calibrates or (page and not pair.partial):
        from xent_cli.cli.runs.figures.calibration_outputs import with_calibration

        wanted = with_calibration(wanted, options, limits, pair)
    if pair.tokens_only:
        wanted = wanted._replace(top_k=(), by_class=False, digest=False)
    one_axis = len(pair.logits.info.shape) < (2 if options.shared.layout.binary else 3)
    if groups is None and one_axis and not pair.tokens_only:
        return wanted
    from xent_cli.cli.runs.figures.clusters import with_groups

    return with_groups(wanted, groups, pair, options)


def _top_k(options: ComputeOptions, limits: Limits | None, pair: Pair, *, figures: bool) -> tuple[int, ...]:
    """Return the k of each top-k accuracy; of a single table k = 1 is always counted, to notice predicted labels."""
    if not figures:
        return (1,) if pair.labels is None else ()
    usual = (1, 5) if pair.num_classes > 5 else (1,)
    limited = () if limits is None else limits.top_k
    return tuple(sorted({*(options.shared.loss.top_k or usual), *limited}))
