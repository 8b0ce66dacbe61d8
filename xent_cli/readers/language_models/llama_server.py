"""Probabilities in `completion_probabilities`, as llama-server's own `/completion` returns them.

A token is ``{id, token, bytes, logprob, top_logprobs}``, with the model's own log-probabilities; with
``post_sampling_probs`` it has ``prob`` and ``top_probs`` instead, which are the probabilities after sampling changed
them. Until the end of 2024 it was ``{content, probs: [{tok_str, prob}]}``, also with the probabilities after sampling,
which are the model's own only if the settings of sampling do not change them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xent_cli.readers.language_models.json_values import RecordError, keys_of, list_of, object_of, shown
from xent_cli.readers.language_models.scored_token import OUTSIDE, Token, token_of, tokens_of_chat

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBABILITIES = "completion_probabilities"
# For each setting in the older form, the value that does not change the probabilities.
_NEUTRAL = {
    "temperature": 1.0,
    "dynatemp_range": 0.0,
    "top_k": 0.0,
    "top_p": 1.0,
    "min_p": 0.0,
    "tfs_z": 1.0,
    "typical_p": 1.0,
    "typ_p": 1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "xtc_probability": 0.0,
    "mirostat": 0.0,
}
_OWN = 'ask for "temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, or a llama-server of 2025, which says "logprob"'


def is_completion(body: dict[str, Any]) -> bool:
    """Whether a body is that of `/completion`, with or without probabilities."""
    return PROBABILITIES in body or {"content", "tokens_predicted"} <= body.keys()


def tokens_of_completion(body: dict[str, Any]) -> tuple[list[Token] | None, bool]:
    """Return the tokens of a response, or None, and whether sampling may have changed their probabilities.

    Raises
    ------
    RecordError
        If the probabilities are not those of the model, or are damaged.

    Examples
    --------
    >>> probs = [{"tok_str": " a", "prob": 0.5}, {"tok_str": " b", "prob": 0.25}]
    >>> tokens_of_completion({"completion_probabilities": [{"content": " b", "probs": probs}]})
    ([Token(log_p=-1.3862943611198906, cap=0.0, size=-1)], True)
    """
    if body.get("stop") is False:
        raise RecordError("a piece of a streamed response", "whole responses", 'ask for "stream": false')
    if body.get(PROBABILITIES) is None:
        return None, False
    entries = [object_of(one, "a token") for one in list_of(body[PROBABILITIES], f'"{PROBABILITIES}"')]
    if any("prob" in one or "top_probs" in one for one in entries):
        hint = 'ask for "post_sampling_probs": false'
        raise RecordError('"prob", which is after sampling', '"logprob", which is of the model', hint)
    if not any("probs" in one for one in entries):
        return list(tokens_of_chat(entries)), False
    settings = body.get("generation_settings")
    temperature = None if settings is None else object_of(settings, '"generation_settings"').get("temperature")
    # Greedy sampling gave the softmax of all logits in some versions, and that of the `n_probs` highest in others.
    greedy = isinstance(temperature, int | float) and temperature <= 0
    if settings is not None and not greedy:
        _refuse_changed(settings)
    return list(_of_probs(entries)), settings is None or greedy


def _refuse_changed(settings: dict[str, Any]) -> None:
    for name, neutral in _NEUTRAL.items():
        value = settings.get(name, neutral)
        if type(value) not in (int, float):
            raise RecordError(f'"{name}" {shown(value)} in generation_settings', "a number")
        if value != neutral and not (name == "top_k" and value < 0):
            found = f'"probs" after sampling with "{name}": {shown(value)}'
            raise RecordError(found, "probabilities of the model", _OWN)


def _of_probs(entries: list[dict[str, Any]]) -> Iterator[Token]:
    for entry in entries:
        content = entry.get("content")
        if not isinstance(content, str) or "probs" not in entry:
            raise RecordError(f"a token with {keys_of(entry)}", '"content" and "probs"')
        pairs = [object_of(one, "a token") for one in list_of(entry["probs"], '"probs"')]
        known = [(one.get("tok_str"), _log(one.get("prob"))) for one in pairs]
        # A probability of 0 marks a token that sampling left out.
        known = [(text, log_p) for text, log_p in known if log_p > -math.inf]
        own = [log_p for text, log_p in known if text == content]
        if len(own) == 1:
            yield Token(min(own[0], 0.0), 0.0, -1)
        elif own:  # several tokens with the same text: the scored one is at most as likely as the likeliest of them
            yield Token(math.nan, min(max(own), 0.0), -1)
        else:
            tops = [log_p for _, log_p in known]
            yield token_of(OUTSIDE, (tops, tops), -1)


def _log(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1 + 1e-5:
        raise RecordError(f'"prob" {shown(value)}', "a number from 0 to 1")
    return math.log(value) if value > 0 else -math.inf
