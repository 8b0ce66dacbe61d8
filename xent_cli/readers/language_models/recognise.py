"""Recognise JSON that programs which run language models write."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, printable
from xent_cli.readers.interface import RESPONSES, SAMPLES
from xent_cli.readers.language_models.completions import are_responses
from xent_cli.readers.language_models.harness import are_samples

if TYPE_CHECKING:
    from xent_cli.readers.storage.interface import Bytes

_EACH = 'if type == "array" then .[] else . end | '
# Servers with a form of their own: what their responses hold, all of it, and the filter that makes chats of them.
_OTHERS = (
    (
        "Gemini",
        (rb'"candidates"\s*:', rb'"logprobsResult"\s*:'),
        _EACH + "{id: .responseId, choices: [.candidates[] | {logprobs: {content: "
        "[.logprobsResult.chosenCandidates[] | {token, logprob: .logProbability}]}}]}",
    ),
    (
        "text-generation-inference",
        (rb'"details"\s*:\s*\{', rb'"prefill"\s*:', rb'"tokens"\s*:'),
        _EACH + "{choices: [{logprobs: {content: [.details.tokens[] | {token: .text, logprob}]}}]}",
    ),
    (
        "Ollama",
        (rb'"created_at"\s*:', rb'"done"\s*:', rb'"logprobs"\s*:\s*\['),
        # Pieces of a stream are joined up to the one that is done.
        "foreach (., inputs) as $p ([]; (if .[-1:] == [null] then [] else . end) + ($p.logprobs // []) + "
        "(if $p.done then [null] else [] end); select(.[-1:] == [null]) | {choices: [{logprobs: {content: .[:-1]}}]})",
    ),
)


def program_of(source: Bytes, head: bytes) -> str | None:
    """Return the format of JSON that begins with these bytes; None if no such program wrote it.

    Raises
    ------
    InputError
        If it is that of a server whose form is not read, with the line that converts it.
    """
    if are_samples(source, head):
        return SAMPLES
    if are_responses(head):
        return RESPONSES
    for server, marks, jq in _OTHERS:
        if all(re.search(mark, head) for mark in marks):
            hint = f"jq -c {shlex.quote(jq)} {shlex.quote(printable(source.name))} > chats.jsonl makes chats of them"
            raise InputError("format not supported", source.name, f"responses of {server}", hint=hint)
    return None
