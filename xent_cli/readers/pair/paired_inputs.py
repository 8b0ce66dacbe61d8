"""Inputs that belong together, handed out as blocks of samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xent_cli.core.block import BlockRef, Rows
from xent_cli.core.options import LossOptions
from xent_cli.errors import InputError
from xent_cli.readers.interface import ARRAYS, RESPONSES
from xent_cli.readers.pair.follower import follow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.input_description import InputDescription
    from xent_cli.core.options import LabelForm
    from xent_cli.errors import RowError
    from xent_cli.readers.interface import Source, SourceInfo
    from xent_cli.readers.pair.follower import Follower
    from xent_cli.readers.pair.join import Joined
    from xent_cli.readers.pair.shifted_labels import Documents


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pair:
    """Opened inputs that belong together.

    Fields
    ------
    logits
        The first input; labels, weights, mask, ids and groups may be columns of it, or of the labels.
    labels, weights, mask, units, truth
        Separate inputs, or None; `truth` holds the true classes if the labels are a teacher's outputs.
    groups
        Separate inputs that say which groups samples belong to, besides columns of the tables.
    shift
        Logits at t score the label at t + shift, along the last axis of samples.
    class_names
        Names of the classes, or None.
    join
        Column by which tables are joined to the logits, or None.
    said
        Notes and warnings from comparing the inputs; more are added at the end of `tasks`.
    num_classes
        How many classes a row of logits has.
    label_form
        Whether labels are class indices or rows of probabilities.
    weighted, masked
        Whether samples have weights, and whether a mask says which samples count.
    named_labels
        Whether labels, or true labels, are given as names of classes.
    id_name, label_name
        Names of the columns of ids and of labels, or None.
    by
        The columns whose values name slices, in the order in which blocks have them.
    begun, ahead
        The blocks of inputs that can be read only once, if some were already read; and the rows of the first blocks, if
        read.
    """

    logits: Source
    labels: Source | None
    weights: Source | None
    mask: Source | None = None
    shift: int = 0
    class_names: tuple[str, ...] | None = None
    join: str | None = None
    said: list[Diagnostic] = field(default_factory=list, compare=False)
    units: Source | None = None
    groups: tuple[Source, ...] = ()
    begun: Iterator[BlockRef] | None = None
    ahead: list[Rows] = field(default_factory=list, compare=False)
    truth: Source | None = None

    num_classes: int = field(init=False)
    label_form: LabelForm = field(init=False)
    weighted: bool = field(init=False)
    masked: bool = field(init=False)
    named_labels: bool = field(init=False)
    tokens_only: bool = field(init=False)
    id_name: str | None = field(init=False)
    label_name: str | None = field(init=False)
    by: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        tables = [source.info for source in self._tables]
        plans = [info.plan for info in tables if info.plan is not None]
        dense = self.labels is not None and bool(self.labels.info.row_shape)
        facts = {
            "num_classes": tables[0].row_shape[0],
            "label_form": "dense" if dense else "sparse",
            "weighted": self.weights is not None or any("weights" in info.fields for info in tables),
            "masked": self.mask is not None or any("mask" in info.fields for info in tables),
            "tokens_only": tables[0].description.format == RESPONSES or _scored(tables[0]),
            "named_labels": tables[-1].named_labels if self.truth is None else self.truth.info.named_labels,
            "id_name": next((plan.id for plan in plans if plan.id is not None), None),
            "label_name": None if tables[-1].plan is None else tables[-1].plan.label,
            "by": tuple(name for plan in (*plans, *(g.info.plan for g in self.groups)) if plan for name in plan.by),
        }
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    @property
    def fields(self) -> frozenset[str]:
        """Which fields of `Rows` the inputs fill."""
        return frozenset[str]().union(*(source.info.fields for source in self._sources))

    @property
    def partial(self) -> bool:
        """Whether log-probabilities may be known in part."""
        return bool(self.fields & {"logit_bounds", "label_bounds"})

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Notes and warnings on the inputs and the choice of columns."""
        plan = self.logits.info.plan
        found = (*self.said, *(plan.diagnostics if plan is not None else ()))
        sources = self._sources
        if not self.shift and len(sources) < 3 and not any(s.info.plan or s.info.description.shards for s in sources):
            return found
        from xent_cli.readers.pair.notes import notes

        inputs = {"logits": self.logits, "labels": self.labels, "weights": self.weights, "mask": self.mask}
        inputs["units"] = self.units
        taken = {"weights": self.weighted, "mask": self.masked}
        return (*found, *notes(inputs, taken, self.shift, self.columns_by))

    @property
    def columns_by(self) -> tuple[str, ...]:
        """The entries of `by` that are columns of tables; with a shift, they separate documents."""
        return self.by[: len(self.by) - len(self.groups)]

    @property
    def _sources(self) -> list[Source]:
        sources = self.logits, self.labels, self.weights, self.mask, self.truth, self.units, *self.groups
        return [source for source in sources if source is not None]

    @property
    def _tables(self) -> list[Source]:
        return [self.logits] if self.labels is None else [self.logits, self.labels]

    def inputs(self, num_rows: int) -> Mapping[str, InputDescription]:
        """Describe every input, now that the number of rows is known."""
        sources = {"logits": self.logits, "labels": self.labels, "sample_weight": self.weights, "mask": self.mask}
        sources |= {"true_labels": self.truth, "units": self.units}
        if self.groups:
            names = self.by[-len(self.groups) :]
            sources |= {f"by {name}": source for name, source in zip(names, self.groups, strict=True)}
        return {
            role: source.info.description._replace(
                # An axis whose length differs between shards stays unknown.
                shape=tuple(
                    num_rows if n is None and source.info.format not in ARRAYS else n for n in source.info.shape
                ),
                n_classes=self.num_classes if role == "logits" and not self.tokens_only else None,
            )
            for role, source in sources.items()
            if source is not None
        }

    @property
    def again(self) -> bool:
        """Whether the blocks can be read more than once."""
        return all(source.info.rereadable for source in self._sources)

    def head(self, size: int) -> BlockRef | None:
        """Return the recipe for the first samples, if these can be read without reading more."""
        first = self.logits.rows(0, size)
        if first is None or self.shift or self.join or any(source.rows(0, size) is None for source in self._sources):
            return None
        return BlockRef(0, size, (first, *(one.take(0, size) for one in self._followers())))

    def _followers(self) -> list[Follower | Joined]:
        documents = None
        beside: dict[str, Source | None] = {}
        if self.shift:
            from xent_cli.readers.pair.shifted_labels import documents_of

            documents = documents_of(self.logits)
            # The table is read twice, because the columns that go with a label are shifted and the logits are not.
            beside["rows"] = self.logits if len(self.logits.info.fields) > 1 else None
        beside |= {"labels": self.labels, "weights": self.weights, "entries of the mask": self.mask}
        beside["true labels"] = self.truth
        # Groups go last, in the order of `by`.
        beside |= {"units": self.units, **{f"values of {source.info.path}": source for source in self.groups}}
        sources = ((what, source) for what, source in beside.items() if source is not None)
        return [self.follow(source, what, documents) for what, source in sources]

    def follow(self, source: Source, what: str, documents: Documents | None = None) -> Follower | Joined:
        """Read another input over the row ranges of the logits; `what` names its values in errors."""
        return follow(source, self.logits, what, join=self.join, shift=self.shift, documents=documents)

    def streamed(self, threads: int) -> Pair:
        """Return the same inputs, with logits streamed class by class instead of read by row if that is possible."""
        streamed = getattr(self.logits, "streamed", None)
        return self if streamed is None else replace(self, logits=streamed(threads))

    def tasks(self) -> Iterator[BlockRef]:
        """Yield blocks of samples, in order; an input of a different length is refused at its end."""
        if self.begun is not None:
            return (yield from self.begun)
        followers, stop = self._followers(), 0
        for start, size, part in self.logits.parts():
            stop, part = start + size, self.ahead.pop(0) if self.ahead else part
            if self.shift and len(self.logits.info.fields) > 1:
                from xent_cli.readers.pair.shifted_labels import OnlyRows

                part = OnlyRows(part, frozenset({"logits", "absent"}))
            yield BlockRef(start, size, (part, *(follower.take(start, stop) for follower in followers)))
            del part  # free its memory before the next is made
        if stop == 0:
            raise InputError("no rows", self.logits.info.path, expected="at least 1")
        for follower in followers:
            self.said.extend(found for found in follower.finish(stop) if found not in self.said)

    def complete(self, error: RowError, options: LossOptions | None = None) -> InputError:
        """Add to an error the file and the place of the row, and how many others are like it."""
        from xent_cli.core.checks.same_samples import OtherIdError, OtherLabelError
        from xent_cli.readers.pair.bad_rows import Beside, complete_beside, refuses

        inputs = {"labels": self.labels, "weights": self.weights, "mask": self.mask, "true_labels": self.truth}
        inputs["units"] = self.units
        own = inputs.get(error.role)
        source = own or next((table for table in self._tables if error.role in table.info.fields), self.logits)
        both = own is not None and error.role in self.logits.info.fields
        joined = own is not None and self.join is not None and own.info.plan is not None
        if own is not None and (both or joined) and not refuses(own, error.row):
            if both and refuses(self.logits, error.row):
                source = self.logits
            elif joined:
                from xent_cli.readers.pair.join import joined_row

                error = error.at_row(joined_row(self.logits, own, self.join or "", error.row))
        if isinstance(error, OtherIdError | OtherLabelError):
            from xent_cli.readers.pair.misfit import unlike

            return unlike(error, source, self.logits)
        beside = Beside(
            self.logits.info.plan,
            self.num_classes,
            self.shift,
            sparse=self.label_form == "sparse",
            labels_alone=source is self.labels,
            counted=self.weighted or self.masked,
            blocks=self.tasks if self.again else None,
        )
        return complete_beside(error, source, beside, options or LossOptions())


def _scored(info: SourceInfo) -> bool:
    """Whether only the value of its label is known for each row."""
    return info.plan is not None and info.plan.top_k is not None and info.plan.top_k.scored
