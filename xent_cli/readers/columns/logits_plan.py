"""From the head of a table to its columns of logits: roles, choice and order, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns.cells.named_rows import numbers_of, refuse_unordered
from xent_cli.readers.columns.choice import Choice, of_columns
from xent_cli.readers.columns.choose_columns import choose, refuse_ranked
from xent_cli.readers.columns.column_plan import ColumnPlan, columns_beside, refuse_repeated
from xent_cli.readers.columns.evidence import UNSURE, TableFacts, all_are_argmax, distributions
from xent_cli.readers.columns.families import numbered, shown
from xent_cli.readers.columns.labels.label_columns import (
    find_label,
    label_candidates,
    label_values,
    refuse_other_label,
    says_truth,
)
from xent_cli.readers.columns.lines import QuestionError, line, naming, no_columns, question
from xent_cli.readers.columns.order import reordered, settle
from xent_cli.readers.columns.roles import FREE, roles_of
from xent_cli.readers.columns.sample import FLOATS, NUMBER
from xent_cli.readers.columns.words import ID, composed, never_scores, plain_name, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xent_cli.readers.columns.labels.label_values import LabelValues
    from xent_cli.readers.columns.roles import Role
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

# Names of id columns that are copied into the rows, unless the user names another.
_IDS = ("id", "sample_id", "uuid")
# Words in the name of a binary classifier's column of scores.
_ONE_SCORE = words("score logit logits prob p proba probability pred prediction")


def plan_logits(sample: TableSample, options: ReadOptions) -> ColumnPlan:
    """Find logits, label, id, weight and columns of slices in a table; all but the logits may be in another table.

    Raises
    ------
    InputError
        If no column can hold logits, or the table can be read in several ways.

    Examples
    --------
    >>> from xent_cli.readers.columns.sample import TableSample
    >>> from xent_cli.readers.options import ReadOptions
    >>> kinds = {"fold": "number", "label": "number", "logit_1": "number", "logit_0": "number"}
    >>> plan = plan_logits(TableSample("t.csv", kinds, lambda names: dict.fromkeys(names, [1, 0])), ReadOptions())
    >>> plan.values, plan.label, plan.left_out
    (('logit_0', 'logit_1'), 'label', (('fold', 'about the sample, says its name'),))
    """
    refuse_repeated(sample.path, list(sample.kinds))
    roles = roles_of(sample, sample.kinds)
    if options.label_column is not None or options.labels_path or options.run.values_only or options.binary:
        return _long_or(sample, roles, options)

    def plan_under(reading: ReadOptions) -> ColumnPlan:
        return _plan(sample, roles, reading)

    try:
        plan = _long_or(sample, roles, options)
    except QuestionError as error:
        from xent_cli.readers.columns.labels.readings import label_readings

        readings = label_readings(sample, _in_question(error, sample, roles), options, plan_under)
        if not readings:
            raise
        raise question(
            error.what,
            error.where,
            error.found,
            error.expected,
            readings,
            labels=error.labels,
            more=error.more,
            borne_out=True,
        ) from None
    if plan.label is not None:
        return plan
    from xent_cli.readers.columns.labels.readings import label_readings

    if plan.why == UNSURE:
        from xent_cli.readers.columns.long_tables import refuse_long

        refuse_long(sample, roles, options)
    unnamed = plan.why == UNSURE or (not plan.stem and not plan.is_list and not plan.keys)
    used = {*plan.used} if not unnamed else {*plan.singles}
    others = [name for name in roles if name not in used]
    return plan._replace(readings=label_readings(sample, others, options, plan_under))


def _long_or(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions) -> ColumnPlan:
    """Plan the columns of a table; a long table is refused first, whatever else is wrong with it."""
    try:
        return _plan(sample, roles, options)
    except InputError:
        from xent_cli.readers.columns.long_tables import refuse_long

        refuse_long(sample, roles, options)
        raise


def _in_question(error: QuestionError, sample: TableSample, roles: Mapping[str, Role]) -> list[str]:
    """Return the columns to ask the user about as labels: those in question, or all if there are none."""
    if error.labels:
        return list(error.labels)
    labels = [name for name in label_candidates(sample, roles) if sample.kinds[name] != NUMBER or sample.is_whole(name)]
    return [] if labels else list(roles)


def _plan(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions) -> ColumnPlan:
    beside = columns_beside(sample, options)
    beside = beside._replace(id=beside.id or _id_of(roles, options))
    elsewhere = bool(options.labels_path)
    label = None if options.run.values_only else find_label(sample, roles, options, elsewhere=elsewhere)
    claimed = {label, *beside.singles}
    if elsewhere and options.labels_path == options.logits_path:
        # The labels are columns of the same table, so it is opened a second time as LABELS.
        from xent_cli.readers.columns.asked_columns import asked_labels

        claimed |= set(asked_labels(sample, options))
    others = {name: role for name, role in roles.items() if name not in claimed}
    found: list[LabelValues | None] = []

    def labels() -> LabelValues | None:
        if not found:
            ours = None if label is None else label_values(sample, label, options)
            found.append(options.known.labels_ahead() if options.known.labels_ahead is not None and elsewhere else ours)
        return found[0]

    facts = TableFacts(sample, others, options, labels)
    if options.logits_column:
        from xent_cli.readers.columns.asked_columns import asked_columns

        choice = asked_columns(sample, options, claimed)
    elif options.binary:
        choice = _one_score(sample, others, options)
    elif options.run.values_only:
        choice = _any_values(sample, others, options)
    else:
        choice = choose(facts)
        refuse_ranked(sample, choice, options)
    if not options.run.values_only:
        refuse_unordered(sample, choice, options, labels)
    numbers: tuple[int, ...] = ()
    if not options.run.values_only and not sample.nameless and len(choice.columns) > 1:
        choice, numbers = settle(sample, choice, options, _known_or(labels, choice, options))
    choice = _by_label_names(sample, choice, label)
    plan = beside._replace(
        values=(choice.within,) if choice.within else choice.columns,
        is_list=choice.is_list or bool(choice.within),
        cells=choice.cells,
        keys=choice.columns if choice.within else (),
        named_by=sample.names_of(choice.within),
        label=label,
        names=None if sample.nameless else choice.names,
        kind=choice.kind,
        numbers=numbers,
        ignored=frozenset(options.ignored),
        spelt=() if choice.is_list or sample.nameless else choice.columns,
        stem=choice.stem,
        why=choice.why,
        asked=choice.asked,
        spelling=_spelling(choice, labels),
        doubt=_doubt(sample, choice, options) if choice.doubt else "",
    )
    if not choice.asked and not options.run.values_only and label is not None and not elsewhere:
        refuse_other_label(sample, roles, options, label, plan.names)
        _refuse_argmax(sample, choice, options, label, labels())
    return plan._replace(left_out=_left_out(plan, roles))


def _id_of(roles: Mapping[str, Role], options: ReadOptions) -> str | None:
    if options.id_column is not None:
        return None
    found = {plain_name(name): name for name, role in reversed(list(roles.items())) if role.role == ID}
    return next((found[word] for word in _IDS if word in found), None)


def _one_score(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions) -> Choice:
    """Choose a binary classifier's one column of scores."""
    numbers = [name for name, role in roles.items() if sample.kinds[name] == NUMBER and role.role != "label"]
    floats = [name for name in numbers if not sample.is_whole(name) and not roles[name].reason]
    named = [name for name in numbers if {*plain_name(name).split("_")} & _ONE_SCORE]
    named = [name for name in named if not sample.is_whole(name)]
    found = floats if len(floats) == 1 else named
    if len(found) != 1:
        raise InputError(
            "which column is the score?",
            sample.path,
            found=f"columns {listing(found or numbers or list(sample.kinds))}",
            expected="one column of numbers for --binary",
            hint=line(sample.path, options, logits_column=((found or numbers or ["NAME"])[0],)),
        )
    return Choice((found[0],), "the one column of scores", kind=_kind_of_one(found[0]))


