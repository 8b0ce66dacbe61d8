"""Open the highest of each row of a teacher for `xent inspect`, without the logits that tell the number of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.cli.runs.inputs.guess_options import Opened, open_alone
from xent_cli.errors import InputError, RowError, UsageError
from xent_cli.readers.columns.lines import line
from xent_cli.readers.columns.top_k_plan import kind_of_name
from xent_cli.readers.columns.words import plain_name
from xent_cli.readers.interface import MEGATRON, Classes
from xent_cli.readers.language_models.top_k import open_top_k
from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.top_k_rows import INDICES

if TYPE_CHECKING:
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located


def open_any(file: Located, options: ReadOptions) -> Opened:
    """Open an input whose role is not known: as the highest of a teacher if names say so, else as `open_alone` does.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    try:
        opened = open_alone(file, options)
    except (InputError, UsageError):
        highest = _highest(file, options)
        if highest is None:
            raise
        return highest
    plan = opened.source.info.plan
    names = [entry.name for entry in list_arrays(file)] if plan is None else plan.columns
    if plan is not None and opened.role == "logits":
        # Labels next to the highest are computed as they are; if a table has logits as well, it is a table of logits.
        scored = plan.top_k is not None
        maps = plan.label is None and bool(plan.keys) and "top" in plan.values[0].lower()
        highest = _highest(file, options) if scored or maps else None
        return opened if highest is None else highest._replace(readings=(opened.options,) if scored else ())
    if any(plain_name(name) in INDICES for name in names):
        return _highest(file, options) or opened
    return opened


def is_highest(opened: Opened) -> bool:
    """Whether an input holds the highest of each row of a teacher."""
    info = opened.source.info
    return opened.role == "labels" and "label_bounds" in info.fields and info.format != "kld"


def line_of(opened: Opened, path: str, others: list[str]) -> str:
    """Return the line that compares a model, which is the other file if there is one, with this teacher."""
    logits = others[0] if len(others) == 1 else "LOGITS"
    return line(logits, opened.options._replace(logits_path="", labels_path=path, label_column=None))


def _highest(file: Located, options: ReadOptions) -> Opened | None:
    for kind in ("log-probs", "probs"):
        tried = options._replace(labels_source=kind)
        try:
            source = open_top_k(file, None, tried) or open_source(file, "labels", tried, Classes())
            opened = Opened("labels", source, tried)
            if not is_highest(opened):
                return None
            if source.info.format == MEGATRON:
                return opened._replace(options=options)
            if _named_otherwise(source, kind):
                continue
            next(part for _, _, part in source.parts()).read()
        except RowError:  # the first rows show that the values are something else
            continue
        except (InputError, UsageError, StopIteration):
            return None
        return opened
    return None


def _named_otherwise(source: Source, kind: str) -> bool:
    plan = source.info.plan
    name = source.info.path.rpartition(":")[2] if plan is None else plan.values[-1]
    return kind_of_name(name) not in ("", kind)
