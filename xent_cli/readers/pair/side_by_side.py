"""Tables next to a table of logits: matched by id, and compared if both have labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.labels.class_order import order_of, without_shared
from xent_cli.errors import UsageError
from xent_cli.readers.columns.asked_columns import missing_column
from xent_cli.readers.pair.ids import column_in, nameless, shared_id, with_ids, with_plan

if TYPE_CHECKING:
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.pair.paired_inputs import Pair


def side_by_side(pair: Pair, options: ReadOptions) -> Pair:
    """Check that ids of tables agree, or join tables by id; compare labels that both tables have.

    Raises
    ------
    InputError
        If a table lacks the column to join by.
    UsageError
        If there is nothing to join.
    """
    _refuse_other_list(pair, options)
    pair = _by_class(_one_label(pair, options))
    if options.join is not None:
        return _joined(pair, options.join, options)
    # Labels of a different step have different ids from the logits.
    beside = {} if options.shift else _beside(pair)
    found = {name: shared_id(pair.logits, source, options.id_column) for name, source in beside.items()}
    named = next((shared.ours for shared in found.values() if shared is not None), None)
    if named is None:
        return pair
    changed: dict[str, Any] = {"logits": with_ids(pair.logits, named)}
    for name, shared in found.items():
        if shared is not None and shared.ours == named:
            changed[name] = with_ids(beside[name], shared.theirs)
    return replace(pair, **changed)


def _one_label(pair: Pair, options: ReadOptions) -> Pair:
    """Take labels from their own file if the table of logits has labels too."""
    plan = pair.logits.info.plan
    if pair.labels is None or plan is None or plan.label is None:
        return pair
    comparable = pair.label_form == "sparse" and not options.shift
    there = f'column "{plan.label}" of {pair.logits.info.path}'
    same = "holds the same labels" if comparable else "is not used"
    pair.said.append(Diagnostic("labels-from-file", f"labels: {pair.labels.info.path}; {there} {same}", note=True))
    return pair if comparable else replace(pair, logits=with_plan(pair.logits, plan._replace(label=None)))


def _refuse_other_list(pair: Pair, options: ReadOptions) -> None:
    """Refuse a list of class names that contains only some of the columns of logits."""
    listed, plan = options.class_names, pair.logits.info.plan
    if listed is None or plan is None or plan.is_list or order_of(listed, plan.values) is not None:
        return
    columns = {name.strip().casefold() for name in (*plan.values, *without_shared(plan.values))}
    if columns & {name.strip().casefold() for name in listed}:
        from xent_cli.readers.class_names import other_names

        where = options.class_names_file or "--class-names"
        raise other_names(without_shared(plan.values), listed, where, f"the columns of {pair.logits.info.path}")


def _by_class(pair: Pair) -> Pair:
    """Put columns of dense labels, or of a teacher, in the order of the classes that they name."""
    labels, names = pair.labels, pair.class_names
    plan = None if labels is None else labels.info.plan
    if labels is None or plan is None or names is None or plan.is_list or not plan.values or nameless(labels):
        return pair
    order = order_of(names, plan.values)
    if order is None:
        from xent_cli.readers.class_names import other_names

        raise other_names(names, plan.values, labels.info.path, f"the classes of {pair.logits.info.path}")
    values = tuple(plan.values[place] for place in order)
    return pair if values == plan.values else replace(pair, labels=with_plan(labels, plan._replace(values=values)))


def _joined(pair: Pair, column: str, options: ReadOptions) -> Pair:
    """Join every table that has a column by it; other inputs are matched row by row."""
    plan = pair.logits.info.plan
    if plan is None:
        hint = "leave --join out if the rows are in one order; else give both as tables"
        raise UsageError(f"--join {column}: {pair.logits.info.path} is an array, which has no columns", hint=hint)
    if options.shift:
        raise UsageError("--join and --shift cannot be combined")
    tables = {name: source for name, source in _beside(pair).items() if source.info.plan is not None}
    if not tables and not options.run.values_beside:
        raise UsageError(f"--join {column}: there is no second table to join")
    having = {name: held for name, source in tables.items() if (held := source.info.plan) and column_in(held, column)}
    for source in (pair.logits, *(() if having or options.run.values_beside else tables.values())):
        if source.info.plan is not None and column_in(source.info.plan, column) is None:
            raise missing_column(source.info.path, column, source.info.plan.columns, "--join")
    column = column_in(plan, column) or column
    changed: dict[str, Any] = {
        name: with_plan(tables[name], held._replace(id=None, by=tuple(n for n in held.by if n not in plan.by)))
        for name, held in having.items()
    }
    if plan.id is None and options.run.with_ids:
        changed["logits"] = with_ids(pair.logits, column)
    return replace(pair, join=column, **changed)


def _beside(pair: Pair) -> dict[str, Source]:
    """Return the inputs that are read along with the logits, by their fields of `Pair`."""
    found = {name: getattr(pair, name, None) for name in ("labels", "weights", "mask", "units")}
    return {name: source for name, source in found.items() if source is not None}
