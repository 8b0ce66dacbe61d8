"""Errors and remarks in the words of whoever calls a function: `ignore_index=10`, never `--ignore-index 10`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xent_cli.errors import XentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.diagnostics import Diagnostic

# Options that the functions have too, with the value where it is a number.
_OPTION = re.compile(
    r"--(ignore-index|label-smoothing|class-weight|sample-weight|mask|temperature|precision|axis|top-k)\b"
    r"(?: (-?[\d.]+))?"
)


def in_python(text: str) -> str:
    """The same with options as arguments, without the clauses about options that the functions do not have.

    Examples
    --------
    >>> in_python("skip such samples with --ignore-index 10")
    'skip such samples with ignore_index=10'
    >>> in_python("they look like probabilities; if they are, use --from probs")
    'they look like probabilities'
    """
    told = _OPTION.sub(lambda found: found[1].replace("-", "_") + (f"={found[2]}" if found[2] else ""), text)
    return "; ".join(clause for clause in told.split("; ") if not re.search(r"(?<!\w)--\w", clause))


def remark_in_python(finding: Diagnostic) -> Diagnostic:
    """The remark in these words."""
    return finding._replace(message=in_python(finding.message))


@contextmanager
def speaking_python() -> Iterator[None]:
    """Raise errors in these words."""
    try:
        yield
    except XentError as error:
        words = [in_python(word) if isinstance(word, str) else word for word in error.args]
        raise type(error)(*words) from None
