"""`xent verify`: somebody else's losses and gradients against the reference."""

from __future__ import annotations

from typing import Any

import click

from xent_cli.cli.commands.options import grouped, input_options, loss_options, run_options, shared_options

_DTYPES = click.Choice(["float16", "bfloat16", "float32", "float64"])


@click.command()
@input_options
@loss_options
@click.option("--loss", metavar="FILE", help="Losses of every sample, or one number with --reduction mean or sum.")
@click.option("--gradient", metavar="FILE", help="d(mean loss)/d(logits); of the sum with --reduction sum or none.")
@click.option("--reduction", type=click.Choice(["none", "mean", "sum"]), help="What the candidate was reduced by.")
@click.option("--loss-column", metavar="NAME", help="In a table or an archive; default: loss, or the only one.")
@click.option("--gradient-column", metavar="NAME", help="The same for --gradient; default: gradient.")
@click.option(
    "--loss-dtype", type=_DTYPES, help="What it was computed in, where the file holds it wider, as text, |V2."
)
@click.option("--gradient-dtype", type=_DTYPES, help="The same for --gradient.")
@click.option(
    "--rtol", type=click.FloatRange(0), help="|found - expected| <= atol + rtol |expected|; default by dtype."
)
@click.option("--atol", type=click.FloatRange(0), help="Default by dtype, both as in torch.testing.assert_close.")
@click.option("--max-ulp", type=click.IntRange(0), metavar="N", help="Units in the last place, in place of both.")
@click.option("--top", type=click.IntRange(0), default=5, show_default=True, metavar="N", help="List the N worst rows.")
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "lines", "json"]),
    help="Default: table on a terminal, else lines.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdict.")
@run_options
def verify(**flags: Any) -> None:
    """Hold a kernel's losses or gradients against the reference; exit 1 outside the tolerance.

    \b
    xent verify logits.npy labels.npy --loss kernel_loss.npy
    xent verify logits.npy labels.npy --loss loss.npy --gradient grad.npy
    xent verify logits.npy labels.npy --loss mean.npy --reduction mean
    xent verify logits.npy labels.npy --gradient grad.npy --gradient-dtype bfloat16 --max-ulp 2
    xent verify logits.npy labels.npy --loss loss.npy -f json | jq .verdict

    The reference is computed in float64. What equals it rounded to the candidate's dtype is always right; NaN equals
    NaN, inf equals inf of its sign. An ignored sample's loss must be 0 or NaN, its gradient 0. The default --atol for
    the gradient of a mean is divided by what the mean is.
    """
    from xent_cli.cli.display.agreement import show_agreement
    from xent_cli.cli.options import OutputFlags
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import verify as run

    options = run.VerifyOptions(shared_options(flags), grouped(run.CandidateFlags, flags), flags["top"])
    output = plan_output("verify", grouped(OutputFlags, flags), options.shared.run, Streams.of_process())
    document = run.verify(options)
    show_agreement(document, output, options.shared.origin)
    if not (document.passed or flags["exit_zero"]):
        raise click.exceptions.Exit(1)


# Ranks are no matter of the loss or its gradient.
verify.params = [option for option in verify.params if option.name != "top_k"]
