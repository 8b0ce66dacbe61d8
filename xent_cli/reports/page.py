"""Pages from templates: no scripts, no addresses; equal values give equal bytes."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render_page(template: str, **values: Any) -> str:
    """Fill in a template of this package, named by its path in the package; text is escaped."""
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def _source(name: str) -> str:
    return resources.files("xent_cli.reports").joinpath(*name.split("/")).read_text(encoding="utf-8")
