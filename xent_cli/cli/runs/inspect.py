"""What `xent inspect` does: open, pair up, scan, advise, report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli import __version__
from xent_cli.cli.display.hints import with_hints
from xent_cli.cli.options import LayoutFlags, LossFlags, Origin, RunFlags
from xent_cli.cli.runs.inputs.guess_options import MisfitError, Opened, as_scores, command_line, pair_up
from xent_cli.cli.runs.inputs.highest_alone import is_highest, line_of, open_any
from xent_cli.cli.runs.preview import first_look
from xent_cli.cli.runs.resolve_options import layout_options
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.inspect.advice import Advice, Look, advise, not_finite
from xent_cli.core.inspect.value_totals import Inspection
from xent_cli.core.kernel.partial_rows import Bounds
from xent_cli.core.labels.label_offsets import is_padding
from xent_cli.core.options import LossOptions
from xent_cli.engines.local import open_local
from xent_cli.errors import RowError, UsageError, without_secrets
from xent_cli.readers.binary_scores import scores_of
from xent_cli.readers.columns.lines import line
from xent_cli.readers.interface import ARRAYS, RESPONSES, Classes
from xent_cli.readers.list_contents import list_contents
from xent_cli.readers.open import open_source
from xent_cli.readers.options import RunNeeds
from xent_cli.readers.pair.bad_rows import complete
from xent_cli.readers.pair.ids import in_one_order, without_labels
from xent_cli.readers.pair.misfit import refuse_missing
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.readers.storage.locate import locate, refuse_two_pipes
from xent_cli.reports.inspection.json import Fit, Inspected, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.core.block import Part
    from xent_cli.core.inspect.contents import Contents
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.pair.paired_inputs import Pair
    from xent_cli.readers.storage.locate import Located


class InspectOptions(NamedTuple):
    """Options of `xent inspect`; `scan` says whether to read the values, or only headers."""

    files: tuple[str, ...]
    layout: LayoutFlags
    run: RunFlags
    origin: Origin
    scan: bool = True


def inspect(flags: InspectOptions) -> dict[str, Any]:
    """Inspect files and return the document that says what they hold.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    refuse_two_pipes(*flags.files)
    options = layout_options(flags.layout, LossFlags())._replace(run=RunNeeds(two_passes=True))
    files = [locate(path) for path in flags.files]
    paths = [without_secrets(path) for path in flags.files]
    alone = [open_any(file, options) for file in files]
    refuse_missing([entry.source for entry in alone], options)
    runner = open_local(flags.run.threads) if flags.scan else None
    notes = flags.origin.config_notes
    diagnostics = list(notes)
    readings = alone[0].readings if len(files) == 1 else ()
    tokens = [entry.source.info.format == RESPONSES or is_highest(entry) for entry in alone]
    if len(files) <= 2 and not any(tokens):
        try:
            tried = readings if alone[0].role == "logits" else ()
            pair, options, order = pair_up(files, options, tried)
            if max(order) == len(files):  # one table holds both
                files, paths = files * 2, paths * 2
            return _paired(paths, files, pair, options, order, runner, notes)
        except RowError:
            raise
        except (MisfitError, UsageError) as error:
            if len(files) == 2:
                diagnostics.append(Diagnostic("inputs-do-not-fit", " ".join(str(error).split())))
    inspected = []
    for path, file, opened in zip(paths, files, alone, strict=True):
        source, dense = opened.source, opened.role == "labels" and bool(opened.source.info.row_shape)
        # Names of classes cannot be counted as classes if nothing says which class each name is.
        text = opened.role == "labels" and source.info.named_labels and source.info.class_names is None
        diagnostics += getattr(source, "remarks", ())
        totals = None if text or source.info.format == RESPONSES else _scan(source, runner, dense=dense)
        diagnostics += not_finite(totals.logits) if totals else ()
        contents = _listed(file, opened)
        inspected.append(
            Inspected(path, opened.role, source.info.description, contents, totals, source.info.class_names)
        )
    refuse_changed()
    # The most likely command comes last, where people look.
    lines = [line(paths[0], reading) for reading in reversed(readings)]
    for entry, path in zip(alone, paths, strict=True):
        if is_highest(entry):
            lines.append(line_of(entry, path, [other for other in paths if other != path]))
    return as_json(__version__, inspected, None, None, diagnostics, lines)