def _kind_of_one(name: str) -> str:
    words = {*plain_name(name).split("_")}
    return "logits" if words & {"logit", "logits"} else "probs" if words & {"prob", "p", "proba"} else ""


def _any_values(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions) -> Choice:
    """Choose columns of numbers other than logits: one list column, a family of one stem, or all that have no role."""
    lists = [name for name, kind in sample.kinds.items() if kind == FLOATS and not never_scores(name)]
    if len(lists) == 1:
        return Choice((lists[0],), "the only list", is_list=True)
    numbers = [
        n for n, role in roles.items() if sample.kinds[n] == NUMBER and role.role in ("", "about the prediction")
    ]
    if lists or not numbers:
        raise no_columns(sample, options, roles)
    family = next((f for f in numbered(numbers) if f.kind is not None), None)
    return of_columns(family.columns if family is not None else tuple(numbers), "what is left")


def _known_or(labels: object, choice: Choice, options: ReadOptions) -> LabelValues | None:
    """Return the labels if the order of the columns depends on them."""
    # Text labels may include a part of the stem: class_0 with prob_class_0.
    words = plain_name(choice.stem.replace("*", " ")).split("_")
    plain = choice.numbers == tuple(range(len(choice.columns))) and len(words) == 1
    return None if choice.is_list or (plain and options.class_names is None) else labels()  # type: ignore[operator]


