"""Options that have no meaning for a file whose format defines where scores and labels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.readers.options import ReadOptions


def refuse_options(options: ReadOptions, why: str, others: Mapping[str, object]) -> None:
    """Refuse the options that say where scores and labels are.

    Parameters
    ----------
    why
        What the file holds.
    others
        More options, and whether each was given.

    Raises
    ------
    UsageError
        At the first that was given.

    Examples
    --------
    >>> from xent_cli.readers.options import ReadOptions
    >>> refuse_options(ReadOptions(), "a.jsonl holds tokens alone", {"--id-column": None})
    """
    asked = {
        "--axis": options.axis != -1,
        "--shift": options.shift,
        "--logits-column": options.logits_column,
        "--label-column": options.label_column,
        "--binary": options.binary,
        "--labels dense": options.labels == "dense",
        **others,
    }
    for option, given in asked.items():
        if given:
            raise UsageError(f"{option} has no meaning here: {why}")