def _paired(
    paths: Sequence[str],
    files: Sequence[Located],
    pair: Pair,
    options: ReadOptions,
    order: tuple[int, ...],
    runner: Engine | None,
    notes: tuple[Diagnostic, ...],
) -> dict[str, Any]:
    pair, options = _in_order(pair, options, [files[index] for index in order], runner)
    dense = pair.label_form == "dense"
    scores = scores_of(pair.logits)
    # Labels in a file of their own take precedence over those next to the logits.
    opened = [Opened("logits", scores if pair.labels is None else without_labels(scores), options)]
    opened += [Opened("labels", pair.labels, options)] if pair.labels is not None else []
    totals = [_scan(one.source, runner, dense=dense) for one in opened]
    bounded = any({"logit_bounds", "label_bounds"} & one.source.info.fields for one in opened)
    if dense and runner is not None:
        better = _other_than_dense(pair, options, [files[index] for index in order], totals, runner, bounded=bounded)
        if better is not None:
            return _paired(paths, files, *better, order, runner, notes)
    inspected = []
    for place, index in enumerate(order):
        held = list(zip(opened, totals, strict=True))
        held = held if len(order) == 1 else held[place : place + 1]
        found = reduce(Inspection.merge, (one for _, one in held if one is not None), Inspection()) if runner else None
        contents = _listed(files[index], *(one for one, _ in held))
        one = held[0][0]
        role = "logits and labels" if len(order) == 1 else one.role
        description = one.source.info.description
        inspected.append(Inspected(paths[index], role, description, contents, found, pair.logits.info.class_names))
    every = reduce(Inspection.merge, (one for one in totals if one is not None), Inspection())
    if runner is None:
        advice = _unseen(pair)
    elif bounded:
        advice = _beside_bounds(pair, every)
    else:
        advice = advise(every, pair.num_classes, dense=dense, look=_look(pair, every))
    plan = pair.logits.info.plan
    if plan is not None and plan.kind == "probs" and advice.source == "logits" and options.source is None:
        # Columns named like probabilities need --from, however few rows there are.
        options = options._replace(source="logits" if every.logits.negative else "probs")
    fit = Fit(
        logits=paths[order[0]],
        labels=paths[order[-1]],
        label_form=pair.label_form,
        named_labels=pair.named_labels,
        class_axis=options.axis % len(pair.logits.info.shape),
        num_classes=pair.num_classes,
        n_samples=every.logits.rows if runner else pair.logits.info.num_rows,
    )
    command = command_line([paths[index] for index in order], options, advice) if advice.runs else None
    refuse_changed()
    return as_json(__version__, inspected, fit, command, (*notes, *pair.diagnostics, *with_hints(advice.diagnostics)))


def _other_than_dense(
    pair: Pair,
    options: ReadOptions,
    files: Sequence[Located],
    totals: Sequence[Inspection | None],
    runner: Engine,
    *,
    bounded: bool,
) -> tuple[Pair, ReadOptions] | None:
    """Return inputs whose labels are not the dense labels that shapes suggest, if their values say so."""
    shape = pair.logits.info.shape
    if len(shape) == 1:
        taken = as_scores(files[0], files[-1], options)
        # If there are as many whole numbers as logits, they are the labels, whatever their type.
        if taken is not None and _look(pair, Inspection()).whole:
            return taken
    last = totals[-1]
    if options.axis != -1 or not last or not last.soft.unnormalised or bounded:
        return None
    # Shapes do not say which axis of dense labels has the classes, but sums do.
    for axis in range(len(shape) - 1):
        turned = options._replace(axis=axis)
        other = open_pair(files[0], files[1] if len(files) == 2 else None, None, turned)
        found = None if other.labels is None else _scan(other.labels, runner, dense=True)
        if found is not None and found.soft.rows and not found.soft.unnormalised:
            return other, turned
    return None