def _by_label_names(sample: TableSample, choice: Choice, label: str | None) -> Choice:
    """Order the classes by the names that the schema gives to the integers of the label."""
    names = sample.label_names.get(label or "")
    if names is None:
        return choice
    if choice.is_list:
        return choice._replace(names=names)
    found = reordered(choice, names)
    if found is None and choice.numbers is None and {*map(plain_name, choice.names or ())} & {*map(plain_name, names)}:
        raise InputError(
            "the schema and the columns name different classes",
            f'{sample.path}, column "{label}"',
            found=f"labels {listing(names)}",
            expected=f"{listing(choice.names or ())}, as the columns",
        )
    if found is None:
        return choice._replace(names=names) if len(names) == len(choice.columns) else choice
    return found


def _spelling(choice: Choice, labels: Callable[[], LabelValues | None]) -> str:
    """Say which labels and columns are the same only after Unicode normalisation (NFC); "" if there are none."""
    if choice.is_list or "".join((*(choice.names or ()), *choice.columns)).isascii():
        return ""
    names = {*(choice.names or ()), *choice.columns}
    known = labels()
    odd = [] if known is None or known.form != "text" else sorted(known.names(every=False) - names)
    same = {composed(name) for name in names}
    odd = [text for text in odd if not text.isascii() and composed(text) in same]
    return (
        f"labels and columns write accents differently, and are matched as Unicode NFC: {listing(odd)}" if odd else ""
    )


def _doubt(sample: TableSample, choice: Choice, options: ReadOptions) -> str:
    command = line(sample.path, naming(choice.columns, sample.kinds, options))
    return (
        f"columns {shown(choice.columns)} are taken for the classes because {choice.why}; no name says so; "
        f"to say it: {command}"
    )


def _refuse_argmax(
    sample: TableSample, choice: Choice, options: ReadOptions, label: str, labels: LabelValues | None
) -> None:
    """Refuse a label that is always the most probable class, unless its name says that it is the truth."""
    if options.label_column is not None or says_truth(label) or choice.is_list or labels is None:
        return
    declared = options.source == "probs" or choice.kind == "probs"
    names = choice.names or choice.columns
    rows = numbers_of(sample, choice) if declared else None
    if rows is None or not all_are_argmax(rows, names, labels):
        return
    if distributions(rows, declared=True):
        raise InputError(
            "is the label the truth, or what was predicted?",
            f'{sample.path}, column "{label}"',
            found="the class with the highest probability in every row",
            expected="labels that some rows get wrong, or a name such as y_true",
            hint=f"if it is the truth: {line(sample.path, options, label_column=label)}",
        )


def _left_out(plan: ColumnPlan, roles: Mapping[str, Role]) -> tuple[tuple[str, str], ...]:
    """Return the columns that are not used, with reasons; those that might have been classes come first."""
    used = set(plan.used)
    found = [(name, roles.get(name, FREE)) for name in plan.columns if name not in used]
    found.sort(key=lambda entry: bool(entry[1].role))
    return tuple((name, role.reason or "not one of the class columns") for name, role in found)
