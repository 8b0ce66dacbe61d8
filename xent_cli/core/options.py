"""Options that change a number, and the outputs that a run computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from xent_cli.core.array_types import FloatArray
    from xent_cli.core.confidence.calibration import Binning
    from xent_cli.core.totals.cluster_rule import ClusterRule
    from xent_cli.core.totals.group_keys import GroupKey

Source = Literal["logits", "log-probs", "probs"]
LabelForm = Literal["sparse", "dense"]
PredictionColumn = Literal["predicted", "confidence", "p_label", "margin", "rank", "entropy"]


@dataclass(frozen=True, slots=True)
class LossOptions:
    """Options of the loss; two runs are comparable if they have the same `signature`.

    Fields
    ------
    axis
        Class axis of the user's arrays; blocks are always [n, k].
    source, labels_source
        What the first and the second input hold: anything but "labels" in the second is a teacher's outputs.
    labels
        "sparse" class indices [n] or "dense" rows of probabilities [n, k].
    ignore_index, ignore_missing
        Samples with one of these labels have no loss, nor have those whose label is NaN if `ignore_missing` is set.
    label_smoothing
        In [0, 1).
    class_weight
        [k], dimensionless, >= 0; or None.
    temperature, teacher_temperature
        Numbers > 0 that divide the logits, and those of a teacher.
    temperature_file
        First digits of the SHA-256 of the file that `temperature` comes from, or "".
    precision
        Precision of the exponentials; differences, sums and losses are always float64.
    shift
        Logits at position t are scored against the label at t + shift.
    sample_weighted, masked
        Whether samples have weights, and whether a mask says which of them count.
    normalize
        Whether rows of probabilities and of dense labels are divided by their sums.
    binary
        Whether the two classes come from one score per sample; then the gradient is that of the second logit.
    first_class
        Number of the first class in integer labels.
    scale, labels_scale
        What probabilities are divided by: 100 for percentages.
    unit, labels_unit
        The unit that probabilities seem to be rounded to.
    true_labels
        Whether the true classes are given besides a teacher's outputs.
    bounded
        Whether samples whose loss is only bounded make the mean null, or are left out.
    kernel
        Which code computes: "numpy", or compiled: "c", or "c-" and an instruction set of `kernel.variants`.
    """

    axis: int = -1
    source: Source = "logits"
    labels: LabelForm = "sparse"
    labels_source: Literal["labels", "logits", "log-probs", "probs"] = "labels"
    ignore_index: tuple[int, ...] = ()
    ignore_missing: bool = False
    label_smoothing: float = 0.0
    class_weight: FloatArray | None = field(default=None, compare=False)
    temperature: float = 1.0
    precision: Literal["float64", "float32"] = "float64"
    shift: int = 0
    sample_weighted: bool = False
    masked: bool = False
    normalize: bool = False
    binary: bool = False
    first_class: int = 0
    scale: float = 1.0
    labels_scale: float = 1.0
    unit: float = 0.0
    labels_unit: float = 0.0
    kernel: str = "numpy"
    teacher_temperature: float = 1.0
    temperature_file: str = ""
    true_labels: bool = False
    bounded: Literal["null", "ignore"] = "null"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arithmetic."""
        return np.dtype(self.precision)

    @property
    def both_sum_to_1(self) -> bool:
        """Whether a student and a teacher each sum to 1 up to rounding: by a softmax, or divided by their sums."""
        sources = self.source, self.labels_source
        return all(source == "logits" or (source == "probs" and self.normalize) for source in sources)

    def signature(self, version: str) -> str:
        """Write every setting in one line; class weights as the first digits of their SHA-256.

        Examples
        --------
        >>> LossOptions(ignore_index=(-100,)).signature("0.1.0")
        'xent|axis:-1|from:logits|labels:sparse|ignore:-100|smoothing:0.0|class_weight:none|temperature:1.0|precision:float64|v:0.1.0'
        """
        weights = "none"
        if self.class_weight is not None:
            import hashlib

            weights = hashlib.sha256(np.ascontiguousarray(self.class_weight, "<f8").tobytes()).hexdigest()[:12]
        extra = [f"{name}:{value}" for name, value, usual in self._later_settings() if value != usual]
        parts = [
            "xent",
            f"axis:{self.axis}",
            f"from:{self.source}",
            f"labels:{self.labels}",
            f"ignore:{','.join(str(index) for index in sorted(set(self.ignore_index))) or 'none'}",
            f"smoothing:{self.label_smoothing}",
            f"class_weight:{weights}",
            f"temperature:{self.temperature}",
            f"precision:{self.precision}",
            *extra,
            f"v:{version}",
        ]
        return "|".join(parts)

    def _later_settings(self) -> tuple[tuple[str, object, object], ...]:
        """Settings that were added later, with their defaults: they appear in the line only if they differ."""
        return (
            ("labels_from", self.labels_source, "labels"),
            ("shift", self.shift, 0),
            ("sample_weight", "given" if self.sample_weighted else "none", "none"),
            ("mask", "given" if self.masked else "none", "none"),
            ("ignore_missing", "yes" if self.ignore_missing else "no", "no"),
            ("normalize", "yes" if self.normalize else "no", "no"),
            ("binary", "yes" if self.binary else "no", "no"),
            ("temperature_file", self.temperature_file or "none", "none"),
            ("teacher_temperature", self.teacher_temperature, 1.0),
            ("bounded", self.bounded, "null"),
            ("true_labels", "given" if self.true_labels else "none", "none"),
            # Every instruction set gives the same bits.
            ("kernel", self.kernel.partition("-")[0], "numpy"),
        )


