"""Log-probabilities of generated or scored text, as servers of language models return them; see `token_logprobs`.

The file is read once, when it is opened: the tokens go to a temporary file of 32 bytes each, so that JSON Lines of any
length take little memory, and runs of tokens can be read in any order.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xent_cli.core.block import Rows
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.input_description import InputDescription
from xent_cli.core.scratch import flat
from xent_cli.errors import InputError
from xent_cli.readers.columns.column_plan import ColumnPlan
from xent_cli.readers.interface import RESPONSES, SourceInfo
from xent_cli.readers.language_models.event_streams import is_event_stream, streamed_responses
from xent_cli.readers.language_models.json_values import RecordError
from xent_cli.readers.language_models.refused_options import refuse_options
from xent_cli.readers.language_models.response_records import records_of
from xent_cli.readers.language_models.token_logprobs import read_response
from xent_cli.readers.storage.identity import shrunk
from xent_cli.readers.storage.pipe import written_to_disk
from xent_cli.readers.storage.reading import BOM, fill, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.array_types import FloatArray
    from xent_cli.core.block import Part
    from xent_cli.readers.interface import Classes, Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.interface import Bytes
    from xent_cli.readers.storage.stored import Stored

# Columns of the table of tokens.
_RESPONSE, _BYTES = "response", "bytes"
# Numbers stored for each token: log_p, cap, number of the response, size.
_RECORD = 4
_BATCH = 1 << 14
_HEAD_BYTES = 1 << 12
_MOST_NAMED = 5
_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\{')
_COMPLETION = (b'"completion_probabilities"', b'"tokens_predicted"')
_OF_A_CHOICE = (b'"finish_reason"', b'"logprobs"', b'"prompt_logprobs"')
# The Responses API of OpenAI, and SGLang's `/generate`.
_OUTPUT, _META = re.compile(rb'"object"\s*:\s*"response"'), re.compile(rb'"meta_info"\s*:\s*\{')
_BATCH_LINE = re.compile(rb'"response"\s*:\s*(\{\s*"(status_code|request_id|body)"|null\s*,\s*"error")')


def are_responses(head: bytes) -> bool:
    """Whether JSON begins like the response of a server.

    Examples
    --------
    >>> are_responses(b'{"id": "a", "choices": [{"index": 0, "logprobs": null}]}')
    True
    >>> are_responses(b'{"choices": ["a", "b"], "logprobs": [-0.1, -2.3], "label": 0}')
    False
    """
    if b'"custom_id"' in head and _BATCH_LINE.search(head):
        return True
    if _COMPLETION[0] in head or (_COMPLETION[1] in head and b'"content"' in head):
        return True
    if _OUTPUT.search(head) or (_META.search(head) and b'_token_logprobs"' in head):
        return True
    return _CHOICES.search(head) is not None and any(key in head for key in _OF_A_CHOICE)


class Responses(NamedTuple):
    """What was found besides the tokens.

    Fields
    ------
    names, starts, places
        For each response with tokens: its name, the number of its first token, and its place in the file.
    failed, silent
        For each response that failed, and for each one without log-probabilities: its name and the reason.
    sampled
        Names of responses whose probabilities may be those after sampling changed them.
    """

    names: list[str]
    starts: list[int]
    places: list[str]
    failed: list[str]
    silent: list[str]
    sampled: list[str]


def open_completions(source: Bytes, head: bytes, role: str, options: ReadOptions, classes: Classes) -> Source:
    """Open responses, all of which are read; see `Opener`.

    Raises
    ------
    InputError
        If they are damaged, hold no log-probabilities, or the role is not that of logits.
    UsageError
        If an option is about logits of every class, or about columns.
    """
    if role != "logits" or options.labels_path:
        expected = "one operand: the tokens are their own labels"
        raise InputError("log-probabilities of a server", source.name, f"a file of responses as {role}", expected)
    others = {
        "--id-column": options.id_column,
        "--sample-weight-column": options.weight_column,
        f"--mask {options.mask}": options.mask in (_RESPONSE, _BYTES),
    }
    refuse_options(options, f"{source.name} holds log-probabilities of tokens alone", others)
    found = Responses([], [], [], [], [], [])
    tokens = written_to_disk(source.name, _tokens(source, found, options.run.document_bytes))
    total = tokens.size() // (8 * _RECORD)
    if not total:
        what = f"{len(found.failed)} responses that failed, {len(found.silent)} without log-probabilities"
        what += f" (the first: {found.failed[0]})" if found.failed else ""
        hint = (
            'ask for them: "logprobs": true in a chat, "logprobs": 1 in completions, "n_probs": 1 of llama-server, '
            '"return_logprob": true of SGLang, "include": ["message.output_text.logprobs"] in responses'
        )
        raise InputError("no log-probabilities", source.name, what, "at least one token", hint)
    units = options.units_column if options.units_column == _BYTES else None
    return CompletionsSource(tokens, found, total, units, options.run.task_bytes)


def _tokens(source: Bytes, found: Responses, most_bytes: int) -> Iterator[bytes]:
    """Yield the tokens of all responses as records, and add everything else to `found`."""
    waiting: list[tuple[float, float, float, float]] = []
    start = 0
    streamed = is_event_stream(source.peek(_HEAD_BYTES).removeprefix(BOM))
    for place, _, record in (streamed_responses if streamed else records_of)(source, most_bytes):
        try:
            response = read_response(record)
        except RecordError as error:
            raise error.at(place, "not a response") from None
        name = response.name or place
        if response.failure:
            found.failed.append(f"{name} ({response.failure})")
        elif response.tokens is None:
            found.silent.append(name)
        elif response.tokens:
            if response.sampled:
                found.sampled.append(name)
            waiting += [(token.log_p, token.cap, len(found.names), token.size) for token in response.tokens]
            found.names.append(name)
            found.starts.append(start)
            found.places.append(place)
            start += len(response.tokens)
        if len(waiting) >= _BATCH:
            yield np.array(waiting).tobytes()
            waiting.clear()
    yield np.array(waiting).tobytes()


class CompletionsSource(NamedTuple):
    """Tokens as rows of two classes: the token, and all others, whose log-probability is not known; see `Source`.

    Fields
    ------
    units
        The column of units that is asked for, or None.
    """

    file: Stored
    found: Responses
    total: int
    units: str | None
    task_bytes: int

    @property
    def info(self) -> SourceInfo:
        """See `Source`."""
        plan = ColumnPlan(by=(_RESPONSE,), units=self.units, columns=(_RESPONSE, _BYTES))
        fields = {"logits", "labels", "logit_bounds", "groups"} | ({"units"} if self.units else set())
        shape = (self.total,)
        return SourceInfo(
            InputDescription(self.file.name, RESPONSES, shape, "float64"),
            np.dtype(np.float64),
            (2,),
            self.total,
            shape,
            frozenset(fields),
            plan=plan,
        )

    @property
    def remarks(self) -> tuple[Diagnostic, ...]:
        """Name the responses that are left out."""
        said = []
        total = len(self.found.names) + len(self.found.failed) + len(self.found.silent)
        for code, some, what in (
            ("failed-responses", self.found.failed, "failed"),
            ("responses-without-logprobs", self.found.silent, "have no log-probabilities"),
        ):
            if some:
                text = f"{len(some)} of {total} responses {what} and are left out: {_named(some)}"
                said.append(Diagnostic(code, text))
        if self.found.sampled:
            text = (
                f"{len(self.found.sampled)} of {total} responses ({_named(self.found.sampled)}) have the probabilities "
                "of an older llama-server, which are the model's own only if no sampling setting changed them, and the "
                'file does not say so: "temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0 leaves them as they are'
            )
            said.append(Diagnostic("sampled-probabilities", text))
        return tuple(said)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        step = max(1, self.task_bytes // (8 * _RECORD * 8))
        for start in range(0, self.total, step):
            size = min(step, self.total - start)
            yield first + start, size, self.rows(start, start + size)

    def rows(self, start: int, stop: int) -> Part:
        """See `Source`."""
        low, high = (bisect_right(self.found.starts, row) - 1 for row in (start, max(start, stop - 1)))
        names = tuple(self.found.names[low : high + 1])
        return CompletionRows(self.file, names, low, self.units is not None, start, stop)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        at = bisect_right(self.found.starts, row - first) - 1
        token = row - first - self.found.starts[at]
        return f"{self.found.places[at]} (sample {row}: token {token} of {self.found.names[at]})"


def _named(some: list[str]) -> str:
    return ", ".join(some[:_MOST_NAMED]) + (f" and {len(some) - _MOST_NAMED} more" if len(some) > _MOST_NAMED else "")


class CompletionRows(NamedTuple):
    """Recipe for tokens `start` to `stop`, as a `Part`.

    Fields
    ------
    names
        Names of the responses that they are in; the first of these has number `low`.
    """

    file: Stored
    names: tuple[str, ...]
    low: int
    units: bool
    start: int
    stop: int

    def read(self) -> Rows:
        """Read the tokens.

        Raises
        ------
        InputError
            If units are asked for and a response does not say how many bytes a token is.
        """
        log_p, cap, response, size = self._records().T
        n = len(log_p)
        rows = np.full((n, 2), np.nan)
        rows[:, 0] = log_p
        bounded = np.isnan(log_p)
        # The probability of the other classes is known to be at least 1 minus the cap, so the row says that the token
        # has at most the cap.
        with np.errstate(divide="ignore"):
            rows[bounded, 1] = np.log(-np.expm1(cap[bounded]))
        bounds = np.stack([cap, np.zeros(n), np.full(n, np.nan)], axis=1)
        at = response.astype(np.int64) - self.low
        groups = np.array(self.names, object)[at][:, np.newaxis]
        if self.units and (size < 0).any():
            name = self.names[at[int(np.argmax(size < 0))]]
            hint = "only chat completions say it; leave --units out"
            raise InputError("no bytes", self.file.name, f'a token of {name} without "bytes"', "a list of bytes", hint)
        return Rows(
            logits=rows,
            labels=np.zeros(n, np.int64),
            groups=groups,
            logit_bounds=bounds,
            units=size if self.units else None,
        )

    def _records(self) -> FloatArray:
        records = np.empty((self.stop - self.start, _RECORD))
        with self.file.open() as stream, reading("temporary file"):
            stream.seek(8 * _RECORD * self.start)
            target = flat(records).view(np.uint8).data
            if fill(stream, target) < len(target):
                raise shrunk(self.file.name)
        return records
