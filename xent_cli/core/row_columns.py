"""Which columns the per-sample rows of a run have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowFormat:
    """Which columns the rows of a run have; the same for every block.

    Columns are, in this order: ``sample`` (number from 0), the id column under its own name, ``label`` (sparse labels
    only), ``loss`` (nats), ``kl_divergence`` (nats, with a teacher), the columns whose values name slices, ``weight``
    where samples have weights, and ``class_weight``, which ``loss`` contains, where classes have.

    Fields
    ------
    id_name
        Name of the id column, or None where there is none.
    labelled
        Whether rows have a sparse label.
    class_names
        Written in place of the class index where labels were given as names, else None.
    with_kl
        Whether rows have a KL divergence.
    shape
        Shape of the losses as an array: the logits' without the class axis; None where not known before the end.
    by
        Name of each column of slices, and which column of `BlockLoss.groups` it is.
    weighted, class_weighted
        Whether rows have a weight, and the weight of their class.
    signature
        The settings of the run, which formats with a place for it carry; or "".
    """

    id_name: str | None = None
    labelled: bool = True
    class_names: tuple[str, ...] | None = None
    with_kl: bool = False
    shape: tuple[int, ...] | None = None
    by: tuple[tuple[str, int], ...] = ()
    weighted: bool = False
    class_weighted: bool = False
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
        last = (("weight", self.weighted), ("class_weight", self.class_weighted))
        named = (name for name, given in optional if given)
        weights = (name for name, given in last if given)
        return ("sample", *map(str, named), *(name for name, _ in self.by), *weights)
