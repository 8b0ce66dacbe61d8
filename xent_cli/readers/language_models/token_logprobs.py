"""The log-probabilities of the tokens in one response of a server of language models.

Of OpenAI, vLLM and llama-server, in four forms:

- chat completions: ``choices[i].logprobs.content``, a list of ``{token, logprob, bytes, top_logprobs}``;
- completions: ``choices[i].logprobs.token_logprobs``, whose first is null if the prompt is echoed;
- vLLM's ``prompt_logprobs``: null, then for each token of the prompt a map of token ids to ``{logprob, rank, ...}``, in
  which ``prompt_token_ids`` says which token is scored;
- llama-server's own ``completion_probabilities``: see `llama_server`.

- the Responses API of OpenAI: ``output[i].content[j].logprobs``, as in a chat;
- SGLang's ``meta_info``: see `sglang`.

A line of a batch has them in ``response.body``, next to ``custom_id`` and ``response.status_code``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.readers.language_models.json_values import RecordError, keys_of, list_of, object_of, shown
from xent_cli.readers.language_models.llama_server import is_completion, tokens_of_completion
from xent_cli.readers.language_models.scored_token import token_of, tokens_of_chat
from xent_cli.readers.language_models.sglang import META, tokens_of_meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xent_cli.readers.language_models.scored_token import Token


class Response(NamedTuple):
    """One response.

    Fields
    ------
    name
        Its `custom_id` in a batch, else its `id`; "" if it has neither.
    failure
        Why it failed, or "".
    tokens
        The tokens of all its choices; None if there are no log-probabilities.
    sampled
        Whether sampling may have changed the probabilities; see `llama_server`.
    """

    name: str
    failure: str
    tokens: list[Token] | None
    sampled: bool = False


def read_response(record: Any) -> Response:
    """Read one response, or one line of a batch.

    Raises
    ------
    RecordError
        If it is not a response, or has numbers that are not log-probabilities.

    Examples
    --------
    >>> scored = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}
    >>> read_response({"id": "r1", "choices": [{"logprobs": scored}]})
    Response(name='r1', failure='', tokens=[Token(log_p=-0.5, cap=0.0, size=1)], sampled=False)
    >>> read_response({"custom_id": "q7", "response": {"status_code": 429, "body": {}}})
    Response(name='q7', failure='status 429', tokens=None, sampled=False)
    """
    record = object_of(record, "a response")
    known = record.keys() & {"custom_id", "choices", "error", "output", META}
    if not known and not is_completion(record):
        raise RecordError(f"an object with {keys_of(record)}", 'a response with "choices", or a line of a batch')
    if "custom_id" not in record:
        return _of_body(record, _name(record.get("id")))
    name, answer = _name(record["custom_id"]), record.get("response")
    if record.get("error") or answer is None:
        return Response(name, _reason(record), None)
    answer = object_of(answer, '"response"')
    status = answer.get("status_code", 200)
    if type(status) is not int:
        raise RecordError(f'"status_code" {shown(status)}', "a whole number")
    if not 200 <= status < 300:
        return Response(name, f"status {status}", None)
    return _of_body(object_of(answer.get("body"), '"body"'), name)


def _of_body(body: dict[str, Any], name: str) -> Response:
    if "choices" not in body:
        if is_completion(body):
            return Response(name, "", *tokens_of_completion(body))
        if body.get("error"):
            return Response(name, _reason(body), None)
        if "output" in body:
            return Response(name, "", _of_output(list_of(body["output"], '"output"')))
        if META in body:
            meta = object_of(body[META], f'"{META}"')
            return Response(name or _name(meta.get("id")), "", tokens_of_meta(meta))
        if "error" in body:
            return Response(name, _reason(body), None)
        raise RecordError(f"an object with {keys_of(body)}", 'a response with "choices"')
    choices = [object_of(choice, "a choice") for choice in list_of(body["choices"], '"choices"')]
    if len(choices) == 1:  # vLLM has the tokens of a chat's prompt next to the choices
        beside = {key: body[key] for key in ("prompt_logprobs", "prompt_token_ids") if body.get(key) is not None}
        choices = [beside | {key: value for key, value in choices[0].items() if value is not None}]
    elif body.get("prompt_logprobs") is not None:
        found = f'"prompt_logprobs" beside {len(choices)} choices'
        raise RecordError(found, "one choice, or prompt_logprobs in each", 'ask for "n": 1')
    tokens: list[Token] = []
    for choice in choices:
        scored = _of_choice(choice)
        if scored is None:
            return Response(name, "", None)
        tokens += scored
    return Response(name, "", tokens if choices else None)


def _of_choice(choice: dict[str, Any]) -> Iterable[Token] | None:
    if "delta" in choice:
        raise RecordError("a piece of a streamed response", "whole responses", 'ask for "stream": false')
    prompt, own = choice.get("prompt_logprobs"), choice.get("logprobs")
    if prompt is not None and own is not None:
        hint = "take one out: jq -c 'del(.. | .logprobs?)', or del(.. | .prompt_logprobs?)"
        raise RecordError('both "prompt_logprobs" and "logprobs"', "one of them", hint)
    if prompt is not None:
        return _of_prompt(list_of(prompt, '"prompt_logprobs"'), choice.get("prompt_token_ids"))
    if own is None:
        return None
    own = object_of(own, '"logprobs"')
    if "token_logprobs" in own:
        return None if own["token_logprobs"] is None else _of_completion(own)
    if "content" in own:
        return None if own["content"] is None else tokens_of_chat(list_of(own["content"], '"content"'))
    raise RecordError(f'"logprobs" with {keys_of(own)}', '"content" or "token_logprobs" in it')


def _of_output(items: list[Any]) -> list[Token] | None:
    """The tokens of all texts of a response of the Responses API; None if one of them has no log-probabilities."""
    tokens: list[Token] = []
    for item in items:
        content = object_of(item, "an item of output").get("content") if "content" in item else None
        for part in list_of(content or [], '"content"'):
            if object_of(part, "a part of content").get("type") != "output_text":
                continue
            scored = list_of(part.get("logprobs") or [], '"logprobs"')
            if not scored and part.get("text"):
                return None
            tokens += tokens_of_chat(scored)
    return tokens or None


def _of_completion(logprobs: dict[str, Any]) -> Iterator[Token]:
    values = list_of(logprobs["token_logprobs"], '"token_logprobs"')
    tops = logprobs.get("top_logprobs")
    tops = [None] * len(values) if tops is None else list_of(tops, '"top_logprobs"')
    texts = values if logprobs.get("tokens") is None else list_of(logprobs["tokens"], '"tokens"')
    for name, some in (("top_logprobs", tops), ("tokens", texts)):
        if len(some) != len(values):
            raise RecordError(f"{len(values)} token_logprobs and {len(some)} {name}", "as many")
    for place, (value, top) in enumerate(zip(values, tops, strict=True)):
        if value is None and place == 0:
            continue  # nothing comes before the first token of an echoed prompt
        held = {} if top is None else object_of(top, "an entry of top_logprobs")
        yield token_of(value, (held.values(), held), -1)


def _of_prompt(entries: list[Any], ids: Any) -> Iterator[Token]:
    if ids is not None and len(list_of(ids, '"prompt_token_ids"')) != len(entries):
        raise RecordError(f"{len(entries)} prompt_logprobs and {len(ids)} prompt_token_ids", "as many")
    for place, entry in enumerate(entries):
        if entry is None and place == 0:
            continue  # as above
        held = object_of(entry, "an entry of prompt_logprobs")
        if ids is None and len(held) != 1:
            found = f'{len(held)} tokens in an entry of prompt_logprobs, and no "prompt_token_ids"'
            raise RecordError(found, "the ids, which say which token is scored", 'ask for "return_token_ids": true')
        key = next(iter(held)) if ids is None else str(ids[place])
        if key not in held:
            raise RecordError(f"token {shown(ids[place])} is not in its entry of prompt_logprobs", "its logprob")
        values = [object_of(one, "a token").get("logprob") for one in held.values()]
        yield token_of(held[key].get("logprob"), (values, values), -1)


def _name(value: Any) -> str:
    if value is None or type(value) in (str, int):
        return "" if value is None else value if isinstance(value, str) else shown(value)
    raise RecordError(f"an id {shown(value)}", "a text")


def _reason(record: dict[str, Any]) -> str:
    error = record.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type") or error.get("message")
    return shown(error) if error else "no response"
