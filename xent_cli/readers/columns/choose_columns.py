"""Which columns of a table hold the logits: the first rule that applies, or the question that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.choice import Choice, of_columns
from xent_cli.readers.columns.elimination import what_is_left
from xent_cli.readers.columns.families import Family, named, numbered, shown
from xent_cli.readers.columns.lines import line, naming, no_columns, one_column, several_readings
from xent_cli.readers.columns.named_rows import of_cells
from xent_cli.readers.columns.roles import Role
from xent_cli.readers.columns.sample import FLOATS, MAP, NUMBER, TEXTS, VECTOR, WHOLES
from xent_cli.readers.columns.words import (
    CLASS_LISTS,
    INDEX,
    LABEL,
    LISTS,
    NEVER_LISTS,
    PREDICTED,
    kind_of_stem,
    plain_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xent_cli.readers.columns.evidence import LabelValues
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

    Labels = Callable[[], LabelValues | None]

_KINDS = ("logits", "log-probs", "probs", "")


def choose(sample: TableSample, roles: Mapping[str, Role], options: ReadOptions, labels: Labels) -> Choice:
    """Choose the columns of logits of a table in which none was named.

    Parameters
    ----------
    roles
        Of all columns that nothing else was asked of.
    labels
        Gives what is known of the labels, where that is needed.

    Raises
    ------
    InputError
        Where no column fits, or several readings are left.
    """
    roles = _without_roles_that_labels_name(sample, roles, labels)
    free = [name for name, role in roles.items() if sample.kinds[name] == NUMBER and not role.role]
    free = [name for name in free if not roles[name].reason]
    lists = [name for name, kind in sample.kinds.items() if name in roles and _holds_rows(kind, name)]
    lists = [name for name in lists if not NEVER_LISTS.fullmatch(plain_name(name)) and roles[name].role != LABEL]
    found = _family(sample, free, options, labels)
    if lists:
        return _list(sample, lists, options, None if found is None else found[0])
    if found is not None:
        family, why = found
        stem = f"{family.before}*{family.after}" if family.before or family.after else ""
        return Choice(family.columns, why, family.names, family.numbers, family.kind or "", stem)
    questions = [name for name, role in roles.items() if role.question and sample.kinds[name] == NUMBER]
    never = {name for family in numbered(free) if family.never for name in family.columns}
    never -= {name for name in never if roles[name].must}
    left = [name for name in free if name not in never]
    if not left and not questions:
        raise no_columns(sample, options, roles)
    if len(left) + len(questions) == 1:
        raise one_column(sample, options, (left or questions)[0])
    columns, why, doubt = what_is_left(sample, left, questions, roles, options, labels())
    return of_columns(columns, why, doubt=doubt)


def _without_roles_that_labels_name(
    sample: TableSample, roles: Mapping[str, Role], labels: Labels
) -> Mapping[str, Role]:
    """Roles, but of no column that a label of text names, if something around it tells other columns from these."""
    floats = [name for name in roles if sample.kinds[name] == NUMBER and roles[name].role not in (INDEX, LABEL)]
    never = {name for family in numbered(floats) if family.never for name in family.columns}
    odd = [n for n in floats if n in never or (roles[n].reason and not roles[n].question and not sample.is_whole(n))]
    known = labels() if odd else None
    if known is None or known.form != "text":
        return roles
    found: set[str] = set()
    for every in (False, True):
        named_by = evidence.columns_of_labels(known, floats, every=every)
        found = set(named_by.values()) if named_by is not None else found
    return {**roles, **{name: Role("", "", must=True) for name in odd if name in found}} if len(found) > 1 else roles


def _holds_rows(kind: str, name: str) -> bool:
    """Whether a cell may hold a row of scores: lists of floats do, what else there is by name.

    Predictions of whole numbers are no scores, nor is a vector or a map of anything.
    """
    plain = plain_name(name)
    if kind == MAP and kind_of_stem(name) is not None:
        return True
    lists = {WHOLES: LISTS[:3], VECTOR: LISTS, MAP: LISTS}.get(kind, ())
    return kind == FLOATS or any(plain in names for _, names in lists)


def _list(sample: TableSample, lists: list[str], options: ReadOptions, family: Family | None) -> Choice:
    plain = {plain_name(name): name for name in reversed(lists)}
    ranks = sorted(LISTS, key=lambda entry: entry[0] != options.source) if options.source else LISTS
    name, kind = next(((plain[word], kind) for kind, words in ranks for word in words if word in plain), (None, ""))
    if name is None and len(lists) == 1 and sample.kinds[lists[0]] == MAP:
        name, kind = lists[0], kind_of_stem(lists[0]) or ""
    readings = {f'lists in "{each}"': ["--logits-column", each] for each in ([name] if name else lists)}
    if family is not None:
        readings[f"columns {family.shown}"] = naming(family.columns, sample.kinds, family, family.kind or "")
    if name is None or len(readings) > 1:
        raise several_readings(sample, options, "which lists are the logits?", readings, "a list column named logits")
    _refuse_named_rows(sample, name, options)
    return of_cells(sample, name, f"lists named {plain_name(name)}", kind)


def _refuse_named_rows(sample: TableSample, name: str, options: ReadOptions) -> None:
    """Refuse lists of scores beside lists that say which class each score is of."""
    scores = [len(row) for row in sample.first(name) if isinstance(row, list)]
    for other, kind in sample.kinds.items():
        if other == name or kind not in (TEXTS, WHOLES) or NEVER_LISTS.fullmatch(plain_name(other)):
            continue
        lengths = [len(row) for row in sample.first(other) if isinstance(row, list)]
        if scores and lengths == scores:
            raise InputError(
                "which class each score is of is said row by row",
                f'{sample.path}, column "{name}"',
                found=f'lists of names in "{other}", as long as the scores',
                expected="scores in one order of the classes",
                hint=f"if they are in one order: {line(sample.path, options, '--logits-column', name)}",
            )


def _family(sample: TableSample, free: list[str], options: ReadOptions, labels: Labels) -> tuple[Family, str] | None:
    """The one family of scores, those of logits before log-probabilities before probabilities, and why."""
    by_number = [family for family in numbered(free) if family.kind is not None]
    taken = {name for family in by_number for name in family.columns}
    by_name = named([name for name in free if name not in taken])
    kinds = sorted(_KINDS, key=lambda kind: kind != options.source) if options.source else _KINDS
    for kind in kinds:
        found = [(family, f"numbered columns {_stem(family)}") for family in by_number if family.kind == kind]
        if kind == "" and len(found) > 1:
            # Whole numbers beside scores are what some models predicted.
            found = [entry for entry in found if not _whole(sample, entry[0])] or found
        found += _borne_out(sample, [family for family in by_name if family.kind == kind], options, labels)
        if len(found) > 1:
            readings = {f.shown: naming(f.columns, sample.kinds, f, f.kind or "") for f, _ in found}
            raise several_readings(sample, options, f"{len(found)} sets of class columns", readings)
        if found and kind == "" and _whole(sample, found[0][0]) and _predicts(found[0][0]):
            readings = {found[0][0].shown: naming(found[0][0].columns, sample.kinds, found[0][0])}
            expected = "scores, and these are whole numbers: what was predicted?"
            raise several_readings(sample, options, "are these scores?", readings, expected)
        if found:
            return found[0]
    return None


def _borne_out(
    sample: TableSample, families: list[Family], options: ReadOptions, labels: Labels
) -> list[tuple[Family, str]]:
    """Families by name that rows or labels bear out; of those within another one, the largest."""
    found: list[tuple[Family, str]] = []
    for family in families:
        if any(set(family.columns) & set(other.columns) for other, _ in found):
            continue
        why = borne_out(sample, family, options, labels())
        larger = any(set(family.columns) < set(other.columns) for other in families)
        if why and not (larger and why == evidence.BY_RANGE):
            found.append((family, f"columns {_stem(family)}, and {why}"))
    return found


def borne_out(sample: TableSample, family: Family, options: ReadOptions, labels: LabelValues | None) -> str:
    """Say what bears out that the columns of a stem are the classes; "" where nothing does.

    Raises
    ------
    InputError
        Where the labels do, and yet the scores are worse than a guess.
    """
    columns = family.columns
    if options.class_names is not None and {*map(plain_name, options.class_names)} == {*map(plain_name, family.names)}:
        return "--class-names names them"
    if evidence.are_distributions(sample, columns, told=options.source == "probs"):
        return evidence.BY_ROWS
    if labels is None:
        return "there are no labels to tell otherwise"
    if labels.form == "dense":
        return "there are as many as numbers in a label" if labels.width == len(columns) else ""
    if labels.form == "text":
        for every in (False, True):
            # Whatever else there is among the labels names no class, and the run will say so where it counts.
            if {*map(plain_name, family.names)} <= {*map(plain_name, labels.names(every=every))}:
                return evidence.BY_LABELS
            named_by = evidence.columns_of_labels(labels, columns, every=every)
            if named_by is not None and set(named_by.values()) == set(columns):
                return evidence.BY_LABELS
        return ""
    if not evidence.run_from_zero(labels, len(columns)) or not evidence.side_by_side(sample.kinds, columns):
        return ""
    if family.kind == "":
        evidence.refuse_a_guess(sample, columns, labels, line(sample.path, options, *naming(columns, sample.kinds)))
    return evidence.BY_RANGE


def refuse_ranked(sample: TableSample, choice: Choice, options: ReadOptions) -> None:
    """Refuse the k highest scores of a row, whose columns are places and no classes.

    Raises
    ------
    InputError
        Where every row falls from left to right, or other columns name a class for each score.
    """
    if choice.asked or choice.is_list:
        return
    beside = ranked_beside(sample, choice.columns)
    if not beside and not evidence.fall_from_left_to_right(sample, choice.columns):
        return
    raise InputError(
        "the highest scores of each row, not a score for each class",
        sample.path,
        found=f"columns {shown(choice.columns)}"
        + (f", whose classes {listing(beside)} name" if beside else ", which descend in every row"),
        expected="one column for each class",
        hint=f"if they are the classes: {line(sample.path, options, *naming(choice.columns, sample.kinds))}",
    )


def ranked_beside(sample: TableSample, columns: tuple[str, ...]) -> list[str]:
    """Numbered columns that say which class each of as many scores is of."""
    taken = set(columns)
    others = [name for name, kind in sample.kinds.items() if kind in ("text", NUMBER) and name not in taken]
    for family in numbered(others):
        word = plain_name(f"{family.before}{family.after}").split("_")[-1]
        if word in CLASS_LISTS and len(family.columns) == len(columns) and _whole_or_text(sample, family):
            return list(family.columns)
    return []


def _whole_or_text(sample: TableSample, family: Family) -> bool:
    return all(sample.kinds[name] != NUMBER or sample.is_whole(name) for name in family.columns)


def _whole(sample: TableSample, family: Family) -> bool:
    return sample.is_whole(family.columns[0]) and all(map(sample.is_whole, family.columns))


def _predicts(family: Family) -> bool:
    return bool({*plain_name(f"{family.before} {family.after}").split("_")} & PREDICTED)


def _stem(family: Family) -> str:
    return f'"{family.before}*{family.after}"' if family.before or family.after else "0, 1, 2, ..."
