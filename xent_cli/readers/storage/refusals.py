"""Why a remote object cannot be read, in the same sentence whichever library raises the error."""

from __future__ import annotations

import re

from xent_cli.errors import InputError, without_secrets
from xent_cli.readers.storage.reading import first_line

# Message if the reason is unknown.
UNKNOWN = "cannot read URL"
# Message if there is no object at a URL, which may still be a folder.
NO_OBJECT = "no such object"
_STATUS = re.compile(
    r"\b(?:HTTP status|status code|HTTP/\S+|code)[ :=]*([45]\d\d)\b|\b([45]\d\d), message", re.IGNORECASE
)
_STATUSES = {
    401: "not allowed to read the object",
    403: "not allowed to read the object",
    404: NO_OBJECT,
    410: NO_OBJECT,
    429: "the server wants fewer requests",
}
_CUT = re.compile(
    r"not completed|not enough data|ContentLength|IncompleteRead|transfer closed|curlCode: (18|56)\b", re.I
)
# Words with which the libraries describe each reason, from the most specific to the least.
_WORDS = (
    (r"resolve host|name or service not known|nodename nor|getaddrinfo|name resolution|curlCode: 6\b", "unknown host"),
    (r"refused|connect call failed|connect to server|curlCode: 7\b|cannot connect", "connection refused"),
    (r"timed? ?out|timeout|curlCode: 28\b|deadline", "no answer"),
    (r"access_?denied|forbidden|permission denied|unauthorized", "not allowed to read the object"),
    (r"not_?found|no_?such|does not exist", NO_OBJECT),
    (r"closed|reset|disconnected", "the answer was cut short"),
)
_HINTS = {
    "not allowed to read the object": "are the credentials right, and has a signed URL not expired?",
    "no answer": "--timeout SECONDS waits longer",
    "the answer was cut short": "try again; the object may be changing",
    "unknown host": "is the name right, and is there a network?",
    "connection refused": "is the address right, and does the server run?",
}


def refusal(url: str, error: BaseException, seconds: float) -> InputError:
    """Say why an object cannot be read."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    text = " ".join(f"{type(one).__name__} {one}" for one in chain[::-1])
    statuses = (getattr(one, "status", None) for one in chain)
    status = next((number for number in statuses if isinstance(number, int)), None)
    said = _STATUS.search(text)
    cut = _CUT.search(text) is not None
    if cut:  # aiohttp has a separate status for this
        status = said = None
    if status is None and said:
        status = int(said[1] or said[2])
    name = without_secrets(url)
    if status is not None and status >= 400:
        what = _STATUSES.get(status, "the server failed" if status >= 500 else "the server refused the request")
        hint = "try again later" if status >= 500 or status == 429 else _HINTS.get(what, "")
        return InputError(what, name, found=f"HTTP status {status}", hint=hint)
    words = (word for pattern, word in _WORDS if re.search(pattern, text, re.IGNORECASE))
    what = "the answer was cut short" if cut else next(words, UNKNOWN)
    if what == "no answer":
        return overdue(url, seconds)
    found = "" if what == NO_OBJECT else without_secrets(first_line(chain[-1]))
    return InputError(what, name, found=found, hint=_HINTS.get(what, ""))


def overdue(url: str, seconds: float) -> InputError:
    """Return the error for a timeout."""
    return InputError("no answer", without_secrets(url), f"nothing for {seconds:g} s", hint=_HINTS["no answer"])
