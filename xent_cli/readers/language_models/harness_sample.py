"""One sample of EleutherAI's lm-evaluation-harness: the log-likelihoods of the choices, and which is right.

A sample is ``{doc_id, doc, target, arguments, resps, filtered_resps, filter, doc_hash, prompt_hash, target_hash, acc,
...}``, one for each document and filter. For a multiple choice, ``filtered_resps`` has the log-likelihood of each
choice, and whether greedy decoding produces it: as text since May 2024; before that as a number and a boolean, and
without hashes and filter.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.readers.language_models.json_values import RecordError, keys_of, list_of, object_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = frozenset({"doc", "target", "arguments", "resps", "filtered_resps", "metrics"})
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
# A log-likelihood above this is not explained by rounding.
_ABOVE = 0.01
_NO_CHOICES = (
    "only multiple_choice tasks score choices; the others (generate_until, loglikelihood, ...) have no softmax"
)


class Sample(NamedTuple):
    """A document with its choices.

    Fields
    ------
    scores
        The log-likelihood of each choice, in nats.
    label
        The index of the right choice.
    """

    scores: list[float]
    label: int


def read_sample(record: Any) -> Sample:
    """Read a line.

    Raises
    ------
    RecordError
        If it is not a sample, it is one without choices, or it does not say which choice is right.

    Examples
    --------
    >>> read_sample({"target": "1", "filtered_resps": [["-12.5", "False"], ["-9.25", "True"]], "acc": 1.0})
    Sample(scores=[-12.5, -9.25], label=1)
    """
    record = object_of(record, "a sample")
    if "filtered_resps" not in record:
        raise RecordError(f"an object with {keys_of(record)}", 'a sample with "filtered_resps"')
    scores = [_score(one) for one in list_of(record["filtered_resps"], '"filtered_resps"')]
    if "acc_mutual_info" in record and len(scores) % 2 == 0:
        scores = scores[: len(scores) // 2]  # the second half are the same choices without the question
    if len(scores) < 2:
        raise RecordError(f"{len(scores)} log-likelihood{'' if len(scores) == 1 else 's'}", "two or more", _NO_CHOICES)
    return Sample(scores, _label(record, scores))


def _score(response: Any) -> float:
    pair = response if isinstance(response, list) and len(response) == 2 else (None, None)
    if pair[1] not in (False, True, "False", "True"):
        found = f"{shown(response)} in filtered_resps"
        raise RecordError(found, "a log-likelihood and whether it is greedy, for each choice", _NO_CHOICES)
    value = pair[0]
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        score = float(value)
    except (ValueError, OverflowError):
        raise RecordError(f"a log-likelihood {shown(value)}", "a number") from None
    if score > _ABOVE:
        raise RecordError(f"a log-likelihood of {shown(value)}", "0 or less")
    return score


def _label(record: dict[str, Any], scores: list[float]) -> int:
    """Return the right choice: what the target says, if that agrees with the accuracy in the sample."""
    target, n = record.get("target"), len(scores)
    acc = record.get("acc")
    if type(acc) not in (int, float, bool) or any(map(math.isnan, scores)):
        acc = None
    elif acc not in (0, 1):
        found = f"an accuracy of {shown(acc)}"
        raise RecordError(found, "0 or 1", "the task has a measure of its own, and no one choice that is right")
    likeliest = max(range(n), key=scores.__getitem__)
    meant = _meant(target, list(_arguments(record))[:n], n)
    fitting = [choice for choice in meant if acc is None or (choice == likeliest) == bool(acc)]
    if not meant and acc is not None and (acc or n == 2):
        # If the choices are in the prompts, the target is not one of them; then accuracy says which of two is right.
        return likeliest if acc else 1 - likeliest
    if len(fitting) == 1:
        return fitting[0]
    found = f"target {shown(target)} of {n} choices"
    if meant and not fitting:
        found += f", and an accuracy of {acc:g} where choice {likeliest} is the likeliest"
        raise RecordError(found, "a target and an accuracy that agree", "the task scores choices by a rule of its own")
    raise RecordError(found, "the index or the text of one choice")


def _meant(target: Any, arguments: list[tuple[str, str]], n: int) -> list[int]:
    """Return the choices that a target may mean: by index, and by text."""
    contexts, texts = ([one[place] for one in arguments] for place in (0, 1))
    if len(set(contexts)) > 1 and len(set(texts)) == 1:
        return []  # the choices are in the prompts, and the target is the text after each
    found = []
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    text = str(target) if isinstance(target, str | int) else None
    if text is not None and text[:1] == "[" and text[1:-1].isdecimal():
        text = text[1:-1]  # a list of one, written as text
    if text in ("True", "False"):
        found.append(int(text == "True"))
    elif text is not None and text.isascii() and text.isdigit() and len(text) < 6:
        found.append(int(text))
    if text is not None:
        found += [place for place, choice in enumerate(texts) if choice.strip() == text.strip()][:1]
    return list(dict.fromkeys(choice for choice in found if choice < n))


def _arguments(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the prompt and the continuation of each request; nothing if they have another form."""
    held = record.get("arguments")
    if isinstance(held, dict):
        held = [held.get(f"gen_args_{place}") for place in range(len(held))]
        held = [[one.get("arg_0"), one.get("arg_1")] for one in held if isinstance(one, dict)]
    for one in held if isinstance(held, list) else ():
        if isinstance(one, list) and len(one) > 1 and isinstance(one[0], str) and isinstance(one[1], str):
            yield one[0], one[1]


def hashes_of(record: dict[str, Any]) -> tuple[str, str, str]:
    """Return the hashes of document, prompt and target; compute them as the harness does if an older version did not.

    Raises
    ------
    RecordError
        If there are neither hashes nor the texts to compute them from.
    """
    if all(isinstance(record.get(name), str) for name in _HASHES):
        doc, prompt, target = (record[name] for name in _HASHES)
        return doc, prompt, target
    arguments = next(_arguments(record), None)
    if "doc" not in record or arguments is None:
        raise RecordError(f"an object with {keys_of(record)}", f"{', '.join(_HASHES)}, or what they are of")
    doc = json.dumps(record["doc"], indent=2, ensure_ascii=False)
    texts = doc, arguments[0], str(record.get("target"))
    doc, prompt, target = (hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() for text in texts)
    return doc, prompt, target


def filter_of(record: dict[str, Any]) -> str:
    """Return the name of the filter; older versions wrote one line per document, after the only filter."""
    return str(record.get("filter", "none"))


def columns_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a sample says besides the choices, by name; values of the document have names like `doc.subject`.

    Examples
    --------
    >>> columns_of({"doc_id": 3, "doc": {"subject": "law", "choices": ["a"], "of": {"year": 1999}}, "acc": 1.0})
    {'doc.subject': 'law', 'doc.of.year': 1999, 'doc_id': 3, 'acc': 1.0}
    """
    found = dict(_flat("doc", record.get("doc")))
    return found | {name: value for name, value in record.items() if name not in _PARTS and _is_value(value)}


def _flat(name: str, value: Any, levels: int = 4) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and levels:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner, levels - 1)
    elif _is_value(value):
        yield name, value


def _is_value(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
