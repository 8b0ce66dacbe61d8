"""Choose an array for each role in a file that holds several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, did_you_mean, listing, printable
from xent_cli.readers.columns.weight_column import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.options import ReadOptions

_OPTIONS = {
    "logits": "--logits-column",
    "labels": "--label-column",
    "weights": "--sample-weight-column",
    "mask": "--mask",
    "units": "--units",
    "groups": "--by",
}


def choose(path: str, keys: Sequence[str], role: str, options: ReadOptions) -> str:
    """Return the name of the array for a role: as asked for, or named like a column of that role, or the only one.

    Raises
    ------
    InputError
        If there is no such array, or several that could be meant.

    Examples
    --------
    >>> from xent_cli.readers.options import ReadOptions
    >>> choose("dump.npz", ["logits", "y"], "labels", ReadOptions())
    'y'
    """
    option = _OPTIONS[role]
    asked = asked_for(role, options)
    usual = [key for key in keys if is_called(key, role)]
    shown = listing(keys)
    if asked is not None and asked not in keys:
        hint = did_you_mean(asked, keys)
        raise InputError("no such array", path, found=f"arrays {shown}", expected=f'"{asked}" ({option})', hint=hint)
    found = [asked] if asked is not None else usual
    if len(found) > 1 and role in ("logits", "labels"):
        lines = "; or ".join(f"{option} {name}" for name in found)
        raise InputError(
            f"several arrays of {role}", path, found=f"arrays {listing(found)}", expected="one", hint=lines
        )
    if not found and len(keys) == 1:
        found = list(keys)
    if not found:
        import shlex

        hint = f"name one with {option}"
        if len(keys) > 1:
            hint += f", or several, which follow one another, with a pattern: {option} '*'"
        hint += f"; xent inspect {shlex.quote(printable(path))} finds the line that fits"
        if role not in ("logits", "labels"):
            hint = "save that array alone" + (f', or as "{NAMES[role][0]}"' if role in NAMES else "")
        if role == "logits":
            from xent_cli.readers.top_k_rows import refuse_as_candidate

            refuse_as_candidate(path, keys)
        raise InputError(f"no array of {role}", path, found=f"arrays {shown or 'none'}", hint=hint)
    return found[0]


def asked_for(role: str, options: ReadOptions) -> str | None:
    """Return the name of the array that the user asks for in a role, or None."""
    asked = {
        "logits": next(iter(options.logits_column), None),
        "labels": options.label_column,
        "weights": options.weight_column,
        "mask": options.mask_column,
        "units": options.units_column,
        "groups": next(iter(options.by), None),
    }
    return asked[role]


def is_called(key: str, role: str) -> bool:
    """Whether the name of an array, or its last part, says what it is."""
    from xent_cli.readers.columns.roles import role_named
    from xent_cli.readers.columns.words import LABEL, LISTS, plain_name

    key = key.rpartition(".")[2]
    if role == "labels":
        return role_named(key) == LABEL
    return plain_name(key) in (LISTS[0][1] if role == "logits" else NAMES.get(role, ()))
