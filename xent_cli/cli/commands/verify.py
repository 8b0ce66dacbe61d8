"""`xent verify`: losses and gradients of a kernel or a framework against the reference."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xent_cli.cli.commands.help import OUTPUT, Command, complete_columns, option
from xent_cli.cli.commands.options import loss_options, optional_input_options
from xent_cli.cli.commands.run_options import lines_format_option, run_options

if TYPE_CHECKING:
    from xent_cli.reports.agreement.cases import CasesDocument
    from xent_cli.reports.agreement.json import AgreementDocument

_DTYPES = click.Choice(["float16", "bfloat16", "float32", "float64"])
_EXAMPLES = (
    "xent verify logits.npy labels.npy --loss kernel_loss.npy",
    "xent verify logits.npy labels.npy --loss loss.npy --gradient grad.npy",
    "xent verify logits.npy labels.npy --loss mean.npy --reduction mean",
    "xent verify logits.npy labels.npy --gradient grad.npy --gradient-dtype bfloat16 --max-ulp 2",
    "xent verify logits.npy labels.npy --loss loss.npy -f json | jq .verdict",
    "xent verify --write-cases cases    # then run your kernel on each, see cases/README.md",
    "xent verify --cases cases",
)

_candidate = partial(option, section="Candidate")
_output = partial(option, section=OUTPUT)


@click.command(
    cls=Command,
    short_help="Verify the losses or gradients of a kernel.",
    most_used=("loss", "gradient", "reduction", "rtol", "atol"),
    examples=_EXAMPLES,
)
@optional_input_options
@loss_options
@_candidate(
    "--loss",
    metavar="FILE",
    help="File of the losses to verify: one per sample, or with --reduction mean or sum, a single number.",
)
@_candidate(
    "--gradient",
    metavar="FILE",
    help="File of the gradient to verify: of the mean loss, or with --reduction sum or none, of the summed loss.",
)
@_candidate(
    "--reduction",
    type=click.Choice(["none", "mean", "sum"]),
    help="How the losses were reduced, which also says what loss the gradient is of.",
)
@_candidate(
    "--loss-column",
    metavar="NAME",
    shell_complete=complete_columns,
    help="Column of the losses in a table, or their array in an archive; default: loss, or the only one.",
)
@_candidate(
    "--gradient-column",
    metavar="NAME",
    shell_complete=complete_columns,
    help="Column of the gradient in a table, or its array in an archive; default: gradient, or the only one.",
)
@_candidate(
    "--loss-dtype",
    type=_DTYPES,
    metavar="DTYPE",
    help="Type in which the losses were computed, if the file stores a wider type, text or |V2.",
)
@_candidate(
    "--gradient-dtype",
    type=_DTYPES,
    metavar="DTYPE",
    help="Type in which the gradient was computed, if the file stores a wider type, text or |V2.",
)
@_candidate(
    "--rtol",
    type=click.FloatRange(0),
    metavar="R",
    help="Relative part of the tolerance A + R * |expected|; default: by dtype, as in torch.testing.assert_close.",
)
@_candidate(
    "--atol",
    type=click.FloatRange(0),
    metavar="A",
    help="Absolute part of the tolerance A + R * |expected|; default: by dtype, as in torch.testing.assert_close.",
)
@_candidate(
    "--max-ulp",
    type=click.IntRange(0),
    metavar="N",
    help="Tolerance in units in the last place, instead of --rtol and --atol.",
)
@_candidate(
    "--write-cases",
    type=click.Path(readable=False),
    metavar="DIR",
    help="Write difficult inputs for a kernel, with the correct results and instructions; nothing is verified.",
)
@_candidate(
    "--cases",
    type=click.Path(readable=False),
    metavar="DIR",
    help="Verify a kernel's outputs in a folder from --write-cases, for each case that has any: the losses of the "
    "samples and the gradient of their sum, unless --reduction says otherwise.",
)
@_candidate("--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict.")
@_output("--top", type=click.IntRange(0), default=5, show_default=True, metavar="N", help="List the N worst rows.")
@lines_format_option
@run_options
def verify(**flags: Any) -> None:
    """Compare a kernel's losses or gradients with a reference: exit with 1 if any is outside the tolerance.

    The reference is computed in float64. A value that equals the reference rounded to the kernel's dtype always passes;
    NaN equals NaN, and inf equals inf of the same sign. The loss of an ignored sample must be 0 or NaN, and its
    gradient 0. For the gradient of a mean, the default --atol is divided by what the mean divides by.
    """
    if flags["logits"] is None and not (flags["write_cases"] or flags["cases"]):
        context = click.get_current_context()
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    from xent_cli.cli.display.agreement import show_agreement
    from xent_cli.cli.options import OutputFlags, grouped, shared_options
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import verify as run

    options = run.VerifyOptions(shared_options(flags), grouped(run.CandidateFlags, flags), flags["top"])
    output = plan_output("verify", grouped(OutputFlags, flags), options.shared.run, Streams.of_process())
    if options.candidates.write_cases is None and options.candidates.cases is None:
        document: AgreementDocument | CasesDocument = run.verify(options)
    else:
        from xent_cli.cli.runs.verify_cases import verify_cases, write_cases

        if options.candidates.write_cases is not None:
            return click.echo("\n".join(write_cases(options)))
        document = verify_cases(options)
    show_agreement(document, output, options.shared.origin)
    if not (document.passed or flags["exit_zero"]):
        raise click.exceptions.Exit(1)
    return None
