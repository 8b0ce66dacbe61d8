"""Names of the figures that a limit can be set on, and whether higher or lower is better."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

from xent_cli.core.totals.slices import slice_name
from xent_cli.core.totals.summary import LossSummary
from xent_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xent_cli.core.kernel.textbook_formula import FormulaTotals

    Figure = float | int | bool | None

_QUANTILES = ("p50_loss", "p90_loss", "p95_loss", "p99_loss")
_COMPOSED = ("quantiles", "top_k", "divergence", "calibration", "warnings", "confidence_level", "by_group")
_FIELDS = [field.name for field in fields(LossSummary) if field.name not in _COMPOSED]
# Figures with a reference. Those in the second line take extra time, those in the third need true labels, and the rest
# are for log-probabilities that are known only in part.
_DIVERGENCE = (
    *("kl_divergence", "p50_kl", "p90_kl", "p95_kl", "p99_kl", "p999_kl", "max_kl", "same_top"),
    *("reverse_kl", "js_divergence", "ref_entropy", "top5_overlap"),
    *("mean_delta_p", "p1_delta_p", "p5_delta_p", "p50_delta_p", "p95_delta_p", "p99_delta_p"),
    *("min_delta_p", "max_delta_p", "rms_delta_p", "log_ppl_ratio", "se_log_ppl_ratio"),
    *("n_bounded", "mean_loss_at_least", "mean_loss_at_most"),
    *("kl_low", "p99_kl_low", "max_kl_low", "kl_high", "p99_kl_high", "max_kl_high", "kl_face_value"),
    *(f"{name}_kl_face_value" for name in ("p50", "p90", "p95", "p99", "p999", "max")),
)
# Figures of a whole run, not of its slices.
GAIN = "calibration_gain"
CALIBRATION = ("ece", "brier", GAIN)
# Figures with --macro, and with --units.
BY_GROUP = ("n_groups", "macro_loss", "macro_perplexity")
PER_UNIT = ("n_units", "bits_per_unit", "unit_perplexity", "se_bits_per_unit")
_USUAL = (
    *_FIELDS,
    "ci_low",
    "ci_high",
    "perplexity_low",
    "perplexity_high",
    *_QUANTILES,
    "perplexity",
    "bits",
    "accuracy",
)
METRICS = (*_USUAL, *BY_GROUP, *PER_UNIT, *_DIVERGENCE, *CALIBRATION)
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_FATES = ("", ".imprecise", ".inf", ".nan")
_OVERFLOW = tuple(f"overflow.{dtype}{fate}" for dtype in _DTYPES for fate in _FATES)
_TOP_K = re.compile(r"top_([1-9][0-9]*)_accuracy")
_SLICE = re.compile(r"slice:(.+?)=(.*):(.+?)", re.DOTALL)
# Common names for some of them.
_SYNONYMS = {
    **dict.fromkeys(
        ("loss", "mean", "nll", "ce", "xent", "cross_entropy", "avg_loss", "val_loss", "eval_loss"), "mean_loss"
    ),
    **dict.fromkeys(("acc", "top1", "top_1", "top_1_acc", "top_1_accuracy"), "accuracy"),
    **dict.fromkeys(("top5", "top_5", "acc5", "top_5_acc", "top5_accuracy"), "top_5_accuracy"),
    **dict.fromkeys(("ppl", "pplx"), "perplexity"),
    **dict.fromkeys(("bpb", "bpc", "bits_per_byte", "bits_per_char", "bits_per_word"), "bits_per_unit"),
    **dict.fromkeys(("byte_perplexity", "word_perplexity"), "unit_perplexity"),
    **dict.fromkeys(("macro", "macro_mean", "balanced_loss"), "macro_loss"),
    **dict.fromkeys(("kl", "kld", "kl_div", "mean_kl"), "kl_divergence"),
    **dict.fromkeys(("js", "jsd", "js_div"), "js_divergence"),
    **dict.fromkeys(("same_top_p", "top_1_agreement", "agreement"), "same_top"),
    **dict.fromkeys(("std", "stdev"), "std_loss"),
    **dict.fromkeys(("median", "median_loss"), "p50_loss"),
    **dict.fromkeys(("n", "count", "samples"), "n_samples"),
    **dict.fromkeys(("calibration_error", "expected_calibration_error"), "ece"),
    "brier_score": "brier",
    "sum": "sum_loss",
    "min": "min_loss",
    "max": "max_loss",
    "nan": "n_nan",
    "inf": "n_inf",
    "ignored": "n_ignored",
    **{f"p{level}": f"p{level}_loss" for level in (50, 90, 95, 99)},
}
# Figures that follow from the mean, and whose interval follows from that of the mean difference.
OF_THE_MEAN = ("mean_loss", "sum_loss", "perplexity", "bits")
_MORE_IS_BETTER = ("accuracy", "same_top", "top5_overlap")
# For these, neither direction is better.
_NEITHER = (
    *("n_samples", "n_ignored", "worst_sample", "quantiles_exact", "std_loss", "ref_entropy"),
    *("n_clusters", "design_effect", "n_groups", "n_units"),
)
# Changes of the label's probability, which should be high; but their root mean square should be low.
_DELTA_P = re.compile(r"(?!rms).+_delta_p")


def more_is_better(metric: str) -> bool | None:
    """Whether a higher figure is better; None if neither direction is.

    Examples
    --------
    >>> more_is_better("top_5_accuracy"), more_is_better("slice:split=test:mean_loss"), more_is_better("n_samples")
    (True, False, None)
    """
    name = field_of(metric)
    if name in _NEITHER:
        return None
    return name in _MORE_IS_BETTER or bool(_TOP_K.fullmatch(name) or _DELTA_P.fullmatch(name))


def is_loss(metric: str) -> bool:
    """Whether a metric is a cross-entropy, which cannot be below 0.

    Examples
    --------
    >>> is_loss("slice:split=test:p99_loss"), is_loss("accuracy"), is_loss("std_loss")
    (True, False, False)
    """
    name = field_of(metric)
    return name.endswith("_loss") and name not in ("std_loss", "se_loss")


def is_count(metric: str) -> bool:
    """Whether a metric counts samples, or is a share of them, and does not depend on the last digits of losses.

    Examples
    --------
    >>> is_count("top_5_accuracy"), is_count("overflow.float16"), is_count("n_nan"), is_count("mean_loss")
    (True, True, True, False)
    """
    name = field_of(metric)
    return name.startswith(("n_", "overflow.")) or name.endswith("accuracy") or name in _MORE_IS_BETTER


def field_of(metric: str) -> str:
    """Return the field of a summary that a metric refers to: that of the slice, or the metric itself.

    Examples
    --------
    >>> field_of("slice:at=12:30:top_3_accuracy"), field_of("bits")
    ('top_3_accuracy', 'bits')
    """
    found = _SLICE.fullmatch(metric)
    return found[3].rpartition(":")[2] if found else metric


def top_k_of(metric: str) -> int | None:
    """Return the k of a top-k accuracy, or None for other metrics.

    Examples
    --------
    >>> top_k_of("accuracy"), top_k_of("slice:split=test:top_5_accuracy"), top_k_of("bits")
    (1, 5, None)
    """
    name = field_of(metric)
    found = _TOP_K.fullmatch(name)
    return int(found[1]) if found else 1 if name == "accuracy" else None


def figures(
    summary: Mapping[str, Figure],
    overflow: Mapping[str, int],
    slices: Iterable[tuple[str, object, Mapping[str, Figure]]] = (),
) -> dict[str, Figure]:
    """Return every figure by the name that limits use.

    Parameters
    ----------
    summary
        The fields of a summary.
    overflow
        What `overflow_figures` returns, for all dtypes.
    slices
        Column, value, and the fields of its summary.

    Examples
    --------
    >>> figures({"mean_loss": 1.0}, {"overflow.float16": 3}, [("split", "test", {"mean_loss": 2.0})])
    {'mean_loss': 1.0, 'overflow.float16': 3, 'slice:split=test:mean_loss': 2.0}
    """
    flat = {**summary, **overflow}
    for column, value, fields_ in slices:
        flat |= {f"{slice_name(column, value)}:{name}": figure for name, figure in fields_.items()}
    return flat


def overflow_figures(dtype: str, imprecise: int, inf: int, nan: int) -> dict[str, int]:
    """Count the rows for which the textbook formula is wrong in a dtype: in total, and by the kind of error.

    Examples
    --------
    >>> overflow_figures("float16", 1, 2, 4)["overflow.float16"]
    7
    """
    counts = (imprecise + inf + nan, imprecise, inf, nan)
    return {f"overflow.{dtype}{fate}": count for fate, count in zip(_FATES, counts, strict=True)}


def overflow_of(formulas: Iterable[FormulaTotals]) -> dict[str, int]:
    """Return `overflow_figures` of every dtype that was tried."""
    counts: dict[str, int] = {}
    for found in formulas:
        naive = found.naive
        counts |= overflow_figures(found.dtype, naive.n_imprecise, naive.n_underflow, naive.n_overflow)
    return counts


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the metrics that were probably meant, or "".

    Examples
    --------
    >>> nearest("mean_los", METRICS), nearest("ppl", METRICS)
    ('did you mean mean_loss or min_loss or max_loss?', 'did you mean perplexity?')
    """
    known = sorted(known)
    meant = _SYNONYMS.get(name.lower().replace("-", "_"))
    if meant in known:
        return f"did you mean {meant}?"
    return did_you_mean(name, known, most=3, cutoff=0.5, quote="")


def refuse_unknown(metric: str, option: str) -> None:
    """Refuse an unknown metric, and name those that are nearest, or else all.

    Raises
    ------
    UsageError
        With `option` at the beginning of its text.
    """
    name = field_of(metric)
    if name in CALIBRATION and name != metric:
        raise UsageError(f"{option}: {name} is a figure of the whole run, not of a slice", hint=f"limit {name} itself")
    if metric.startswith("slice:") and name == metric:
        raise UsageError(f"{option}: expected slice:COLUMN=VALUE:METRIC", hint="for example slice:split=test:mean_loss")
    known = [*METRICS, "top_5_accuracy", *([] if name != metric else _OVERFLOW)]
    if name in known or _TOP_K.fullmatch(name):
        return
    shown = [*METRICS, "top_K_accuracy", *([] if name != metric else ["overflow.DTYPE[.imprecise|.inf|.nan]"])]
    near = nearest(name, known)
    raise UsageError(
        f"{option}: there is no metric {name}", expected="" if near else f"one of {', '.join(shown)}", hint=near
    )
