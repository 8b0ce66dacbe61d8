"""Whether the first rows are what options or the format of the file declare them to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xent_cli.core.checks.distributions import NEARLY_ALL
from xent_cli.core.checks.probabilities import log_sum_tolerance
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.errors import InputError, RowError, UsageError, listing, more_rows
from xent_cli.readers.interface import MEGATRON, RESPONSES

if TYPE_CHECKING:
    from xent_cli.cli.options import ComputeOptions, LossFlags, Origin, SharedOptions
    from xent_cli.core.array_types import BoolArray
    from xent_cli.core.checks.distributions import Distributions
    from xent_cli.core.checks.first_rows import FirstRows
    from xent_cli.core.options import LossOptions
    from xent_cli.readers.pair.paired_inputs import Pair


_PERCENT = 100.0


def line_with(origin: Origin, *words: str) -> str:
    """Return the command that was typed, with these words added."""
    from xent_cli.cli.display.shell import quoted

    return " ".join(quoted(word) for word in ("xent", *origin.words, *words))


def may_be_probabilities(pair: Pair) -> bool:
    """Whether the first rows are within [0, 100], as fractions and percentages are; True if they cannot be reread."""
    if not pair.again:
        return True
    logits = next(pair.tasks()).load().logits
    return not ((logits < 0) | (logits > _PERCENT)).any()


def refuse_softmaxed(origin: Origin, pair: Pair, options: LossOptions, found: Distributions) -> tuple[Diagnostic, ...]:
    """Refuse logits that are distributions, unless the user insists or there are too few rows to be sure.

    Raises
    ------
    InputError
        With the command that says what they are.
    """
    rows = f"{found.fractions if found.scale == 1.0 else found.percents} of the first {found.counted} rows"
    kind = "probabilities" if found.scale == 1.0 else "percentages"
    sums = "1" if found.scale == 1.0 else "100"
    plan = pair.logits.info.plan
    named = plan is not None and bool(plan.values) and all("logit" in name.lower() for name in plan.values)
    note = "source" in origin.explicit
    if found.sure and not named and not note:
        raise InputError(
            f"logits look like {kind}",
            pair.logits.info.path,
            found=f"{rows} without a negative number, that sum to {sums}",
            expected="logits, which hardly ever do",
            hint=f"{line_with(origin, '--from', 'probs')}; --from logits insists that they are logits",
        )
    # The kernel for labels counts such rows in the whole input; for a few rows, their digits are better evidence.
    if found.sure and found.scale == 1.0 and not note and options.labels_source == "labels":
        return ()
    rows = rows if found.sure else rows.replace("the first ", "")
    text = f"{rows} of logits are non-negative and sum to {sums}: they look like {kind}"
    return (Diagnostic("logits-look-softmaxed", text if note else f"{text}; if they are, use --from probs", note=note),)


def refuse_scores(origin: Origin, pair: Pair, found: Distributions) -> None:
    """Refuse scores of a binary classifier that all lie in [0, 1], unless the user says that they are logits.

    Raises
    ------
    InputError
        With the command that says what they are.
    """
    if "source" not in origin.explicit:
        raise InputError(
            "scores look like probabilities",
            pair.logits.info.path,
            found=f"the first {found.counted} of them from 0 to 1",
            expected="logits, half of which are below 0 or so",
            hint=f"{line_with(origin, '--from', 'probs')}; --from logits insists that they are logits",
        )


def judge_logits(shared: SharedOptions, pair: Pair, options: LossOptions, rows: FirstRows) -> float:
    """Refuse probabilities or log-probabilities in the first input that do not sum to 1; return what to divide by."""
    return _judge(shared.loss, pair, options, rows, "logits", options.source)


def softmaxed_teacher(origin: Origin, pair: Pair, rows: FirstRows) -> tuple[Diagnostic, ...]:
    """Refuse a teacher's logits that are distributions, unless the user insists or there are too few rows to be sure.

    ``--labels-from logits`` alone does not count as insisting, because it is the only way to give a teacher's logits;
    together with ``--from logits`` it does.

    Raises
    ------
    InputError
        With the option that says what they are.
    """
    found = rows.distributions()
    if found.scale is None or pair.num_classes == 1:
        return ()
    assert pair.labels is not None
    fitting, sums = (found.fractions, 1) if found.scale == 1.0 else (found.percents, 100)
    note = "source" in origin.explicit
    if found.sure and not note:
        raise InputError(
            "a teacher's logits look like probabilities",
            pair.labels.info.path,
            found=f"{fitting} of the first {found.counted} rows without a negative number, that sum to {sums}",
            expected="logits, which hardly ever do",
            hint="say so: --labels-from probs; --from logits beside --labels-from logits insists on both",
        )
    text = f"{fitting} of {found.counted} rows of the teacher's logits are non-negative and sum to {sums}"
    more = "" if note else ": they look like probabilities; if they are, use --labels-from probs"
    return (Diagnostic("teacher-looks-softmaxed", text + more, note=note),)


def judge_labels(shared: SharedOptions, pair: Pair, options: LossOptions, rows: FirstRows) -> float:
    """Refuse dense labels that are counts, and a teacher's outputs that are not what they are said to be."""
    source = options.labels_source
    assert pair.labels is not None
    path = pair.labels.info.path
    found = rows.distributions()
    if source == "logits":
        return 1.0
    if source != "labels":
        return _judge(shared.loss, pair, options, rows, "labels", source)
    if rows.figures is None or options.normalize or shared.layout.label_form == "dense" or rows.lowest < 0:
        return 1.0
    off = ~rows.figures.are_distributions(rows.rounding.unit)
    if rows.rounding.whole and len(pair.logits.info.shape) == 1:
        from xent_cli.readers.binary_scores import one_score

        found_there = f"one axis, and as many whole numbers in {path}"
        raise one_score(pair.logits.info.path, found_there)
    if found.scale == 100.0:
        raise InputError(
            "dense labels are percentages",
            path,
            found=f"{found.percents} of the first {found.counted} rows sum to 100",
            expected="rows that sum to 1",
            hint="--normalize divides every row by its sum",
        )
    if rows.rounding.whole and off.any():
        first = int(np.argmax(off))
        error = RowError(
            "dense labels are whole numbers, not distributions",
            rows.samples[first],
            "labels",
            found=f"a row that sums to {rows.figures.total[first]:g}",
            expected="rows that sum to 1",
            hint="votes and counts need --normalize, which divides every row by its sum; several labels per sample are "
            "not for softmax; --labels dense takes them as they are",
        )
        raise _counted(pair, options, error, off)
    plan = pair.labels.info.plan
    if plan is not None and not plan.is_list and np.count_nonzero(off) > (1 - NEARLY_ALL) * off.size:
        first = int(np.argmax(off))
        error = RowError(
            "columns of numbers that are not distributions",
            rows.samples[first],
            "labels",
            found=f"a row that sums to {rows.figures.total[first]:g} over {listing(plan.values)}",
            expected="rows that sum to 1, or one column of labels",
            hint="--label-column NAME says which column holds the labels; --labels dense takes the numbers as they are",
        )
        raise _counted(pair, options, error, off)
    return 1.0


