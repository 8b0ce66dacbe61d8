"""The temperature that `xent calibrate -o` wrote."""

from __future__ import annotations

import hashlib
import json
import math
from typing import NamedTuple

from xent_cli.errors import InputError
from xent_cli.readers.storage.locate import locate
from xent_cli.readers.storage.reading import BOM

_EXPECTED = "what xent calibrate -o writes: a JSON object with a temperature"
# The signature of a run contains this many digits of the SHA-256 of a file, as for class weights.
_DIGITS = 12


class SavedTemperature(NamedTuple):
    """A temperature, and the first digits of the SHA-256 of the file that holds it."""

    temperature: float
    digest: str


def read_temperature(path: str) -> SavedTemperature:
    """Read a temperature from a JSON object.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no finite temperature above 0.
    """
    located = locate(path)
    if located.sharded:
        raise InputError("not a temperature", path, found="several files", expected=_EXPECTED)
    with located.files[0].stream() as stream:
        text = stream.read() or b""
    try:
        found = json.loads(text.removeprefix(BOM))
        value = found["temperature"]
    except (ValueError, RecursionError):
        raise InputError("not a temperature", path, found="no JSON", expected=_EXPECTED) from None
    except (KeyError, TypeError):
        raise InputError("not a temperature", path, found="no such key", expected=_EXPECTED) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError("invalid temperature", path, found=repr(value), expected="a finite number above 0")
    return SavedTemperature(float(value), hashlib.sha256(text).hexdigest()[:_DIGITS])
