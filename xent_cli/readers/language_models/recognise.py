"""Recognise JSON that programs which run language models write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.readers.interface import RESPONSES, SAMPLES
from xent_cli.readers.language_models.completions import are_responses
from xent_cli.readers.language_models.harness import are_samples

if TYPE_CHECKING:
    from xent_cli.readers.storage.interface import Bytes


def program_of(source: Bytes, head: bytes) -> str | None:
    """Return the format of JSON that begins with these bytes; None if no such program wrote it."""
    if are_samples(source, head):
        return SAMPLES
    return RESPONSES if are_responses(head) else None
