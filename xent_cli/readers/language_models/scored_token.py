"""One scored token: its log-probability, or a bound of it if a server only returns the likeliest tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.readers.language_models.json_values import RecordError, list_of, object_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What servers write for a token that is not among the likeliest.
OUTSIDE = -9999.0
# A log-probability above this, or a sum of probabilities as far above 1, is not explained by rounding.
_ABOVE = 0.01
# Because log-probabilities are rounded to float32, the rest of a sum of probabilities may be this much more than
# computed.
_ROUNDING = 1e-6


class Token(NamedTuple):
    """One scored token.

    Fields
    ------
    log_p
        Its log-probability in nats, or NaN if only a bound is known.
    cap
        Upper bound of the log-probability.
    size
        Number of bytes of its text, or -1 if the response does not say.
    """

    log_p: float
    cap: float
    size: int


def tokens_of_chat(content: list[Any]) -> Iterator[Token]:
    """Yield the tokens of a chat: ``{token, logprob, bytes, top_logprobs}``."""
    for token in content:
        token = object_of(token, "a token")
        text = token.get("bytes")
        size = -1 if text is None else len(list_of(text, '"bytes"'))
        others = token.get("top_logprobs") or ()
        if token.get("logprob") is None:
            raise RecordError('a token without "logprob"', "a log-probability")
        yield token_of(token["logprob"], ((object_of(top, "a token").get("logprob") for top in others), others), size)


def token_of(value: Any, tops: tuple[Iterable[Any], Any], size: int) -> Token:
    """Return a token; `tops` are the log-probabilities of the likeliest ones, and the name of their field."""
    log_p = log_p_of(value)
    if log_p is not None:
        return Token(log_p, 0.0, size)
    if tops[1] and not isinstance(tops[1], list | dict):
        raise RecordError(f'"top_logprobs" {shown(tops[1])}', "a list")
    known = [top for top in map(log_p_of, tops[0]) if top is not None]
    if not known:
        return Token(math.nan, 0.0, size)
    mass = math.fsum(map(math.exp, known))
    if mass > 1 + _ABOVE:
        raise RecordError(f"top_logprobs whose probabilities sum to {mass:.6g}", "at most 1")
    # A token outside the list is at most as likely as the least likely one in it, and has at most the rest of the
    # probability.
    rest = max(1.0 - mass, 0.0) + _ROUNDING
    return Token(math.nan, min(min(known), math.log(rest), 0.0), size)


def log_p_of(value: Any) -> float | None:
    """Return a log-probability; None if it is that of a token outside the likeliest ones."""
    if type(value) not in (int, float):
        raise RecordError(f"a log-probability {shown(value)}", "a number")
    if value == -math.inf:
        return -math.inf
    if value <= OUTSIDE:
        return None
    if not value <= _ABOVE:
        raise RecordError(f"a log-probability of {shown(value)}", "0 or less")
    return float(value)
