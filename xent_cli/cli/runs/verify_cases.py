"""What `xent verify --write-cases` and `--cases` do: difficult inputs for a kernel, and the verdict on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli import __version__
from xent_cli.cli.options import InputFlags, LayoutFlags, LossFlags, Origin, SharedOptions
from xent_cli.cli.runs import verify
from xent_cli.core.diagnostics import Diagnostic, refuse_warnings
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.saved.case_folder import read_cases
from xent_cli.reports.agreement.cases import CasesDocument, CaseVerdict

if TYPE_CHECKING:
    from xent_cli.cli.runs.verify import CandidateFlags, VerifyOptions
    from xent_cli.readers.saved.case_folder import SavedCase
    from xent_cli.reports.agreement.json import AgreementDocument

# Options that may be given with --cases and --write-cases; each case sets the others itself.
_BESIDE_CASES = {
    *("cases", "reduction", "loss_dtype", "gradient_dtype", "rtol", "atol", "max_ulp", "exit_zero", "top"),
    *("output_format", "quiet", "color", "strict", "threads", "progress"),
}
_SPELLINGS = {"logits": "LOGITS", "labels": "LABELS", "source": "--from", "output_format": "--format"}
_BESIDE_WRITING = {"write_cases", "quiet", "color"}


def write_cases(options: VerifyOptions) -> tuple[str, ...]:
    """Write difficult cases into a folder, and return their names.

    Raises
    ------
    UsageError
        If an option has no effect on them.
    OutputError
        If something is there already.
    """
    from xent_cli.core.verify.hard_cases import hard_cases
    from xent_cli.writers.case_folder import write_case_folder

    assert options.candidates.write_cases is not None
    _refuse_without_effect("--write-cases", options.shared.origin, _BESIDE_WRITING)
    cases = hard_cases()
    write_case_folder(options.candidates.write_cases, cases, __version__)
    return tuple(case.name for case in cases)


def verify_cases(options: VerifyOptions) -> CasesDocument:
    """Compare a kernel's outputs for every case of a folder with the reference.

    Each case has its own inputs and options of the loss.

    Raises
    ------
    UsageError
        If an option is one that each case sets itself.
    InputError
        If the folder holds no cases, an input has changed, or no case has outputs.
    """
    path = options.candidates.cases
    assert path is not None
    _refuse_without_effect("--cases", options.shared.origin, _BESIDE_CASES)
    cases = read_cases(path)
    verdicts = tuple(CaseVerdict(case.name, case.about, _verify(case, options)) for case in cases if _outputs(case))
    if not verdicts:
        raise InputError(
            "no outputs of a kernel",
            path,
            found=f"{len(cases)} cases, none with loss.npy or gradient.npy",
            expected="at least one of them beside the inputs of a case",
            hint=f"{path}/README.md has a kernel to begin with",
        )
    kinds = {kind for case in cases for kind in _outputs(case)}
    absent = {case.name: sorted(kinds - {*_outputs(case)}) for case in cases}
    lacking = [f"{name} ({' and '.join(names)})" for name, names in absent.items() if names]
    missing = tuple(case.name for case in cases if not _outputs(case))
    diagnostics: tuple[Diagnostic, ...] = ()
    if lacking:
        text = f"{len(lacking)} of {len(cases)} cases lack outputs that others have: {', '.join(lacking)}"
        diagnostics = (Diagnostic("cases-not-run", text),)
    diagnostics = (*options.shared.origin.config_notes, *diagnostics)
    if options.shared.run.strict:
        refuse_warnings(diagnostics)
    return CasesDocument(__version__, verdicts, missing, diagnostics)


def _outputs(case: SavedCase) -> tuple[str, ...]:
    return tuple(kind for kind, path in (("loss", case.loss), ("gradient", case.gradient)) if path is not None)


def _verify(case: SavedCase, options: VerifyOptions) -> AgreementDocument:
    flags: CandidateFlags = options.candidates._replace(
        loss=case.loss, gradient=case.gradient, reduction=options.candidates.reduction or "none"
    )
    if case.loss is None:
        flags = flags._replace(loss_dtype=None)
    if case.gradient is None:
        flags = flags._replace(gradient_dtype=None)
    shared = SharedOptions(
        InputFlags(case.logits, case.labels),
        LayoutFlags(axis=case.axis),
        LossFlags(
            ignore_index=(case.ignore_index,), label_smoothing=case.label_smoothing, class_weight=case.class_weight
        ),
        options.shared.run._replace(strict=False, progress=False),
        # Some cases look like probabilities, so it is said explicitly that they are logits.
        Origin(explicit=frozenset({"source"})),
    )
    job = verify.prepare(options._replace(shared=shared, candidates=flags))
    return verify.report(job, verify.evaluate(job, of_nothing=True))


def _refuse_without_effect(option: str, origin: Origin, known: set[str]) -> None:
    for name in sorted(origin.on_command_line - known):
        typed = _SPELLINGS.get(name, "--" + name.replace("_", "-"))
        raise UsageError(f"{typed} has no effect with {option}", hint="leave it out")
