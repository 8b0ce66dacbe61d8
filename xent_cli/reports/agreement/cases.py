"""The verdict on a kernel's results for difficult cases: as JSON, as lines, and as a table for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xent_cli.core.diagnostics import notes_of, warnings_of
from xent_cli.core.number_text import rounded
from xent_cli.reports.agreement.json import SCHEMA_VERSION, agreement_entry, verdict_word
from xent_cli.reports.agreement.text import agreement_lines

if TYPE_CHECKING:
    from rich.console import Console

    from xent_cli.core.diagnostics import Diagnostic
    from xent_cli.core.verify.error_totals import Agreement
    from xent_cli.reports.agreement.json import AgreementDocument

# A table shows the worst values of at most this many cases that fail.
_DETAILED = 3


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """The verdict on one case: its name, what is difficult about it, and what was found."""

    name: str
    about: str
    found: AgreementDocument


@dataclass(frozen=True, slots=True)
class CasesDocument:
    """The result of `xent verify --cases`.

    Fields
    ------
    cases
        The verdict on each case that has outputs, in the order of the manifest.
    not_run
        Names of the cases without outputs.
    """

    version: str
    cases: tuple[CaseVerdict, ...]
    not_run: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every case that has outputs is within the tolerance."""
        return all(case.found.passed for case in self.cases)


def as_json(document: CasesDocument) -> dict[str, Any]:
    """Return `document` as JSON types, as `verify.schema.json` has it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "xent_version": document.version,
        "verdict": verdict_word(document.passed),
        "cases": [
            {
                "case": case.name,
                "about": case.about,
                "signature": case.found.signature,
                "verdict": verdict_word(case.found.passed),
                "n_samples": case.found.n_samples,
                "n_ignored": case.found.n_ignored,
                **{agreement.name: agreement_entry(agreement) for agreement in case.found.agreements},
            }
            for case in document.cases
        ],
        "not_run": list(document.not_run),
        "warnings": [diagnostic.entry() for diagnostic in warnings_of(document.diagnostics)],
        "notes": [diagnostic.entry() for diagnostic in notes_of(document.diagnostics)],
    }


def plain_cases(doc: CasesDocument) -> str:
    """Return the verdict, one line per case, and then the figures of the cases that fail."""
    lines = [f"verdict\t{verdict_word(doc.passed)}"]
    lines += [f"{case.name}\t{verdict_word(case.found.passed)}" for case in doc.cases]
    lines += [f"{name}\tnot run" for name in doc.not_run]
    for case in doc.cases:
        for agreement in case.found.agreements:
            if not agreement.errors.passed:
                lines += [f"{case.name}.{agreement.name}.{line}" for line in agreement_lines(agreement)]
    return "\n".join(lines) + "\n"


def print_cases(console: Console, doc: CasesDocument) -> None:
    """Print one row per case, then what is difficult about those that fail, and their worst values."""
    from xent_cli.reports.agreement.table import print_agreements
    from xent_cli.reports.tables import print_table

    failed = [case for case in doc.cases if not case.found.passed]
    sentence = f"FAIL: {len(failed)} of {len(doc.cases)} cases" if failed else f"PASS: {len(doc.cases)} cases"
    sentence += f", {len(doc.not_run)} not run" if doc.not_run else ""
    console.print(sentence, style="bold red" if failed else "bold green", markup=False)
    heads = ["case", "verdict", "loss: max abs", "values off", "gradient: max abs", "values off"]
    rows, styles = [], []
    for case in doc.cases:
        by_name = {agreement.name: agreement for agreement in case.found.agreements}
        cells = [text for name in ("loss", "gradient") for text in _cells(by_name.get(name))]
        rows.append([case.name, "PASS" if case.found.passed else "FAIL", *cells])
        styles.append(None if case.found.passed else "bold")
    rows += [[name, "not run"] for name in doc.not_run]
    print_table(console, heads, rows, expendable=("values off", "values off"), styles=styles)
    for case in failed[:_DETAILED]:
        console.print(f"{case.name}: {case.about}", markup=False)
        print_agreements(console, tuple(a for a in case.found.agreements if not a.errors.passed))
    if len(failed) > _DETAILED:
        console.print(f"{len(failed) - _DETAILED} more fail; -f json has the figures of all")


def _cells(agreement: Agreement | None) -> tuple[str, str]:
    if agreement is None:
        return "", ""
    errors = agreement.errors
    off = errors.n_mismatched + errors.n_ignored_mismatched
    return "" if errors.max_abs is None else rounded(errors.max_abs.value), str(off)
