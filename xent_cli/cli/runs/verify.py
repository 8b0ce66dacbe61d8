"""The straight line of `xent verify`: open, evaluate and compare, print the verdict."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xent_cli import __version__
from xent_cli.cli.config import told_before
from xent_cli.cli.display.present import console_for, remark
from xent_cli.cli.runs.evaluate_pair import divisor_of, refuse_nothing
from xent_cli.cli.runs.preview import findings_of, preview
from xent_cli.cli.runs.settings import engine, progress, read_options, settings
from xent_cli.core.diagnostics import refuse_warnings
from xent_cli.core.options import Wanted
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.verify.error_totals import Agreement, ErrorTotals, compare
from xent_cli.core.verify.tolerance import Tolerance
from xent_cli.core.verify.verify_block import verify_block
from xent_cli.errors import RowError, UsageError
from xent_cli.readers.pair.candidates import by_ids, held_blocks, open_gradient, open_losses, read_number
from xent_cli.readers.pair.pair import open_operands
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.reports.agreement.json import AgreementDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xent_cli.core.options import LossOptions
    from xent_cli.engines.interface import Engine
    from xent_cli.readers.pair.candidates import Candidate
    from xent_cli.readers.pair.pair import Pair

_REDUCED = ("mean", "sum")


def hold(given: Mapping[str, Any]) -> AgreementDocument:
    """Carry out `xent verify`.

    Parameters
    ----------
    given
        The options by name.
    """
    _refuse_meaningless(given)
    pair = open_operands(given["logits"], given["labels"], given["sample_weight"], read_options(given, with_ids=False))
    options = settings({**given, "gradients": None, "overflow_report": False}, pair)
    seen = preview(given, pair, options)
    pair, options = seen.pair, seen.options
    number, candidates = _open(given, pair)
    pair, candidates = by_ids(pair, candidates, given["id_column"], given["join"])
    of_mean = given["gradient"] is not None and given["reduction"] in (None, "mean")
    with _naming_rows(pair, options, candidates), engine(given) as runner:
        divisor = float(divisor_of(pair, options, runner)) if of_mean else 1.0
        tolerances = {
            entry.name: _tolerance(given, entry.dtype, divisor if entry.name == "gradient" else 1.0)
            for entry in candidates
        }
        streamed = tuple(entry for entry in candidates if number is None or entry.name != "loss")
        totals, errors = _compare(given, pair, options, streamed, tolerances, divisor, runner)
    if number is not None:
        summary = totals.summarize()
        truth = summary.mean_loss if given["reduction"] == "mean" else summary.sum_loss
        errors["loss"] = compare(np.array([number]), np.array([truth]), tolerances["loss"], wanted=given["top"])
    reductions = {"loss": given["reduction"] or "none", "gradient": "mean" if of_mean else "sum"}
    rows = totals.n_samples + totals.n_ignored
    findings = (*told_before(), *pair.findings, *seen.findings, *findings_of(totals, seen))
    if given["strict"]:
        refuse_warnings(findings)
    refuse_changed()
    return AgreementDocument(
        version=__version__,
        signature=options.signature(__version__),
        inputs={**pair.inputs(rows), **{entry.name: entry.description(rows) for entry in candidates}},
        n_samples=totals.n_samples,
        n_ignored=totals.n_ignored,
        agreements=tuple(
            Agreement(entry.name, reductions[entry.name], tolerances[entry.name], errors[entry.name])
            for entry in candidates
        ),
        findings=findings,
    )


def present(document: AgreementDocument, form: str, color: str, *, quiet: bool, failing: bool) -> None:
    """Print the verdict, and exit 1 where it is a failing one, even if nobody is left to read it."""
    remark(document.findings, quiet=quiet)
    try:
        if form == "json":
            from xent_cli.reports.agreement.json import dumps

            click.echo(dumps(document), nl=False)
        elif form == "lines":
            from xent_cli.reports.agreement.text import plain_agreements

            click.echo(plain_agreements(document.agreements), nl=False)
        else:
            from xent_cli.reports.agreement.table import print_agreements

            print_agreements(console_for(sys.stdout, color), document.agreements)
        sys.stdout.flush()
    except BrokenPipeError:
        if not failing:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if failing:
        raise click.exceptions.Exit(1)


def _refuse_meaningless(given: Mapping[str, Any]) -> None:
    if given["loss"] is None and given["gradient"] is None:
        raise UsageError("nothing to verify", hint="name the kernel's output with --loss FILE or --gradient FILE")
    for name in ("loss", "gradient"):
        for option in (f"{name}_column", f"{name}_dtype"):
            if given[name] is None and given[option] is not None:
                raise UsageError(f"--{option.replace('_', '-')} without --{name}")
    if given["max_ulp"] is not None and (given["rtol"] is not None or given["atol"] is not None):
        raise UsageError("--max-ulp takes the place of --rtol and --atol", hint="leave one out")
    for name in ("rtol", "atol"):
        if given[name] is not None and not np.isfinite(given[name]):
            raise UsageError(f"--{name} must be a finite number")
    if given["gradient"] is not None and given["source"] != "logits":
        raise UsageError(f"--gradient is about logits, and --from says {given['source']}")


def _open(given: Mapping[str, Any], pair: Pair) -> tuple[float | None, tuple[Candidate, ...]]:
    """Open what is to be verified; a reduced loss is read at once."""
    number = None
    candidates = []
    if given["loss"] is not None:
        column, dtype = given["loss_column"], given["loss_dtype"]
        if given["reduction"] in _REDUCED:
            number, candidate = read_number(given["loss"], column, dtype)
        else:
            candidate = open_losses(given["loss"], pair, column, dtype)
        candidates.append(candidate)
    if given["gradient"] is not None:
        column, dtype = given["gradient_column"], given["gradient_dtype"]
        candidates.append(open_gradient(given["gradient"], pair, given["axis"], column, dtype))
    return number, tuple(candidates)


def _tolerance(given: Mapping[str, Any], dtype: str, scale: float) -> Tolerance:
    return Tolerance.of(dtype, given["rtol"], given["atol"], given["max_ulp"], scale=scale)


def _compare(
    given: Mapping[str, Any],
    pair: Pair,
    options: LossOptions,
    candidates: tuple[Candidate, ...],
    tolerances: Mapping[str, Tolerance],
    divisor: float,
    runner: Engine,
) -> tuple[LossTotals, dict[str, ErrorTotals]]:
    """Evaluate and compare every block; memory does not grow with the files."""
    top = given["top"]
    wanted = Wanted(
        losses=True,
        figures=False,
        gradient_dtype="<f8" if given["gradient"] is not None else None,
        gradient_denominator=divisor,
    )
    function = partial(verify_block, options=options, wanted=wanted, tolerances=tolerances, top=top)
    totals = LossTotals(options.signature(""))
    errors = {entry.name: ErrorTotals(wanted=top) for entry in candidates}
    watched: Any = progress(given, pair.logits.num_rows)
    for block in watched(runner.map(function, held_blocks(pair, candidates))):
        totals = totals.merge(block.totals)
        for name, found in block.errors.items():
            errors[name] = errors[name].merge(found)
    refuse_nothing(totals, pair, options)
    return totals, errors


@contextmanager
def _naming_rows(pair: Pair, options: LossOptions, candidates: tuple[Candidate, ...]) -> Iterator[None]:
    """Complete the error at an invalid row of any input."""
    try:
        yield
    except RowError as error:
        for candidate in candidates:
            if candidate.name == error.role:
                raise candidate.complete(error, pair) from None
        raise pair.complete(error, options) from None
