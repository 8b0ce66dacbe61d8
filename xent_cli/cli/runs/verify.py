"""What `xent verify` does: prepare, evaluate and compare every block, report."""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xent_cli import __version__
from xent_cli.cli.runs.evaluate_pair import divisor_of, progress
from xent_cli.cli.runs.open_engine import open_engine
from xent_cli.cli.runs.preview import diagnostics_of, preview
from xent_cli.cli.runs.resolve_options import loss_options, read_options, refuse_without_logits
from xent_cli.core.diagnostics import refuse_warnings
from xent_cli.core.options import Outputs
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.verify.error_totals import Agreement, ErrorTotals, compare
from xent_cli.core.verify.tolerance import Tolerance
from xent_cli.core.verify.verify_block import verify_block
from xent_cli.errors import InputError, RowError, UsageError
from xent_cli.readers.pair.candidates import by_ids, held_blocks, open_gradient, open_losses, read_number
from xent_cli.readers.pair.pair import open_operands
from xent_cli.readers.storage.identity import refuse_changed
from xent_cli.reports.agreement.json import AgreementDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.cli.options import FloatName, Reduction, SharedOptions
    from xent_cli.cli.runs.preview import Preview
    from xent_cli.readers.pair.candidates import Candidate
    from xent_cli.readers.pair.paired_inputs import Pair

_REDUCED = ("mean", "sum")


class CandidateFlags(NamedTuple):
    """Losses and gradients to verify, or a folder of difficult cases that holds them, and the tolerance."""

    loss: str | None = None
    gradient: str | None = None
    reduction: Reduction | None = None
    loss_column: str | None = None
    gradient_column: str | None = None
    loss_dtype: FloatName | None = None
    gradient_dtype: FloatName | None = None
    rtol: float | None = None
    atol: float | None = None
    max_ulp: int | None = None
    write_cases: str | None = None
    cases: str | None = None

    @property
    def of_mean(self) -> bool:
        """Whether there is a gradient, and it is that of the mean, not of the sum."""
        return self.gradient is not None and self.reduction in (None, "mean")


class VerifyOptions(NamedTuple):
    """Options of `xent verify`; `top` is the number of worst rows to list."""

    shared: SharedOptions
    candidates: CandidateFlags
    top: int


class Job(NamedTuple):
    """A verification that is ready to go.

    Fields
    ------
    seen
        The inputs, and what their first rows show.
    candidates
        What to verify, in the order of the report.
    number
        A reduced loss, which is read at once; None if losses are per sample or there are none.
    """

    options: VerifyOptions
    seen: Preview
    candidates: tuple[Candidate, ...]
    number: float | None


class Errors(NamedTuple):
    """The merged results: totals of the reference, and the tolerance and the errors of each candidate."""

    totals: LossTotals
    tolerances: dict[str, Tolerance]
    errors: dict[str, ErrorTotals]


def verify(options: VerifyOptions) -> AgreementDocument:
    """Run `xent verify` and return the results."""
    job = prepare(options)
    with _naming_rows(job):
        found = evaluate(job)
    return report(job, found)


def prepare(options: VerifyOptions) -> Job:
    """Open inputs and candidates, and refuse invalid ones."""
    shared, flags = options.shared, options.candidates
    _refuse_meaningless(flags)
    refuse_without_logits(shared.loss, ("--gradient",) if flags.gradient is not None else ())
    files = tuple(path for path in (flags.loss, flags.gradient) if path is not None)
    layout = read_options(shared, candidates=files, two_passes=flags.gradient is not None)
    pair = open_operands(shared.inputs.logits, shared.inputs.labels, shared.loss.sample_weight, layout)
    if pair.tokens_only:
        from xent_cli.cli.runs.inputs.declared_kind import refused_beside_tokens

        raise refused_beside_tokens("xent verify")
    if pair.partial:
        from xent_cli.cli.runs.inputs.declared_kind import with_implied
        from xent_cli.core.checks.every_class import refuse_partial

        shared = with_implied(shared, pair)
        refuse_partial(loss_options(shared, pair), Outputs(), gradient=flags.gradient is not None)
    seen = preview(shared, pair, loss_options(shared, pair))
    number, candidates = _open(flags, seen.pair, shared.layout.axis)
    pair, candidates = by_ids(seen.pair, candidates, shared.layout.id_column, shared.inputs.join)
    return Job(options, seen._replace(pair=pair), candidates, number)