def settings_of(signature: str) -> dict[str, str]:
    """Read the settings of a run from its signature, with defaults for those it does not name, without the version.

    Examples
    --------
    >>> settings_of("xent|temperature:2.0|v:0.1.0")["temperature"], settings_of("xent")["shift"]
    ('2.0', '0')
    """
    usual = LossOptions()
    settings = {name: str(value) for name, _, value in usual._later_settings()} | _named(usual.signature(""))
    settings |= _named(signature)
    settings.pop("v", None)
    return settings


def _named(signature: str) -> dict[str, str]:
    parts = (part.partition(":") for part in signature.split("|")[1:])
    return {name: value if colon else "present" for name, colon, value in parts}


class Outputs(NamedTuple):
    """What a run computes besides the mean.

    Fields
    ------
    losses
        The per-sample losses.
    figures
        The whole summary with quantiles and accuracy; otherwise only mean, sum and counts.
    gradient_dtype, gradient_denominator
        NumPy dtype string of the gradient, or None; and what the gradient of the summed loss is divided by.
    overflow
        Dtypes in which to try the textbook formula.
    worst
        How many of the highest losses to name.
    top_k
        Values of k for the accuracy among the k highest logits.
    calibration
        How to bin confidences to compare them with accuracy, or None; for sparse labels.
    by_class
        With `calibration`: losses by class.
    by
        Columns; losses are totalled for each of their values.
    digest
        The digest of the labels.
    divergences
        Figures of the divergence from a teacher that take extra time: names in `teacher_figures.FIGURES`.
    states
        How many distributions are kept for quantiles; they share the memory.
    worst_by_kl
        Whether to name the highest divergences instead of the highest losses.
    columns
        Predictions to return for each sample, as `PredictionColumn` names them.
    groups
        Names of the groups that blocks have: columns, then those of `keys`.
    keys
        Groups made from labels, or from places along an axis.
    cluster
        Which cluster each sample belongs to, or None if samples are independent.
    macro
        Groups whose means are averaged, or None.
    units
        Whether losses are divided by units of text, which blocks have.
    documents
        Which samples share their units; None if each has its own.
    """

    losses: bool = False
    figures: bool = True
    gradient_dtype: str | None = None
    gradient_denominator: float = 1.0
    overflow: tuple[np.dtype[Any], ...] = ()
    worst: int = 0
    top_k: tuple[int, ...] = ()
    calibration: Binning | None = None
    by_class: bool = False
    by: tuple[str, ...] = ()
    digest: bool = False
    divergences: frozenset[str] = frozenset()
    states: int = 1
    worst_by_kl: bool = False
    columns: tuple[PredictionColumn, ...] = ()
    groups: tuple[str, ...] = ()
    cluster: ClusterRule | None = None
    keys: tuple[GroupKey, ...] = ()
    macro: ClusterRule | None = None
    units: bool = False
    documents: ClusterRule | None = None
