"""Which calibration figures a run computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.core.metrics import GAIN
from xent_cli.errors import UsageError

if TYPE_CHECKING:
    from xent_cli.cli.options import ComputeOptions
    from xent_cli.cli.runs.check import Limits
    from xent_cli.core.options import Outputs
    from xent_cli.readers.pair.paired_inputs import Pair


def with_calibration(wanted: Outputs, options: ComputeOptions, limits: Limits | None, pair: Pair) -> Outputs:
    """Add how to bin confidences, if an option, a limit or a page (which shows losses by class) needs it.

    Raises
    ------
    UsageError
        If samples have no single label to compare predictions with, or the options have no effect.
    """
    flags, typed = options.output, options.shared.origin.on_command_line
    asked = "--calibration" if flags.calibration else None
    if limits is not None and limits.needs_calibration is not None:
        asked = f"a limit on {limits.needs_calibration}"
    if asked is not None and pair.label_form != "sparse":
        raise UsageError(f"{asked} needs the label of each sample", hint="labels are rows of probabilities here")
    if asked is None and not (wanted.by_class and pair.label_form == "sparse"):
        if flags.bins is not None and "bins" in typed:
            raise UsageError("--bins has no effect without --calibration", hint="add it")
        return wanted
    if not wanted.figures and "calibration" in typed:
        raise UsageError(f"--calibration has no effect: --reduction {flags.reduction} prints one number")
    from xent_cli.core.confidence.calibration import Binning

    binning = Binning() if flags.bins is None else Binning(*flags.bins)
    if binning.by_mass and pair.weighted:
        hint = f"--bins {binning.bins} makes bins of equal width"
        raise UsageError(f"--bins mass:{binning.bins} counts samples, and these have weights", hint=hint)
    if limits is not None and limits.needs_gain:
        from xent_cli.cli.runs.figures.fit import refuse_unfit

        loss = options.shared.loss
        refuse_unfit(pair, loss.source, f"a limit on {GAIN}")
        for option, value in (("--label-smoothing", loss.label_smoothing), ("--class-weight", loss.class_weight)):
            if value:
                raise UsageError(f"a limit on {GAIN} is about the plain loss, and {option} changes it")
    return wanted._replace(calibration=binning, states=wanted.states + binning.by_mass)
