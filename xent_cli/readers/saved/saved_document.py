"""Check that the values in a saved summary document are ones that xent could have written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xent_cli.core.metrics import METRICS, is_loss, top_k_of
from xent_cli.core.thresholds import BELOW_ZERO
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Value = tuple[str, Any, str]

_SCHEMA_VERSION = 1
_EXPECTED = "what xent compute -f json prints"
# Figures that cannot be below 0.
_SPREADS = ("std_loss", "se_loss", "design_effect", "brier")
_OVERFLOW_COUNTS = ("n_imprecise", "n_underflow", "n_overflow")


def figures_in(path: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Check the figures of a document, and return them by name, with NaN in place of null.

    Parameters
    ----------
    path
        As the user gave it, for the error.
    document
        Content of the file, which somebody may have edited.

    Raises
    ------
    InputError
        If it is not such a document, or xent could not have written one of the values that comparisons read.

    Examples
    --------
    >>> summary = {"n_samples": 2, "mean_loss": 0.5, "accuracy": None}
    >>> figures_in("b.json", {"schema_version": 1, "signature": "xent|axis:-1", "summary": summary})
    {'n_samples': 2, 'mean_loss': 0.5, 'accuracy': nan}
    """
    summary, signature = document.get("summary"), document.get("signature")
    if (
        not isinstance(summary, dict)
        or not isinstance(signature, str)
        or not {"mean_loss", "n_samples"} <= set(summary)
    ):
        raise InputError("not a summary document", path, expected=_EXPECTED)
    version = document.get("schema_version")
    if version != _SCHEMA_VERSION or isinstance(version, bool):
        raise InputError(
            "unknown version of the summary document",
            path,
            found=f"schema_version {version}",
            expected=str(_SCHEMA_VERSION),
        )
    for name, value, expected in _wrong(document, summary):
        shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}..."
        raise InputError("not a summary document", path, found=f"{name} {shown}", expected=expected)
    # Fields added by a later version may hold anything.
    known = {name: value for name, value in summary.items() if value is None or isinstance(value, int | float)}
    return {name: math.nan if value is None else value for name, value in known.items()}


def _wrong(document: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[Value]:
    """Yield the name of each invalid value, the value, and what was expected."""
    yield from _wrong_figures("summary", summary)
    digest = document.get("labels_digest")
    if digest is not None and not (isinstance(digest, str) and len(digest) == 16 and _is_hexadecimal(digest)):
        yield "labels_digest", digest, "sixteen hexadecimal digits"
    for name in ("slices", "overflow"):
        entries = document.get(name)
        if entries is not None and not isinstance(entries, list):
            yield name, entries, "a list"
            continue
        for number, entry in enumerate(entries or ()):
            if not isinstance(entry, dict):
                yield f"{name}[{number}]", entry, "an object"
            elif name == "slices":
                yield from _wrong_slice(f"{name}[{number}]", entry)
            else:
                yield from _wrong_formula(f"{name}[{number}]", entry)


def _wrong_slice(where: str, entry: Mapping[str, Any]) -> Iterator[Value]:
    if not isinstance(entry.get("by"), str):
        yield f"{where}.by", entry.get("by"), "the name of a column"
    if "value" not in entry or isinstance(entry["value"], dict | list):
        yield f"{where}.value", entry.get("value"), "a value of that column"
    summary = entry.get("summary")
    if not isinstance(summary, dict):
        yield f"{where}.summary", summary, "the figures of the slice"
    else:
        yield from _wrong_figures(f"{where}.summary", summary)


def _wrong_formula(where: str, entry: Mapping[str, Any]) -> Iterator[Value]:
    if not isinstance(entry.get("dtype"), str):
        yield f"{where}.dtype", entry.get("dtype"), "the name of a float type"
    for name in _OVERFLOW_COUNTS:
        if not _is_count(entry.get(name)):
            yield f"{where}.{name}", entry.get(name), "a number of rows"


def _wrong_figures(where: str, summary: Mapping[str, Any]) -> Iterator[Value]:
    for name, value in summary.items():
        path = f"{where}.{name}"
        share = top_k_of(name) is not None or name == "ece"
        if not (name in METRICS or share) or name == "quantiles_exact":
            continue
        if name.startswith("n_"):
            if not _is_count(value):
                yield path, value, "a number of samples"
        elif value is None:
            continue
        elif isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            yield path, value, "a finite number, or null"
        elif share and not 0 <= value <= 1:
            yield path, value, "a share from 0 to 1"
        elif (is_loss(name) and name != "min_loss" and value < BELOW_ZERO) or (name in _SPREADS and value < 0):
            yield path, value, "a number from 0 on"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _is_hexadecimal(text: str) -> bool:
    return not text.strip("0123456789abcdef")