def evaluate(job: Job, *, of_nothing: bool = False) -> Errors:
    """Evaluate every block and compare it with the candidates; memory does not grow with the files.

    Parameters
    ----------
    of_nothing
        Whether it is allowed that no sample has a loss: losses and their mean must then be 0 or NaN, and gradients 0.

    Raises
    ------
    InputError
        If no sample has a loss, unless `of_nothing`.
    """
    flags, top, pair, options = job.options.candidates, job.options.top, job.seen.pair, job.seen.options
    run = job.options.shared.run
    with open_engine(run) as engine:
        divisor = (float(divisor_of(pair, options, engine)) if flags.of_mean else 1.0) or 1.0
        wanted = Outputs(
            losses=True,
            figures=False,
            gradient_dtype="<f8" if flags.gradient is not None else None,
            gradient_denominator=divisor,
        )
        tolerances = {
            entry.name: _tolerance(flags, entry.dtype, divisor if entry.name == "gradient" else 1.0)
            for entry in job.candidates
        }
        function = partial(verify_block, options=options, outputs=wanted, tolerances=tolerances, top=top)
        in_blocks = tuple(entry for entry in job.candidates if job.number is None or entry.name != "loss")
        totals = LossTotals(options.signature(""))
        errors = {entry.name: ErrorTotals(top=top) for entry in in_blocks}
        track: Any = progress(run, pair.logits.info.num_rows)
        for block in track(engine.map(function, held_blocks(pair, in_blocks))):
            totals = totals.merge(block.totals)
            for name, found in block.errors.items():
                errors[name] = errors[name].merge(found)
    if totals.n_bounded:
        raise InputError(
            "losses of which only bounds are known",
            pair.logits.info.path if pair.labels is None else pair.labels.info.path,
            found=f"{totals.n_bounded} of {totals.n_samples} samples",
            expected="log-probabilities of every class, to hold the candidate against",
            hint="save all classes",
        )
    if not of_nothing:
        totals.refuse_nothing(pair.logits.info.path)
    if job.number is not None:
        summary = totals.summarize()
        truth = summary.mean_loss if flags.reduction == "mean" else summary.sum_loss
        found, expected, none = np.array([job.number]), np.array([truth]), np.array([totals.n_samples == 0])
        errors["loss"] = compare(found, expected, tolerances["loss"], ignored=none, top=top)
    return Errors(totals, tolerances, errors)


def report(job: Job, found: Errors) -> AgreementDocument:
    """Return the document that says how far off the candidates are."""
    shared, flags, (pair, options, diagnostics), totals = (
        job.options.shared,
        job.options.candidates,
        job.seen,
        found.totals,
    )
    origin = shared.origin
    diagnostics = (*origin.config_notes, *pair.diagnostics, *diagnostics, *diagnostics_of(totals, job.seen, origin))
    if shared.run.strict:
        refuse_warnings(diagnostics)
    refuse_changed()
    reductions = {"loss": flags.reduction or "none", "gradient": "mean" if flags.of_mean else "sum"}
    rows = totals.n_samples + totals.n_ignored
    return AgreementDocument(
        version=__version__,
        signature=options.signature(__version__),
        inputs={**pair.inputs(rows), **{entry.name: entry.description(rows) for entry in job.candidates}},
        n_samples=totals.n_samples,
        n_ignored=totals.n_ignored,
        agreements=tuple(
            Agreement(entry.name, reductions[entry.name], found.tolerances[entry.name], found.errors[entry.name])
            for entry in job.candidates
        ),
        diagnostics=diagnostics,
    )


def _refuse_meaningless(flags: CandidateFlags) -> None:
    if flags.loss is None and flags.gradient is None:
        raise UsageError("nothing to verify", hint="name the kernel's output with --loss FILE or --gradient FILE")
    alone = {
        "--loss-column": ("--loss", flags.loss, flags.loss_column),
        "--loss-dtype": ("--loss", flags.loss, flags.loss_dtype),
        "--gradient-column": ("--gradient", flags.gradient, flags.gradient_column),
        "--gradient-dtype": ("--gradient", flags.gradient, flags.gradient_dtype),
    }
    for option, (needed, path, value) in alone.items():
        if path is None and value is not None:
            raise UsageError(f"{option} without {needed}")
    if flags.max_ulp is not None and (flags.rtol is not None or flags.atol is not None):
        raise UsageError("--max-ulp replaces --rtol and --atol", hint="leave one out")
    for option, limit in (("--rtol", flags.rtol), ("--atol", flags.atol)):
        if limit is not None and not math.isfinite(limit):
            raise UsageError(f"{option} must be a finite number")


def _open(flags: CandidateFlags, pair: Pair, axis: int) -> tuple[float | None, tuple[Candidate, ...]]:
    """Open what to verify; a reduced loss is read at once."""
    number = None
    candidates = []
    if flags.loss is not None:
        if flags.reduction in _REDUCED:
            number, candidate = read_number(flags.loss, flags.loss_column, flags.loss_dtype)
        else:
            candidate = open_losses(flags.loss, pair, flags.loss_column, flags.loss_dtype)
        candidates.append(candidate)
    if flags.gradient is not None:
        candidates.append(open_gradient(flags.gradient, pair, axis, flags.gradient_column, flags.gradient_dtype))
    return number, tuple(candidates)


def _tolerance(flags: CandidateFlags, dtype: str, scale: float) -> Tolerance:
    return Tolerance.of(dtype, flags.rtol, flags.atol, flags.max_ulp, scale=scale)


@contextmanager
def _naming_rows(job: Job) -> Iterator[None]:
    """Add the place in its file to an error about an invalid row of any input."""
    try:
        yield
    except RowError as error:
        for candidate in job.candidates:
            if candidate.name == error.role:
                raise candidate.complete(error, job.seen.pair) from None
        raise job.seen.pair.complete(error, job.seen.options) from None
