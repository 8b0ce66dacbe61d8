"""The plan of a table's columns, for any use of the table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.columns.logits_plan import plan_logits

if TYPE_CHECKING:
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.interface import Classes
    from xent_cli.readers.options import ReadOptions


def plan_table(
    sample: TableSample, role: str, options: ReadOptions, classes: Classes
) -> tuple[ColumnPlan, tuple[str, ...] | None]:
    """Plan the columns of a table that is opened as logits or as labels; also return the names of the classes.

    In the role "names" nothing is chosen, and the plan only lists the columns.

    Parameters
    ----------
    classes
        Classes of the logits, if the table holds their labels.
    """
    if role == "names":
        return ColumnPlan(columns=tuple(sample.kinds)), None
    if role in ("weights", "mask", "units", "groups"):
        from xent_cli.readers.columns.weight_column import plan_beside

        return plan_beside(sample.path, sample.kinds, role, next(iter(options.by), None)), classes.names
    if options.known.column_ahead is not None:
        sample = replace(sample, ahead=options.known.column_ahead)
    try:
        return _planned(sample, role, options, classes)
    except InputError:
        if any(len(values) for values in sample.rows(list(sample.kinds)[:1]).values()):
            raise
        # Without rows, nothing shows what columns hold. This error comes before all others, since an empty part of a
        # folder is skipped.
        raise InputError("no rows", sample.path, found="names of columns alone", expected="at least one row") from None


def _planned(
    sample: TableSample, role: str, options: ReadOptions, classes: Classes
) -> tuple[ColumnPlan, tuple[str, ...] | None]:
    if options.known.partitions:
        from xent_cli.readers.columns.partitions import plan_with_partitions

        return plan_with_partitions(sample, role, options, classes, _planned)
    if role == "logits":
        like = classes.like
        alike = like is not None and {*like.columns} == {*sample.kinds}
        plan = like._replace(columns=tuple(sample.kinds)) if alike and like is not None else _logits(sample, options)
        return _kept(plan, options), options.class_names or plan.names
    if options.labels_source != "labels":
        from xent_cli.readers.columns.top_k_plan import plan_teacher

        teacher = plan_teacher(sample, options, classes)
        if teacher is not None:
            return _kept(teacher, options), classes.names
    from xent_cli.readers.columns.labels.label_plan import plan_labels

    return _kept(plan_labels(sample, options, classes.names, classes.num_classes), options), classes.names


def _logits(sample: TableSample, options: ReadOptions) -> ColumnPlan:
    """Plan the columns of logits or, if there are none, of the highest of each row next to a label."""
    try:
        plan = plan_logits(sample, options)
    except InputError:
        scored = _scored(sample, options)
        if scored is None:
            raise
        return scored
    # Maps whose keys differ from row to row hold only some of the classes.
    return (_scored(sample, options) if plan.keys else None) or plan


def _scored(sample: TableSample, options: ReadOptions) -> ColumnPlan | None:
    if not any("top" in name.lower() for name in sample.kinds):
        return None
    from xent_cli.readers.columns.top_k_plan import plan_scored

    return plan_scored(sample, options)


def _kept(plan: ColumnPlan, options: ReadOptions) -> ColumnPlan:
    """Return the plan without the columns that the options leave out."""
    run, known = options.run, options.known
    if run.values_only:
        return ColumnPlan(
            plan.values,
            plan.is_list,
            plan.cells,
            plan.keys,
            columns=plan.columns,
            values_only=True,
            names=plan.names,
            named_by=plan.named_by,
        )
    return plan._replace(
        id=None if plan.id in known.columns_elsewhere or not run.with_ids else plan.id,
        weight=None if plan.weight in known.columns_elsewhere else plan.weight,
        mask=None if plan.mask in known.columns_elsewhere else plan.mask,
        units=None if plan.units in known.columns_elsewhere else plan.units,
        ignore_missing=options.ignore_missing,
        lenient=known.lenient,
        by=tuple(name for name in plan.by if name not in known.columns_elsewhere),
    )
