"""`xent compare`: saved results of several models on the same samples."""

from __future__ import annotations

from typing import Any

import click

from xent_cli.cli.commands.options import grouped, origin, timeout_option

_FORMATS = ("table", "tsv", "csv", "json", "md")


@click.command()
@click.argument("baseline", metavar="[LABEL=]BASELINE")
@click.argument("candidates", metavar="[LABEL=]CANDIDATE...", nargs=-1, required=True)
@click.option("--id-column", metavar="NAME", help="Joins rows; default: the one between sample and label, if any.")
@click.option(
    "--test",
    type=click.Choice(["t", "bootstrap", "permutation"]),
    default="t",
    show_default=True,
    help="Student's paired t; bootstrap: BCa; permutation: p by random signs.",
)
@click.option("--confidence", type=float, default=0.95, show_default=True, metavar="SHARE", help="Of the intervals.")
@click.option(
    "--resamples", type=click.IntRange(1), default=9999, show_default=True, metavar="N", help="What takes time: n x N."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="INT", help="Of resamples.")
@click.option("--by", multiple=True, metavar="COLUMN", help="The mean for each value of it too; repeatable.")
@click.option("--top", type=click.IntRange(0), metavar="N", help="Samples that moved most; default: 5 in a table.")
@click.option("-f", "--format", "output_format", type=click.Choice(_FORMATS), help="Of standard output.")
@timeout_option
@click.option("--strict", is_flag=True, help="A warning is an error: exit code 3, and no output.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option(
    "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True, help="In tables."
)
def compare(**flags: Any) -> None:
    """Paired comparison of saved losses: what changed from the baseline, and whether it may be chance.

    \b
    xent compute old.npy labels.npy -o old.parquet
    xent compute new.npy labels.npy -o new.parquet
    xent compare old.parquet new.parquet
    xent compare main=old.parquet wide=a.parquet deep=b.parquet --by label
    xent compare old.parquet new.parquet --test bootstrap -f json | jq '.candidates[0].metrics[0].p'
    xent compare old.json new.json                  summary documents: no intervals

    Results are what xent compute writes with -o, rows joined on their id column or by position; or summary
    documents. A delta below 0 is better. A difference is told from chance by the losses of each sample in both: "~"
    where the interval of the mean difference holds 0, "n/a" where the differences do not vary. Means are weighted
    where rows hold weights. Results of other settings or other labels are refused.
    """
    from xent_cli.cli.display.comparison import show_comparison
    from xent_cli.cli.options import OutputFlags, RunFlags
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compare as run

    output = plan_output("compare", grouped(OutputFlags, flags), grouped(RunFlags, flags), Streams.of_process())
    options = grouped(run.CompareOptions, {**flags, "top": output.top, "origin": origin()})
    show_comparison(run.compare(options), output, options.origin)
