"""Results that need the log-probability of every class, and cannot be computed for rows where some are only bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.core.options import LossOptions, Outputs


def refuse_partial(options: LossOptions, outputs: Outputs, *, gradient: bool = False) -> None:
    """Refuse options and outputs that need every class, for rows that are known in part.

    Parameters
    ----------
    gradient
        Whether a gradient is requested, whose dtype is not known yet.

    Raises
    ------
    UsageError
        At the first of them.

    Examples
    --------
    >>> from xent_cli.core.options import LossOptions, Outputs
    >>> refuse_partial(LossOptions(), Outputs())
    """
    for what, asked in (
        ("label smoothing", options.label_smoothing != 0),
        ("a class weight", options.class_weight is not None),
        ("a gradient", gradient or outputs.gradient_dtype is not None),
        ("the overflow report", bool(outputs.overflow)),
        ("a column of predictions", bool(outputs.columns)),
        ("calibration", outputs.calibration is not None),
        (f"a figure of divergence such as {min(outputs.divergences, default='')}", bool(outputs.divergences)),
    ):
        if asked:
            raise needs_every_class(what)


def needs_every_class(what: str) -> UsageError:
    """Return the error for something that needs every class."""
    hint = "leave it out, or save all classes"
    return UsageError(f"{what} needs every class of a row", found="log-probabilities that are known in part", hint=hint)
