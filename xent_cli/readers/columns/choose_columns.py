"""Which columns of a table hold the logits: the first rule that applies decides, otherwise the user is asked.

1. A list column with a name for scores (`LISTS`): `logits` before `log_probs` before `probs`; the user is asked about
   any other list.
2. A family: columns that differ in a number or a name, with a word for scores around it (`logit_0`, `cat_prob`). Logits
   come before log-probabilities, these before probabilities, and the user is asked about two families of one kind.
   Numbers are enough; names must be confirmed by the rows or the labels (`evidence.bears_out`).
3. Columns that no role explains, by the rules of `elimination`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.columns import evidence
from xent_cli.readers.columns.cells.named_rows import of_cells
from xent_cli.readers.columns.choice import Choice
from xent_cli.readers.columns.doubts import likeliest_first, naming_of, refuse_other_model, without_counters
from xent_cli.readers.columns.families import Family, named, numbered, shown
from xent_cli.readers.columns.labels.label_values import columns_of_labels
from xent_cli.readers.columns.lines import line, naming, no_columns, one_column, several_readings
from xent_cli.readers.columns.roles import Role
from xent_cli.readers.columns.sample import FLOATS, MAP, NUMBER, TEXT, TEXTS, VECTOR, WHOLES
from xent_cli.readers.columns.words import (
    CLASS_LISTS,
    INDEX,
    LABEL,
    LISTS,
    PREDICTED,
    PREDICTION,
    kind_of_stem,
    never_scores,
    plain_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.readers.columns.evidence import TableFacts
    from xent_cli.readers.columns.sample import TableSample
    from xent_cli.readers.options import ReadOptions

_KINDS = ("logits", "log-probs", "probs", "")


def choose(facts: TableFacts) -> Choice:
    """Choose the columns that hold the logits of a table, if the user named none.

    Raises
    ------
    InputError
        If no column fits, or several readings are possible.
    """
    facts = facts._replace(roles=_without_roles_that_labels_name(facts))
    sample, roles, options = facts.sample, facts.roles, facts.options
    free = [name for name, role in roles.items() if sample.kinds[name] == NUMBER and not role.role]
    free = [name for name in free if not roles[name].reason]
    bare = [name for family in numbered(free) if not family.stem for name in family.columns]
    counters = {*bare} - {*without_counters(sample, bare)}
    free = [name for name in free if name not in counters or len(counters) == len(bare)]
    found = _family(facts, free)
    lists = _lists(facts)
    if lists:
        return _list(facts, lists, None if found is None else found[0])
    if found is not None:
        family, why = found
        _refuse_other_numbers(facts, family)
        return Choice(family.columns, why, family.names, family.numbers, family.kind or "", family.stem)
    questions = [name for name, role in roles.items() if role.question and sample.kinds[name] == NUMBER]
    never = _never(free) - {name for name in free if roles[name].must}
    left = [name for name in free if name not in never]
    if not left and not questions:
        _refuse_never(facts, free)
        scores = [name for name, role in roles.items() if role.role == PREDICTION and sample.kinds[name] == NUMBER]
        scores = [name for name in scores if not sample.is_whole(name)]
        raise one_column(sample, options, scores[0]) if len(scores) == 1 else no_columns(sample, options, roles)
    if len(left) + len(questions) == 1:
        raise one_column(sample, options, (left or questions)[0])
    from xent_cli.readers.columns.elimination import what_is_left

    return what_is_left(facts, left, questions)


def _refuse_other_numbers(facts: TableFacts, family: Family) -> None:
    """Refuse numbered columns if one of them is not numeric: a loss over the others alone would be a different loss."""
    if family.numbers is None:
        return
    sample, start, end = facts.sample, len(family.before), len(family.after)
    taken = {*family.columns}
    for name, kind in sample.kinds.items():
        if kind == NUMBER or name in taken or not (name.startswith(family.before) and name.endswith(family.after)):
            continue
        if name[start : len(name) - end].isdecimal():
            raise InputError(
                "not a column of numbers",
                f'{sample.path}, column "{name}"',
                found=next((text for text in sample.texts(name) if text), "nothing"),
                expected=f"scores, as in {family.shown}",
                hint=f"if it is not a class: {line(sample.path, naming_of(facts, family))}",
            )


def _never(columns: list[str]) -> set[str]:
    """Return numbered columns that hold inputs of a model (`f0`, `pixel_1`)."""
    return {name for family in numbered(columns) if family.never for name in family.columns}


def _refuse_never(facts: TableFacts, free: list[str]) -> None:
    """Ask about columns named like inputs of a model (`V1`, `X0`, as R names columns) whose rows are distributions."""
    sets = [family for family in numbered(free) if family.never and facts.are_distributions(family.columns)]
    if sets:
        readings = {family.shown: naming_of(facts, family) for family in sets}
        expected = "names such as prob_0 and prob_1: these are those of a model's inputs"
        raise several_readings(facts.sample, "are these the classes?", readings, expected)


def _without_roles_that_labels_name(facts: TableFacts) -> Mapping[str, Role]:
    """Return the roles, without those of columns that text labels clearly name."""
    sample, roles = facts.sample, facts.roles
    floats = [name for name in roles if sample.kinds[name] == NUMBER and roles[name].role not in (INDEX, LABEL)]
    never = _never(floats)
    odd = [n for n in floats if n in never or (roles[n].reason and not roles[n].question and not sample.is_whole(n))]
    labels = facts.labels if odd else None
    if labels is None or labels.form != "text":
        return roles
    found: set[str] = set()
    for every in (False, True):
        named_by = columns_of_labels(labels, floats, every=every)
        found = set(named_by.values()) if named_by is not None else found
    return {**roles, **{name: Role("", "", must=True) for name in odd if name in found}} if len(found) > 1 else roles


def _lists(facts: TableFacts) -> list[str]:
    """Return columns whose cells may hold a row of scores."""
    sample, roles = facts.sample, facts.roles
    cells = [name for name in roles if sample.kinds[name] not in (NUMBER, TEXT)]
    lists = [name for name in cells if _holds_rows(sample.kinds[name], name)]
    return [name for name in lists if not never_scores(plain_name(name)) and roles[name].role != LABEL]


def _holds_rows(kind: str, name: str) -> bool:
    """Whether a cell may hold a row of scores: lists of floats may, anything else only if its name says so.

    Whole numbers may be predictions, and a vector or a map may hold anything.
    """
    if kind == MAP and kind_of_stem(name) is not None:
        return True
    lists = {WHOLES: LISTS[:3], VECTOR: LISTS, MAP: LISTS}.get(kind, ())
    return kind == FLOATS or any(plain_name(name) in names for _, names in lists)


def _list(facts: TableFacts, lists: list[str], family: Family | None) -> Choice:
    sample, options = facts.sample, facts.options
    plain = {plain_name(name): name for name in reversed(lists)}
    ranks = sorted(LISTS, key=lambda entry: entry[0] != options.source) if options.source else LISTS
    name, kind = next(((plain[word], kind) for kind, words in ranks for word in words if word in plain), (None, ""))
    if name is None and [sample.kinds[each] for each in lists] == [MAP]:
        # A map names its classes, and a word in the name of the column says that its values are scores.
        name, kind = lists[0], kind_of_stem(lists[0]) or ""
    readings = {f'lists in "{each}"': options._replace(logits_column=(each,)) for each in ([name] if name else lists)}
    if family is not None:
        readings[f"columns {family.shown}"] = naming_of(facts, family)
    if name is None or len(readings) > 1:
        raise several_readings(sample, "which lists are the logits?", readings, "a list column named logits")
    _refuse_named_rows(sample, name, options)
    return of_cells(sample, name, f"lists named {plain_name(name)}", kind)


def _refuse_named_rows(sample: TableSample, name: str, options: ReadOptions) -> None:
    """Refuse lists of scores next to lists that name the class of each score."""
    scores = [len(row) for row in sample.first(name) if isinstance(row, list)]
    for other, kind in sample.kinds.items():
        if other == name or kind not in (TEXTS, WHOLES) or never_scores(plain_name(other)):
            continue
        rows = [row for row in sample.first(other) if isinstance(row, list)]
        # Unlike a one-hot label, a list of class names has no value twice.
        if scores and [len({*row}) for row in rows] == scores:
            raise InputError(
                "the class of each score is given row by row",
                f'{sample.path}, column "{name}"',
                found=f'lists of names in "{other}", as long as the scores',
                expected="scores in one order of the classes",
                hint=f"if they are in one order: {line(sample.path, options, logits_column=(name,))}",
            )


def _family(facts: TableFacts, free: list[str]) -> tuple[Family, str] | None:
    """Return the one family of scores (logits before log-probabilities before probabilities), and why it was chosen."""
    by_number = [family for family in numbered(free) if family.kind is not None]
    taken = {name for family in by_number for name in family.columns}
    by_name = named([name for name in free if name not in taken])
    source = facts.options.source
    kinds = sorted(_KINDS, key=lambda kind: kind != source) if source else _KINDS
    for kind in kinds:
        found = [(family, f"numbered columns {_stem(family)}") for family in by_number if family.kind == kind]
        if kind == "" and len(found) > 1:
            # Whole numbers next to scores may be predictions of several models.
            found = [entry for entry in found if not _whole(facts.sample, entry[0])] or found
        if len(found) > 1 and facts.labels is not None and facts.labels.form == "text":
            # Each class may have a column for each fold: fold0_p_cat, fold1_p_cat.
            by_class = _borne_out(facts, [family for family in named(free) if family.kind == kind])
            found = by_class or found
        else:
            found += _borne_out(facts, [family for family in by_name if family.kind == kind])
        if kind == "probs" and len(found) > 1:
            # Next to probabilities there may be their standard deviations or bounds, which do not sum to 1.
            found = [entry for entry in found if facts.are_distributions(entry[0].columns)] or found
        if len(found) > 1:
            sets = likeliest_first(facts, [family for family, _ in found])
            readings = {family.shown: naming_of(facts, family) for family in sets}
            raise several_readings(facts.sample, f"{len(found)} sets of class columns", readings)
        if found and kind == "" and _whole(facts.sample, found[0][0]) and _predicts(found[0][0]):
            readings = {found[0][0].shown: naming_of(facts, found[0][0])}
            expected = "scores, and these are whole numbers: what was predicted?"
            raise several_readings(facts.sample, "are these scores?", readings, expected)
        if found:
            refuse_other_model(facts, found[0][0], [*by_number, *by_name])
            return found[0]
    return None


def _borne_out(facts: TableFacts, families: list[Family]) -> list[tuple[Family, str]]:
    """Return named families that rows or labels confirm; if one contains another, only the larger."""
    found: list[tuple[Family, str]] = []
    for family in families:
        if any(set(family.columns) & set(other.columns) for other, _ in found):
            continue
        choosing = naming(family.columns, facts.sample.kinds, facts.options)
        why = evidence.bears_out(facts, family.columns, family.names, choosing, guess=family.kind == "")
        larger = any(set(family.columns) < set(other.columns) for other in families)
        if why and not (larger and why == evidence.BY_RANGE):
            found.append((family, f"columns {_stem(family)}, and {why}"))
    return found


def refuse_ranked(sample: TableSample, choice: Choice, options: ReadOptions) -> None:
    """Refuse the k highest scores of each row, whose columns are ranks and not classes.

    Raises
    ------
    InputError
        If every row descends from left to right, or other columns name a class for each score.
    """
    if choice.asked or choice.is_list or choice.within:
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
        hint=f"if they are the classes: {line(sample.path, naming(choice.columns, sample.kinds, options))}",
    )


def ranked_beside(sample: TableSample, columns: tuple[str, ...]) -> list[str]:
    """Return as many numbered columns as there are scores, each with the class of one score."""
    taken = set(columns)
    others = [name for name, kind in sample.kinds.items() if kind in ("text", NUMBER) and name not in taken]
    for family in numbered(others):
        word = plain_name(f"{family.before}{family.after}").split("_")[-1]
        if word in CLASS_LISTS and len(family.columns) == len(columns) and _whole_or_text(sample, family):
            # A row of ranks names no class twice, unlike a one-hot label of three classes or more; but a sampled token
            # may be listed besides the highest.
            rows = zip(*(sample.texts(name) for name in family.columns), strict=True)
            if (
                len(columns) < 3
                or "top" in plain_name(family.before)
                or all(len({*row}) == len(columns) for row in rows)
            ):
                return list(family.columns)
    return []


def _whole_or_text(sample: TableSample, family: Family) -> bool:
    return all(sample.kinds[name] != NUMBER or sample.is_whole(name) for name in family.columns)


def _whole(sample: TableSample, family: Family) -> bool:
    return sample.is_whole(family.columns[0]) and all(map(sample.is_whole, family.columns))


def _predicts(family: Family) -> bool:
    return bool({*plain_name(f"{family.before} {family.after}").split("_")} & PREDICTED)


def _stem(family: Family) -> str:
    return f'"{family.stem}"' if family.stem else "0, 1, 2, ..."
