"""The columns of per-sample rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL

if TYPE_CHECKING:
    from xent_cli.core.array_types import AnyArray, BoolArray
    from xent_cli.core.options import PredictionColumn

PREDICTIONS: tuple[PredictionColumn, ...] = ("predicted", "confidence", "p_label", "margin", "rank", "entropy")
# These compare the model's outputs with the label of the sample.
OF_LABELS = ("p_label", "margin", "rank")


def missing_predictions(name: PredictionColumn, values: AnyArray) -> BoolArray:
    """Find where a column of predictions has no value: `NO_LABEL` for a class, 0 for a rank, else NaN."""
    absent: BoolArray = np.isnan(values) if values.dtype.kind == "f" else values == no_prediction(name)
    return absent


def no_prediction(name: PredictionColumn) -> float:
    """Return the value that marks a missing one in a column of predictions."""
    return {"predicted": float(NO_LABEL), "rank": 0.0}.get(name, np.nan)


# Bounds of the divergence of a row, if the row is known only in part.
KL_ENDS = ("kl_low", "kl_high")


class RowFormat(NamedTuple):
    """The columns of per-sample rows, the same for every block of a run.

    In this order: ``sample`` (number from 0), the id column under its own name, ``label`` (sparse labels only),
    ``loss`` (nats), ``kl_divergence`` (nats, with a teacher), its ends if rows are known in part, the columns whose
    values name slices, ``weight`` if samples have weights, ``class_weight``, already part of ``loss``, if classes have
    weights, ``cluster`` if samples belong to clusters, units of text, and the requested predictions.

    Fields
    ------
    id_name
        Name of the id column, or None.
    labelled
        Whether rows have a sparse label.
    class_names
        Written in place of class indices if labels were given as names, else None.
    with_kl
        Whether rows have a KL divergence.
    ends
        `KL_ENDS` if rows are known in part.
    shape
        Shape of the losses as an array: that of the logits without the class axis; None if not known in advance.
    by
        Names of the columns whose values name slices, each with its position in `BlockLoss.groups`.
    weighted, class_weighted
        Whether rows have a sample weight, and a class weight.
    clusters
        Whether clusters are identified by numbers or by texts; None if samples are independent.
    units
        Name of the column of units of text: "units" of each sample, or "cluster_units" of its whole cluster; or None.
    predictions
        Columns of predictions; see `confidence.predictions`.
    predicted_names
        Written in place of class indices in the column ``predicted``, else None.
    signature
        The settings of the run, for formats with metadata; or "".
    """

    id_name: str | None = None
    labelled: bool = True
    class_names: tuple[str, ...] | None = None
    with_kl: bool = False
    ends: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    by: tuple[tuple[str, int], ...] = ()
    weighted: bool = False
    class_weighted: bool = False
    clusters: Literal["numbers", "texts"] | None = None
    units: Literal["units", "cluster_units"] | None = None
    predictions: tuple[PredictionColumn, ...] = ()
    predicted_names: tuple[str, ...] | None = None
    signature: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        optional = (
            (self.id_name, self.id_name is not None),
            ("label", self.labelled),
            ("loss", True),
            ("kl_divergence", self.with_kl),
        )
        last = (("weight", self.weighted), ("class_weight", self.class_weighted), ("cluster", bool(self.clusters)))
        named = (*(name for name, wanted in optional if wanted), *self.ends)
        others = [name for name, wanted in last if wanted] + ([] if self.units is None else [self.units])
        return ("sample", *map(str, named), *(name for name, _ in self.by), *others, *self.predictions)
