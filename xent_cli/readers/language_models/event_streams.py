"""Streamed responses, as servers send them (server-sent events): lines ``data: {...}``, joined to whole responses.

A piece of a chat or of completions has the log-probabilities of its own tokens in ``choices[i].logprobs``, as a whole
response has them. Pieces with the same ``id`` are one response. llama-server's own pieces end with ``"stop": true``,
and the Responses API ends with an event that holds the whole response.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.language_models.json_values import RecordError, keys_of, list_of, object_of
from xent_cli.readers.language_models.llama_server import PROBABILITIES
from xent_cli.readers.language_models.response_records import lines_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.readers.storage.interface import Bytes

_BEGINNING = re.compile(rb"(?:(?::|event:|id:|retry:)[^\n]*\n|\s*\n)*data: ?(?:\{|\[DONE\])")
_DATA, _OTHERS = b"data:", (b":", b"event:", b"id:", b"retry:")
_END = b"[DONE]"
# The events of the Responses API that hold the whole response.
_WHOLE = ("response.completed", "response.incomplete", "response.failed")
_LISTS = ("content", "token_logprobs", "tokens", "top_logprobs")
_CUT = {"message": "the stream is cut short"}
_SOME = {"message": "pieces of text without log-probabilities"}


def is_event_stream(text: bytes) -> bool:
    r"""Whether a text begins as server-sent events do.

    Examples
    --------
    >>> [is_event_stream(text) for text in (b'data: {"choices": []}', b": ping\n\ndata: {}", b"data,label")]
    [True, True, False]
    """
    return _BEGINNING.match(text) is not None


class _Stream(NamedTuple):
    """The pieces of one response, joined so far.

    Fields
    ------
    choices
        Log-probabilities by the index of their choice.
    ended, bare
        The choices that have ended, and those with text for which there are no log-probabilities.
    """

    place: str
    number: int
    name: Any
    choices: dict[Any, dict[str, list[Any]]]
    ended: set[Any]
    bare: set[Any]

    def add(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        if not isinstance(index, int):
            raise RecordError("an index of a choice that is not a number", "a whole number")
        held = self.choices.setdefault(index, {})
        before = _length(held)
        _extend(held, object_of(choice.get("logprobs") or {}, '"logprobs"'))
        text = choice.get("text") or object_of(choice.get("delta") or {}, '"delta"').get("content")
        if text and _length(held) == before:
            self.bare.add(index)
        if choice.get("finish_reason") is not None:
            self.ended.add(index)

    def joined(self, *, whole: bool) -> dict[str, Any]:
        """Return the response; `whole` says that the server has ended the stream."""
        record = {} if self.name is None else {"id": self.name}
        if not whole and self.ended != self.choices.keys():
            return record | {"error": _CUT}
        if any(self.choices[index] for index in self.bare):
            return record | {"error": _SOME}
        choices = [{"logprobs": held or None} for _, held in sorted(self.choices.items())]
        return record | {"choices": choices}


def streamed_responses(source: Bytes, most_bytes: int) -> Iterator[tuple[str, int, Any]]:
    """Yield each response with the place and the number of its first line, as `records_of` does.

    Raises
    ------
    InputError
        If a line is not that of an event, or a piece is of another form.
    """
    stream: _Stream | None = None
    begun = ("", 0)
    for number, line in enumerate(lines_of(source, most_bytes), 1):
        place = f"{source.name} line {number}"
        text = line.strip()
        if not text or text.startswith(_OTHERS):
            continue
        if not text.startswith(_DATA):
            raise InputError("not an event of a stream", place, "a line of another form", "data: {...}")
        data = text.removeprefix(_DATA).strip()
        try:
            piece = None if data == _END else object_of(value_of(data, place), "an event")
            if piece is None or _begins_another(stream, piece):
                if stream is not None and stream.choices:
                    yield stream.place, stream.number, stream.joined(whole=piece is None)
                stream = None
            if piece is None:
                continue
            if str(piece.get("type", "")).startswith("response."):
                begun = begun if begun[0] else (place, number)
                if piece["type"] in _WHOLE:
                    yield *begun, piece.get("response")
                    begun = ("", 0)
                continue
            if "error" in piece and "choices" not in piece:
                yield place, number, piece
                continue
            stream = stream or _Stream(place, number, piece.get("id"), {}, set(), set())
            for choice in _choices_of(piece):
                stream.add(choice)
            if piece.get("stop") is True:
                found = {PROBABILITIES: stream.choices[0].get("content")}
                settings = {key: piece[key] for key in ("generation_settings",) if key in piece}
                yield stream.place, stream.number, found | settings
                stream = None
        except RecordError as error:
            raise error.at(place, "not a piece of a response") from None
    if stream is not None and stream.choices:
        yield stream.place, stream.number, stream.joined(whole=False)
    if begun[0]:
        yield *begun, {"error": _CUT}


def _begins_another(stream: _Stream | None, piece: dict[str, Any]) -> bool:
    return stream is not None and piece.get("id") != stream.name and "choices" in piece


def _choices_of(piece: dict[str, Any]) -> list[dict[str, Any]]:
    if "choices" in piece:
        return [object_of(choice, "a choice") for choice in list_of(piece["choices"], '"choices"')]
    if "content" not in piece or "stop" not in piece:
        raise RecordError(f"an event with {keys_of(piece)}", 'a piece with "choices"')
    if piece.get("index", 0) != 0:
        raise RecordError("pieces of several prompts", "those of one", "ask for one prompt at a time")
    held = piece.get(PROBABILITIES)
    logprobs = None if held is None else {"content": list_of(held, f'"{PROBABILITIES}"')}
    return [{"logprobs": logprobs, "text": piece["content"]}]


def _extend(held: dict[str, Any], logprobs: dict[str, Any]) -> None:
    """Append the lists of a piece to those of the pieces before it; one that a piece lacks has nulls there."""
    lists = {key: list_of(logprobs[key], f'"{key}"') for key in _LISTS if logprobs.get(key) is not None}
    before, more = _length(held), _length(lists)
    for key in _LISTS:
        if key in held or key in lists:
            held[key] = held.get(key, [None] * before) + lists.get(key, [None] * more)


def _length(lists: dict[str, list[Any]]) -> int:
    return len(lists.get("content", lists.get("token_logprobs", ())))
