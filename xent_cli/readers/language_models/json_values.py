"""Values in the records of other programs, checked one by one."""

from __future__ import annotations

from typing import Any

from xent_cli.errors import InputError

_LARGE = 10**18


class RecordError(Exception):
    """What is wrong with a record."""

    def __init__(self, found: str, expected: str, hint: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.hint = found, expected, hint

    def at(self, place: str, what: str) -> InputError:
        """Return the error for the input that contains the record."""
        return InputError(what, place, self.found, self.expected, self.hint)


def object_of(value: Any, what: str) -> dict[str, Any]:
    """Return an object.

    Raises
    ------
    RecordError
        If it is anything else.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{what} that is {shown(value)}", "an object")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list.

    Raises
    ------
    RecordError
        If it is anything else.
    """
    if not isinstance(value, list):
        raise RecordError(f"{what} that is {shown(value)}", "a list")
    return value


def keys_of(record: dict[str, Any]) -> str:
    """Name the first keys of an object."""
    return ", ".join(f'"{key[:30]}"' for key in list(record)[:6]) or "no keys"


def shown(value: Any) -> str:
    """Write a value in a message.

    Examples
    --------
    >>> shown("yes"), shown([1]), shown(None), shown(10**5000)
    ("'yes'", 'a list', 'None', 'a large number')
    """
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if type(value) is int:  # Python refuses to write thousands of digits
        return str(value) if abs(value) < _LARGE else "a large number"
    return repr(value)[:60]
