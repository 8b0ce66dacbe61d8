"""Advice about errors and warnings of core, in arguments of the Python functions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from xent_cli.errors import XentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from xent_cli.core.diagnostics import Diagnostic

_HINTS = {
    "labels-look-1-based": "if they are, pass labels - 1",
    "logits-look-softmaxed": "if they are, pass np.log(probabilities) as logits",
    "invalid-mask": "a mask says which samples count; weights go with sample_weight",
    "invalid-soft-label": "dense labels are probabilities",
    "label-out-of-range of padding": "if {label} marks samples without a label, pass ignore_index={label}",
    "label-out-of-range": "are these the labels of these logits?",
    "label-out-of-range of size": "a label is the number of a class",
    "label-out-of-range of sign": "labels of -1 and 1 are those of 0 and 1: (labels + 1) // 2",
    "label-out-of-range of score": "binary scores z are the logits [0, z]: np.stack([np.zeros_like(z), z], axis=-1)",
    "missing-label": "leave such samples out with mask",
    "labels-off-by-one": "if the labels number the classes from {first_class}, pass labels - ({first_class})",
}


def hint_for(code: str, data: Mapping[str, Any]) -> str:
    """Return what to do about an error or a warning, or "" if there is nothing to say.

    Examples
    --------
    >>> hint_for("label-out-of-range", {"label": 255, "kind": "padding"})
    'if 255 marks samples without a label, pass ignore_index=255'
    """
    return (_HINTS.get(f"{code} of {data.get('kind')}") or _HINTS.get(code, "")).format(**data)


def with_hints(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Add advice to the messages of warnings and notes."""
    return tuple(diagnostic.with_hint(hint_for(diagnostic.code, diagnostic.data)) for diagnostic in diagnostics)


@contextmanager
def hinting() -> Iterator[None]:
    """Add advice to an error that is raised in a block or, as a decorator, in a function."""
    try:
        yield
    except XentError as error:
        error.hint = error.hint or hint_for(error.code, error.data)
        raise