def _judge(flags: LossFlags, pair: Pair, options: LossOptions, rows: FirstRows, role: str, source: str) -> float:
    if rows.figures is None or (options.normalize and source == "probs"):
        return 1.0
    found = rows.distributions()
    figures, unit = rows.figures, rows.rounding.unit
    scale = 1.0
    option = "--from" if role == "logits" else "--labels-from"
    if source == "probs":
        scale = found.scale or 1.0
        if rows.integers and found.scale is None:
            described = pair.logits if role == "logits" else pair.labels
            assert described is not None
            raise InputError(
                "probabilities are whole numbers",
                described.info.path,
                found=f"{' and '.join(sorted(rows.dtypes))} from {rows.lowest:g} to {rows.highest:g}",
                expected="fractions, or percentages, that sum to 1 or 100",
                hint="quantised outputs need their scale and zero point, (q - zero_point) * scale; --normalize divides "
                "every row by its sum",
            )
        # An entry that is not a probability is reported when its block is evaluated, with its class.
        within = figures.within(unit, scale)
        off = within & ~figures.are_distributions(unit, scale)
        inside, hint = bool(within.all()), "--normalize divides every row by its sum"
        most = "1 within the rounding" if scale == 1.0 else "100 within the rounding"
    else:
        tolerance = log_sum_tolerance(unit)
        off, inside = np.abs(figures.total - 1.0) > tolerance, bool((figures.highest <= 1.0 + tolerance).all())
        most = f"1 within {tolerance:g}"
        hint = "log-probs are logits too: leave --from out" if role == "logits" else "logits need --labels-from logits"
    if not inside or flags.unnormalized or not off.any():
        return scale
    first = int(np.argmax(off))
    kind, sums = ("probabilities", "a sum of") if source == "probs" else ("log-probabilities", "a sum of exp(log p) of")
    error = RowError(
        f"{kind} do not sum to 1" if scale == 1.0 else f"{kind} do not sum to 100",
        rows.samples[first],
        role,
        found=f"{sums} {figures.total[first]:g} ({option} {source})",
        expected=most,
        hint=f"{hint}; --unnormalized takes them as they are",
    )
    raise _counted(pair, options, error, off)


