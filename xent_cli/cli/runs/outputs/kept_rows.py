"""The rows of a run, kept for comparison with a baseline, and the intervals of the differences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.metrics import OF_THE_MEAN
from xent_cli.errors import InputError
from xent_cli.readers.saved.saved_results import SavedResults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xent_cli.cli.group_choice import GroupChoice
    from xent_cli.core.array_types import AnyArray, BoolArray, FloatArray
    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.evaluate import BlockLoss
    from xent_cli.core.row_columns import RowFormat
    from xent_cli.readers.saved.align import AlignedLosses
    from xent_cli.writers.interface import RowWriter

    Intervals = Mapping[str, tuple[float, float]]


@dataclass(slots=True)
class KeptRows:
    """Keeps the loss, label and id of every row, and passes the rows on; see `RowWriter`.

    Memory grows by 17 bytes per sample, and by weights, ids and clusters.
    """

    columns: RowFormat
    onward: RowWriter | None
    _loss: list[FloatArray] = field(default_factory=list)
    _ignored: list[BoolArray] = field(default_factory=list)
    _labels: list[AnyArray] = field(default_factory=list)
    _ids: list[AnyArray] = field(default_factory=list)
    _predicted: list[AnyArray] = field(default_factory=list)
    _weights: dict[str, list[FloatArray]] = field(default_factory=dict)
    _clusters: list[AnyArray] = field(default_factory=list)

    def write(self, rows: BlockLoss) -> None:
        """See `RowWriter`; arrays are copied, because their memory is reused."""
        assert rows.loss is not None
        self._loss.append(np.array(rows.loss, np.float64))
        self._ignored.append(np.zeros(rows.size, np.bool_) if rows.ignored is None else np.array(rows.ignored))
        if rows.labels is not None:
            self._labels.append(np.array(rows.labels))
        if rows.ids is not None:
            self._ids.append(np.array(rows.ids))
        if rows.predictions is not None and "predicted" in rows.predictions:
            self._predicted.append(rows.predictions["predicted"])
        if rows.clusters is not None:
            self._clusters.append(np.array(rows.clusters))
        for name, values in (("weight", rows.weight), ("class_weight", rows.class_weight), ("kl", rows.kl)):
            if values is not None:
                self._weights.setdefault(name, []).append(np.array(values, np.float64))
        if self.onward is not None:
            self.onward.write(rows)

    def finish(self) -> None:
        """See `RowWriter`."""
        if self.onward is not None:
            self.onward.finish()

    def results(self, path: str, signature: str, digest: str | None) -> SavedResults:
        """Return the rows as they would be if saved and read again, with settings and a digest of the labels."""
        ignored = np.concatenate(self._ignored)
        return SavedResults(
            path,
            "rows",
            "rows",
            loss=np.where(ignored, np.nan, np.concatenate(self._loss)),
            ignored=ignored,
            labels=_as_read(self._labels, self.columns.class_names),
            predicted=_as_read(self._predicted, self.columns.predicted_names),
            ids=None
            if not self._ids
            else np.array([name if name is None else str(name) for part in self._ids for name in part], object),
            id_name=self.columns.id_name,
            weight=self._joined("weight"),
            class_weight=self._joined("class_weight"),
            kl=self._joined("kl"),
            shape=self.columns.shape,
            signature=signature,
            digest=digest,
            clusters=np.concatenate(self._clusters) if self._clusters else None,
        )

    def _joined(self, name: str) -> FloatArray | None:
        return np.concatenate(self._weights[name]) if name in self._weights else None


def _as_read(parts: list[AnyArray], names: tuple[str, ...] | None) -> AnyArray | None:
    """Return classes as if they were read from a saved column."""
    if not parts:
        return None
    classes: AnyArray = np.concatenate(parts)
    if names is not None:
        named = dict(enumerate(names))
        return np.array([named.get(index) for index in classes.tolist()], object)
    if (classes == NO_LABEL).any():
        return np.array([None if index == NO_LABEL else str(index) for index in classes.tolist()], object)
    return classes


def paired_intervals(
    choice: GroupChoice | None, baseline: SavedResults, ours: SavedResults, both: AlignedLosses
) -> tuple[Intervals, tuple[Diagnostic, ...]]:
    """Return the paired interval of each figure that has one, and notes about clusters.

    Parameters
    ----------
    choice
        The value of `--cluster`, or None if it was not given.
    ours
        The rows of this run.

    Raises
    ------
    InputError
        If there is one cluster, or one sample, from which no interval follows.
    """
    from xent_cli.cli.runs.figures.clusters import saved_cluster_notes
    from xent_cli.core.statistics.paired_test import compare_losses
    from xent_cli.readers.saved.predicted import hits_of
    from xent_cli.readers.saved.saved_clusters import clusters_of_candidate, saved_clusters

    if choice is None or choice.kind == "none":
        clusters = saved_clusters(choice, baseline, ours, both)
    else:  # the clusters of this run
        clusters = clusters_of_candidate(ours, both)
    cluster = None if clusters is None else clusters.cluster
    found = compare_losses(both.baseline, both.candidate, weight=both.weight, divisor=both.divisor, cluster=cluster)
    if clusters is not None and found.n_clusters == 1:
        raise InputError(
            "one cluster",
            ours.path,
            found=f"{found.n} samples in one cluster ({clusters.name})",
            expected="two clusters or more, which --require-significant treats as independent",
            hint="--cluster none treats samples as independent",
        )
    if found.n == 1:
        raise InputError(
            "one sample",
            ours.path,
            found="one sample with a loss in both runs",
            expected="two samples or more, without which --require-significant has no interval",
            hint="without --require-significant, the change alone is judged",
        )
    pairs = dict.fromkeys(OF_THE_MEAN, found)
    right = hits_of(baseline), hits_of(ours)
    if right[0] is not None and right[1] is not None:
        shares = right[0][both.rows].astype(float), right[1][both.candidate_rows].astype(float)
        pairs["accuracy"] = compare_losses(*shares, cluster=cluster)
    intervals = {name: (pair.low, pair.high) for name, pair in pairs.items() if pair.significant is not None}
    # The run itself has already reported its clusters.
    notes = saved_cluster_notes(choice, clusters, found) if ours.clusters is None else ()
    return intervals, tuple(notes)
