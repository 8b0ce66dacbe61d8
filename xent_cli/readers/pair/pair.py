"""Open logits, labels and weights, and check that they belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, UsageError
from xent_cli.readers.interface import ARCHIVES, Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.pair.follower import other_length
from xent_cli.readers.pair.open_labels import labels_of_archive, open_labels, open_true_labels, with_labels_ahead
from xent_cli.readers.pair.paired_inputs import Pair
from xent_cli.readers.storage.locate import locate, refuse_two_pipes

if TYPE_CHECKING:
    from types import ModuleType

    from xent_cli.readers.interface import Source
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located


def open_operands(logits_path: str, labels_path: str | None, weights_path: str | None, options: ReadOptions) -> Pair:
    """Open the inputs of a run as `open_pair` does, and recognise operands that are swapped."""
    try:
        pair = open_pair(logits_path, labels_path, weights_path, options)
    except InputError as error:
        from xent_cli.readers.pair.swapped_operands import seen_as

        raise seen_as(logits_path, labels_path, options, open_pair) or error from None
    if pair.logits.info.dtype.kind in "iu":
        from xent_cli.readers.pair.swapped_operands import refuse_predictions

        refuse_predictions(pair.logits, pair.labels)
    return pair


def open_pair(
    logits_path: str | Located, labels_path: str | Located | None, weights_path: str | None, options: ReadOptions
) -> Pair:
    """Open the inputs of a run and check that they belong together, as far as possible before reading them.

    Raises
    ------
    InputError
        If a file cannot be read, there are no labels, or shapes or lengths do not fit.
    UsageError
        If an option does not fit the files.
    """
    files = (options.true_labels, options.units, *(group.path for group in options.group_files))
    refuse_two_pipes(logits_path, labels_path, weights_path, options.mask, *files)
    options = _with_columns(options, weights_path)
    located = locate(logits_path)
    labels_located = None if labels_path is None else locate(labels_path)
    options = with_labels_ahead(options, located, labels_located)
    logits = _open_logits(located, labels_located, options)
    labels = _open_labels(located, logits, labels_located, options)
    opened = [(located, logits)]
    if labels_located is not None and labels is not None:
        opened.append((labels_located, labels))
    weights, mask, options = _weights_and_mask(weights_path, opened, options)
    groups, units, options = _groups_and_units(opened, options)
    _refuse_misfits(logits, labels, options)
    truth = None if options.true_labels is None else open_true_labels(options.true_labels, logits, options)
    names = options.class_names or logits.info.class_names
    said = [*options.known.said, *(remark for source in (logits, labels) for remark in getattr(source, "remarks", ()))]
    pair = Pair(logits, labels, weights, mask, options.shift, names, said=said, truth=truth, units=units, groups=groups)
    if logits.info.format in ARCHIVES:
        from xent_cli.readers.pair.weights_and_masks import unused_arrays

        beside = None if labels_located is None or labels_located.name == located.name else labels_located.name
        pair.said.extend(unused_arrays(located, logits, beside, weighted=pair.weighted, masked=pair.masked))
    if options.shift:
        from xent_cli.readers.pair.shifted_labels import documents_of, refuse_shift

        refuse_shift(logits, labels, documents_of(logits), options.shift, by=bool(pair.columns_by))
    return _compared(pair, options)


def _with_columns(options: ReadOptions, weights_path: str | None) -> ReadOptions:
    """Complete the options: which columns units and mask may be, and whether some samples may not count."""
    if options.units is not None:
        from xent_cli.readers.pair.weights_and_masks import name_or_file

        options = options._replace(units_column=name_or_file(options.units).column)
    if options.mask is not None:
        from xent_cli.readers.pair.weights_and_masks import name_or_file

        options = options._replace(mask_column=name_or_file(options.mask).column)
    if (weights_path, options.weight_column, options.mask) != (None, None, None):
        options = options._replace(known=options.known._replace(lenient=True))
    return options


def _open_logits(located: Located, labels: Located | None, options: ReadOptions) -> Source:
    """Open the logits, and refuse inputs without rows or classes."""
    logits = open_source(located, "logits", options, Classes(options.axis))
    if options.binary or logits.info.row_shape == (1,):
        from xent_cli.readers.binary_scores import open_scores

        logits = open_scores(logits, located, labels, options)
    shape = logits.info.description.shape
    if not logits.info.row_shape[0]:
        raise InputError("no classes", located.name, found=f"shape {shape}", expected="at least 1")
    if options.class_names is not None:
        from xent_cli.readers.class_names import refuse_other_number

        refuse_other_number(options.class_names, logits.info.row_shape[0])
    if logits.info.num_rows == 0:
        raise InputError("no rows", located.name, found=f"shape {shape}", expected="at least 1")
    return logits


def _open_labels(located: Located, logits: Source, labels: Located | None, options: ReadOptions) -> Source | None:
    """Open labels that are a separate input; None if the table of logits has them."""
    if labels is not None:
        return open_labels(labels, logits, options)
    if logits.info.format in ARCHIVES:
        return labels_of_archive(located, logits, options)
    if "labels" not in logits.info.fields:
        _misfit().refuse_missing([logits], options)
        raise _misfit().no_labels(logits, options)
    return None


def _weights_and_mask(
    weights_path: str | None, opened: list[tuple[Located, Source]], options: ReadOptions
) -> tuple[Source | None, Source | None, ReadOptions]:
    if weights_path is not None and options.weight_column is not None:
        raise UsageError("--sample-weight and --sample-weight-column cannot be combined")
    if (weights_path, options.weight_column, options.mask) == (None, None, None):
        return None, None, options
    from xent_cli.readers.pair.weights_and_masks import open_mask, open_weights

    weights, options = open_weights(weights_path, opened, options)
    return weights, open_mask(opened, options), options


def _groups_and_units(
    opened: list[tuple[Located, Source]], options: ReadOptions
) -> tuple[tuple[Source, ...], Source | None, ReadOptions]:
    if not options.by and options.units is None:
        return (), None, options
    from xent_cli.readers.pair.weights_and_masks import open_units

    units = open_units(opened, options)
    plans = [source.info.plan for _, source in opened if source.info.plan is not None]
    if not options.group_files and all(any(name in plan.columns for plan in plans) for name in options.by):
        return (), units, options
    from xent_cli.readers.pair.weights_and_masks import open_groups

    groups, options = open_groups(opened, options)
    return groups, units, options


def _refuse_misfits(logits: Source, labels: Source | None, options: ReadOptions) -> None:
    """Refuse columns that no table has, and labels of another length."""
    sources = [source for source in (logits, labels) if source is not None]
    if options.by or any((options.id_column, options.weight_column, options.label_column)):
        _misfit().refuse_missing(sources, options)
    joined = options.join is not None and labels is not None and labels.info.plan is not None
    counts = {source.info.num_rows for source in sources} - {None}
    if labels is not None and len(counts) > 1 and not joined:
        raise other_length(logits, labels, "labels", logits.info.num_rows, labels.info.num_rows)


def _compared(pair: Pair, options: ReadOptions) -> Pair:
    """Compare or join tables that name their samples or classes; other inputs are returned unchanged."""
    tables = [
        source
        for source in (pair.logits, pair.labels, pair.weights, pair.mask)
        if source is not None and source.info.plan
    ]
    plan = pair.logits.info.plan
    labels_twice = pair.labels is not None and plan is not None and plan.label is not None
    if len(tables) < 2 and not labels_twice and options.join is None and options.class_names is None:
        return pair
    from xent_cli.readers.pair.side_by_side import side_by_side

    return side_by_side(pair, options)


def _misfit() -> ModuleType:  # loaded only if inputs do not fit
    from xent_cli.readers.pair import misfit

    return misfit