def _in_order(
    pair: Pair, options: ReadOptions, files: Sequence[Located], runner: Engine | None
) -> tuple[Pair, ReadOptions]:
    """Return the inputs, joined by their ids if these say that the rows are in different orders."""
    plans = [None if source is None else source.info.plan for source in (pair.logits, pair.labels)]
    column = plans[0].id if plans[0] is not None else None
    if runner is None or pair.labels is None or column is None or plans[1] is None or plans[1].id is None:
        return pair, options
    if in_one_order(pair.logits, pair.labels):
        return pair, options
    options = options._replace(join=column)
    return open_pair(files[0], files[1], None, options), options


def _unseen(pair: Pair) -> Advice:
    """Return the advice that follows from the headers."""
    return Advice(binary=scores_of(pair.logits) is not pair.logits)


def _beside_bounds(pair: Pair, every: Inspection) -> Advice:
    """Return advice for inputs whose format says what they hold, and in which classes are known only in part."""
    logits, labels = every.logits, every.soft
    source = "probs" if 0 < logits.rows == logits.softmaxed else "logits"
    teacher = "labels"
    if pair.labels is not None and "label_bounds" not in pair.labels.info.fields:
        teacher = "logits" if labels.unnormalised else "probs"
    return Advice(source, teacher)


def _look(pair: Pair, every: Inspection) -> Look:
    """Return what the first rows show, leaving out rows whose label is only a mark."""
    labels, binary = every.labels, scores_of(pair.logits) is not pair.logits
    keys = np.array(list(labels.counts), np.int64)
    marks = [label for label in labels.outside(pair.num_classes) if is_padding(label, 0, pair.num_classes, keys)]
    try:
        seen = first_look(pair, LossOptions(labels=pair.label_form, ignore_index=tuple(marks), binary=binary))
    except RowError as error:
        raise pair.complete(error) from None
    distributions = seen.logits.distributions(), seen.labels.distributions()
    return Look(*distributions, seen.labels.rounding.whole, seen.offsets, binary)


def _listed(file: Located, *opened: Opened) -> Contents:
    """Return what headers list, each array and column with its role."""
    first = opened[0]
    options = first.options._replace(run=first.options.run._replace(with_ids=True))
    source = first.source
    if source.info.format not in ARRAYS and first.role == "logits":  # opened as compute does to write rows
        source = open_source(file, first.role, options, Classes(options.axis))
    contents = list_contents(file, source, first.role)
    parts = {one.source.info.path: one.role.removesuffix("s") for one in opened[::-1]}
    parts = {path: "logits" if part == "logit" else part for path, part in parts.items()}
    entries = [
        entry if entry.shape is None else replace(entry, role=parts.get(f"{file.name}:{entry.name}", ""))
        for entry in contents.entries
    ]
    return replace(contents, entries=tuple(entries))


def _scan(source: Source, runner: Engine | None, *, dense: bool) -> Inspection | None:
    """Read every value once; memory does not grow with the input."""
    if runner is None:
        return None
    if 0 in source.info.shape:
        return Inspection()  # there may be more rows without values than can be counted
    count = partial(_count, dense=dense)
    try:
        return reduce(Inspection.merge, runner.map(count, (part for _, _, part in source.parts())), Inspection())
    except RowError as error:
        raise complete(error, source) from None


def _count(part: Part, *, dense: bool) -> Inspection:
    rows = part.read()
    if rows.logits is not None and rows.logit_bounds is not None:  # a value below a floor is not a missing one
        rows = rows._replace(logits=Bounds.of(rows.logit_bounds, len(rows.logits)).at_face(rows.logits))
    return Inspection.of(rows, dense=dense)