def _counted(pair: Pair, options: LossOptions, error: RowError, off: BoolArray) -> InputError:
    """Add the place of the first such row, and how many there are, to the error."""
    complete = pair.complete(error, options)
    others = int(np.count_nonzero(off)) - 1
    more = f"{more_rows(others)}, of the first {off.size}" if others else ""
    return InputError(complete.what, complete.where, complete.found, complete.expected, complete.hint, more)


def with_implied(shared: SharedOptions, pair: Pair) -> SharedOptions:
    """Set the options that files of log-probabilities imply.

    Raises
    ------
    UsageError
        If the user says something else.
    """
    sides = (
        ("source", "--from", pair.logits, "logit_bounds"),
        ("labels_from", "--labels-from", pair.labels, "label_bounds"),
    )
    for name, option, source, field in sides:
        if source is None or field not in source.info.fields:
            continue
        said = getattr(shared.loss, name)
        if (
            source.info.format in ("kld", MEGATRON, RESPONSES)
            and name in shared.origin.explicit
            and said != "log-probs"
        ):
            raise UsageError(f"{option} {said}: {source.info.path} holds log-probabilities", hint="leave it out")
        implied = {"source": shared.loss._replace(source="log-probs")}
        implied["labels_from"] = shared.loss._replace(labels_from="log-probs")
        shared = shared._replace(loss=implied[name])
    return shared


def of_partial(options: ComputeOptions, pair: Pair) -> ComputeOptions:
    """Return the options of a run in which log-probabilities may be known only in part.

    Raises
    ------
    UsageError
        If the user says something else, or asks for results about classes where there are none.
    """
    if pair.tokens_only:
        _refuse_beside_tokens(options)
    return options._replace(shared=with_implied(options.shared, pair))


def _refuse_beside_tokens(options: ComputeOptions) -> None:
    """Refuse options that need the classes if only the log-probabilities of the scored tokens are known."""
    loss, flags = options.shared.loss, options.output
    for option, asked in (
        ("--top-k", bool(loss.top_k)),
        ("--ignore-index", bool(loss.ignore_index)),
        ("--label-smoothing", bool(loss.label_smoothing)),
        ("--class-weight", loss.class_weight is not None),
        ("--first-class", loss.first_class is not None),
        ("--normalize", loss.normalize),
        ("--unnormalized", loss.unnormalized),
        ("--by label", "label" in flags.by),
        ("--macro label", flags.macro == "label"),
    ):
        if asked:
            raise refused_beside_tokens(option)


def refused_beside_tokens(option: str) -> UsageError:
    """Return the error for an option or a command that needs the classes."""
    return UsageError(f"{option} is about classes, and only the log-probability of each label is known")
