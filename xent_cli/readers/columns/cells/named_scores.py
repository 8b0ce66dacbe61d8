"""Lists with a class and its score in each item, as pipelines and BigQuery write them; and lists of names."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

from xent_cli.readers.columns.sample import as_text
from xent_cli.readers.columns.words import LISTS, never_scores, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME_KEYS = (
    "label",
    "class",
    "class_name",
    "className",
    "display_name",
    "displayName",
    "name",
    "category",
    "tag",
    "token",
)
SCORE_KEYS = ("score", "prob", "proba", "probability", "confidence", "logprob", "log_prob", "logit", "value")
SCORE_LISTS = frozenset(name for _, names in LISTS for name in names)
# The last word in the name of a list of scores.
_SCORE_WORDS = SCORE_LISTS | {"confidences", "confidence", "score"}
_TEXT_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*(?:,|(?=\s*['"])|$)""")


def scores_by_name(items: Sequence[Any]) -> list[tuple[str, Any]] | None:
    """Return pairs of class and score from a list of objects that have both; None for any other list.

    Examples
    --------
    >>> scores_by_name([{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}])
    [('cat', 0.9), ('dog', 0.1)]
    """
    if not items or not isinstance(items[0], dict):
        return None
    name = next((key for key in NAME_KEYS if key in items[0]), None)
    score = next((key for key in SCORE_KEYS if key in items[0]), None)
    keys = {name, score}
    if None in keys or not all(isinstance(item, dict) and keys <= item.keys() for item in items):
        return None
    return [(as_text(item[name]), item[score]) for item in items]


def objects_of(text: str) -> list[Any] | None:
    """Parse a list of objects, in JSON or as Python prints it; None for any other text.

    Examples
    --------
    >>> objects_of("[{'label': 'cat', 'score': 0.5}]")
    [{'label': 'cat', 'score': 0.5}]
    """
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else None
    return None


def texts_of(text: str) -> list[str] | None:
    """Parse a list of strings, as JSON, Python or NumPy writes it; None for any other text.

    Examples
    --------
    >>> texts_of("['cat', 'dog']"), texts_of("['cat' 'dog']"), texts_of("[0.5]")
    (['cat', 'dog'], ['cat', 'dog'], None)
    """
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "()"):
        return None
    found, at, inner = [], 0, text[1:-1].strip()
    while at < len(inner) and (item := _TEXT_ITEM.match(inner, at)):
        found.append(next(part for part in item.groups() if part is not None))
        at = item.end()
    return found if found and at == len(inner) else None


def named_lists(records: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Find the list of names and the list of scores that they belong to, if there is exactly one of each."""
    first = records[0] if records else {}
    texts = [key for key, value in first.items() if _is_list_of(value, str)]
    texts = [key for key in texts if not never_scores(plain_name(key)) and "top" not in plain_name(key)]
    scores = [key for key, value in first.items() if _is_list_of(value, int, float)]
    scores = [key for key in scores if plain_name(key).split("_")[-1] in _SCORE_WORDS]
    pairs = [(names, key) for names in texts for key in scores if len(first[names]) == len(first[key])]
    if len(pairs) != 1:
        return None
    names, key = pairs[0]
    return pairs[0] if all(are_named(record.get(names), record.get(key)) for record in records) else None


def are_named(names: Any, scores: Any) -> bool:
    """Whether one list has a name for each score of the other, and no name twice."""
    if not _is_list_of(names, str) or not isinstance(scores, list):
        return False
    return 1 < len(names) == len(scores) == len({*names})


def _is_list_of(value: Any, *types: type) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) in types for item in value)
