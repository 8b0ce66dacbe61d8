"""What a server of language models answers: the log-probabilities of the tokens of one response.

Of OpenAI, vLLM and llama-server, in three forms:

- chat completions: ``choices[i].logprobs.content``, a list of ``{token, logprob, bytes, top_logprobs}``;
- completions: ``choices[i].logprobs.token_logprobs``, whose first is null if the prompt is echoed;
- vLLM's ``prompt_logprobs``: null, then for each token of the prompt a map of token ids to ``{logprob, rank, ...}``, in
  which ``prompt_token_ids`` says which token is scored.

A line of a batch has them in ``response.body``, beside ``custom_id`` and ``response.status_code``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What servers write for a token that is not among the likeliest.
OUTSIDE = -9999.0
# A log-probability above this, or a sum of probabilities that is as far above 1, is no rounding.
_ABOVE = 0.01
# Log-probabilities are rounded to float32: the rest of a sum may be this much more than it seems.
_ROUNDING = 1e-6
_LARGE = 10**18


class Token(NamedTuple):
    """One scored token.

    Fields
    ------
    log_p
        Its log-probability in nats, or NaN if only a bound is known.
    cap
        What the log-probability is at most.
    size
        How many bytes of text it is, or -1 if the response does not say.
    """

    log_p: float
    cap: float
    size: int


class Response(NamedTuple):
    """One response.

    Fields
    ------
    name
        Its `custom_id` in a batch, else its `id`; "" if it has neither.
    failure
        Why it failed, or "".
    tokens
        Those of all its choices; None if there are no log-probabilities.
    """

    name: str
    failure: str
    tokens: list[Token] | None


class ResponseError(Exception):
    """What is wrong with a response."""

    def __init__(self, found: str, expected: str, hint: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.hint = found, expected, hint


def read_response(record: Any) -> Response:
    """Read one response, or one line of a batch.

    Raises
    ------
    ResponseError
        If it is not a response, or has numbers that are not log-probabilities.

    Examples
    --------
    >>> scored = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}
    >>> read_response({"id": "r1", "choices": [{"logprobs": scored}]})
    Response(name='r1', failure='', tokens=[Token(log_p=-0.5, cap=0.0, size=1)])
    >>> read_response({"custom_id": "q7", "response": {"status_code": 429, "body": {}}})
    Response(name='q7', failure='status 429', tokens=None)
    """
    record = _dict(record, "a response")
    if "custom_id" not in record and "choices" not in record and "error" not in record:
        raise ResponseError(f"an object with {_keys(record)}", 'a response with "choices", or a line of a batch')
    if "custom_id" not in record:
        return _of_body(record, _name(record.get("id")))
    name, answer = _name(record["custom_id"]), record.get("response")
    if record.get("error") or answer is None:
        return Response(name, _reason(record), None)
    answer = _dict(answer, '"response"')
    status = answer.get("status_code", 200)
    if type(status) is not int:
        raise ResponseError(f'"status_code" {_shown(status)}', "a whole number")
    if not 200 <= status < 300:
        return Response(name, f"status {status}", None)
    return _of_body(_dict(answer.get("body"), '"body"'), name)


def _of_body(body: dict[str, Any], name: str) -> Response:
    if "choices" not in body:
        if "error" in body:
            return Response(name, _reason(body), None)
        raise ResponseError(f"an object with {_keys(body)}", 'a response with "choices"')
    choices = [_dict(choice, "a choice") for choice in _list(body["choices"], '"choices"')]
    if len(choices) == 1:  # vLLM has what belongs to the prompt of a chat beside the choices
        beside = {key: body[key] for key in ("prompt_logprobs", "prompt_token_ids") if body.get(key) is not None}
        choices = [beside | {key: value for key, value in choices[0].items() if value is not None}]
    elif body.get("prompt_logprobs") is not None:
        found = f'"prompt_logprobs" beside {len(choices)} choices'
        raise ResponseError(found, "one choice, or prompt_logprobs in each", 'ask for "n": 1')
    tokens: list[Token] = []
    for choice in choices:
        scored = _of_choice(choice)
        if scored is None:
            return Response(name, "", None)
        tokens += scored
    return Response(name, "", tokens if choices else None)


def _of_choice(choice: dict[str, Any]) -> Iterable[Token] | None:
    if "delta" in choice:
        raise ResponseError("a piece of a streamed response", "whole responses", 'ask for "stream": false')
    prompt, own = choice.get("prompt_logprobs"), choice.get("logprobs")
    if prompt is not None and own is not None:
        hint = "take one out: jq -c 'del(.. | .logprobs?)', or del(.. | .prompt_logprobs?)"
        raise ResponseError('both "prompt_logprobs" and "logprobs"', "one of them", hint)
    if prompt is not None:
        return _of_prompt(_list(prompt, '"prompt_logprobs"'), choice.get("prompt_token_ids"))
    if own is None:
        return None
    own = _dict(own, '"logprobs"')
    if "token_logprobs" in own:
        return None if own["token_logprobs"] is None else _of_completion(own)
    if "content" in own:
        return None if own["content"] is None else _of_chat(_list(own["content"], '"content"'))
    raise ResponseError(f'"logprobs" with {_keys(own)}', '"content" or "token_logprobs" in it')


def _of_chat(content: list[Any]) -> Iterator[Token]:
    for token in content:
        token = _dict(token, "a token")
        text = token.get("bytes")
        size = -1 if text is None else len(_list(text, '"bytes"'))
        others = token.get("top_logprobs") or ()
        if token.get("logprob") is None:
            raise ResponseError('a token without "logprob"', "a log-probability")
        yield _token(token["logprob"], ((_dict(top, "a token").get("logprob") for top in others), others), size)


def _of_completion(logprobs: dict[str, Any]) -> Iterator[Token]:
    values = _list(logprobs["token_logprobs"], '"token_logprobs"')
    tops = logprobs.get("top_logprobs")
    tops = [None] * len(values) if tops is None else _list(tops, '"top_logprobs"')
    if len(tops) != len(values):
        raise ResponseError(f"{len(values)} token_logprobs and {len(tops)} top_logprobs", "as many")
    for place, (value, top) in enumerate(zip(values, tops, strict=True)):
        if value is None and place == 0:
            continue  # nothing comes before the first token of an echoed prompt
        held = {} if top is None else _dict(top, "an entry of top_logprobs")
        yield _token(value, (held.values(), held), -1)


def _of_prompt(entries: list[Any], ids: Any) -> Iterator[Token]:
    if ids is not None and len(_list(ids, '"prompt_token_ids"')) != len(entries):
        raise ResponseError(f"{len(entries)} prompt_logprobs and {len(ids)} prompt_token_ids", "as many")
    for place, entry in enumerate(entries):
        if entry is None and place == 0:
            continue  # as above
        held = _dict(entry, "an entry of prompt_logprobs")
        if ids is None and len(held) != 1:
            found = f'{len(held)} tokens in an entry of prompt_logprobs, and no "prompt_token_ids"'
            raise ResponseError(found, "the ids, which say which token is scored", 'ask for "return_token_ids": true')
        key = next(iter(held)) if ids is None else str(ids[place])
        if key not in held:
            raise ResponseError(f"token {_shown(ids[place])} is not in its entry of prompt_logprobs", "its logprob")
        values = [_dict(one, "a token").get("logprob") for one in held.values()]
        yield _token(held[key].get("logprob"), (values, values), -1)


def _token(value: Any, tops: tuple[Iterable[Any], Any], size: int) -> Token:
    """Return a token; `tops` are the log-probabilities of the likeliest ones, and what they come from."""
    log_p = _log_p(value)
    if log_p is not None:
        return Token(log_p, 0.0, size)
    if tops[1] and not isinstance(tops[1], list | dict):
        raise ResponseError(f'"top_logprobs" {_shown(tops[1])}', "a list")
    known = [top for top in map(_log_p, tops[0]) if top is not None]
    if not known:
        return Token(math.nan, 0.0, size)
    mass = math.fsum(map(math.exp, known))
    if mass > 1 + _ABOVE:
        raise ResponseError(f"top_logprobs whose probabilities sum to {mass:.6g}", "at most 1")
    # No token outside is likelier than the least likely of the top, nor than all that is left.
    rest = max(1.0 - mass, 0.0) + _ROUNDING
    return Token(math.nan, min(min(known), math.log(rest), 0.0), size)


def _log_p(value: Any) -> float | None:
    """Return a log-probability; None if it is that of a token outside the likeliest ones."""
    if type(value) not in (int, float):
        raise ResponseError(f"a log-probability {_shown(value)}", "a number")
    if value == -math.inf:
        return -math.inf
    if value <= OUTSIDE:
        return None
    if not value <= _ABOVE:
        raise ResponseError(f"a log-probability of {_shown(value)}", "0 or less")
    return float(value)


def _name(value: Any) -> str:
    if value is None or type(value) in (str, int):
        return "" if value is None else value if isinstance(value, str) else _shown(value)
    raise ResponseError(f"an id {_shown(value)}", "a text")


def _reason(record: dict[str, Any]) -> str:
    error = record.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type") or error.get("message")
    return _shown(error) if error else "no response"


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ResponseError(f"{what} that is {_shown(value)}", "an object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ResponseError(f"{what} that is {_shown(value)}", "a list")
    return value


def _keys(record: dict[str, Any]) -> str:
    return ", ".join(f'"{key[:30]}"' for key in list(record)[:6]) or "no keys"


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if type(value) is int:  # Python refuses to write thousands of digits
        return str(value) if abs(value) < _LARGE else "a large number"
    return repr(value)[:60]
