"""JSON documents as text, and the schemas that describe them."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def json_text(document: dict[str, Any]) -> str:
    """Return a document as text that ends in a newline; floats have the fewest digits that read back the same.

    Only ASCII is used, so that paths that are not valid Unicode can be written too. NaN and infinities, which JSON does
    not have, are a ValueError.
    """
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document, as in "summary/summary" for ``summary.schema.json``."""
    text = resources.files("xent_cli.reports").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
