"""`xent compare`: saved results of several models on the same samples."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from xent_cli.cli.commands.help import GENERAL, OUTPUT, Command, complete_columns, complete_files, option
from xent_cli.cli.commands.run_options import color_option, strict_option, timeout_option

_FORMATS = ("table", "tsv", "csv", "json", "md")
_EXAMPLES = (
    "xent compute old.npy labels.npy -o old.parquet",
    "xent compute new.npy labels.npy -o new.parquet",
    "xent compare old.parquet new.parquet",
    "xent compare main=old.parquet wide=a.parquet deep=b.parquet --by label",
    "xent compare old.parquet new.parquet --test bootstrap -f json | jq '.candidates[0].metrics[0].p'",
    "xent compare old.json new.json",
)

_comparison = partial(option, section="Comparison")
_output = partial(option, section=OUTPUT)


@click.command(
    cls=Command,
    short_help="Compare saved losses of several models.",
    most_used=("by", "top", "test", "id_column", "output_format"),
    examples=_EXAMPLES,
)
@click.argument("baseline", metavar="[LABEL=]BASELINE")
@click.argument("candidates", metavar="[LABEL=]CANDIDATE...", nargs=-1, required=True)
@_comparison(
    "--id-column",
    metavar="NAME",
    shell_complete=complete_columns,
    help="Column of sample ids to match rows by; default: the column between sample and label, if any.",
)
@_comparison(
    "--test",
    type=click.Choice(["t", "bootstrap", "permutation"]),
    default="t",
    show_default=True,
    help="Test of the mean difference: Student's paired t, the BCa bootstrap, or random flips of signs.",
)
@_comparison(
    "--confidence",
    type=float,
    default=0.95,
    show_default=True,
    metavar="SHARE",
    help="Confidence level of the intervals, between 0 and 1.",
)
@_comparison(
    "--resamples",
    type=click.IntRange(1),
    default=9999,
    show_default=True,
    metavar="N",
    help="Number of resamples that a bootstrap or permutation test draws.",
)
@_comparison(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="INT", help="Seed of the resamples."
)
@_comparison(
    "--by",
    multiple=True,
    metavar="COLUMN",
    shell_complete=complete_columns,
    help="Column of the rows; the means are compared for each of its values too; repeatable.",
)
@_comparison(
    "--cluster",
    metavar="COLUMN|axis:N|every:N|none",
    shell_complete=complete_columns,
    help="How samples are grouped into clusters: the tests assume that clusters are independent, not samples; default: "
    "the column cluster, or the first of several axes of an array, else none.",
)
@_output(
    "--top",
    type=click.IntRange(0),
    metavar="N",
    help="List the N samples whose loss changed most; default: 5 in a table, else 0.",
)
@_output(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    help="Format of standard output; default: table on a terminal, else tsv.",
)
@_output(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    shell_complete=complete_files,
    help="File for the comparison: .json .md .html .xml (JUnit, where a figure that is worse beyond chance fails), or "
    "md:FILE if the suffix does not say; repeatable.",
)
@timeout_option
@strict_option
@option("-q", "--quiet", section=GENERAL, is_flag=True, help="Print only the output and errors.")
@color_option
def compare(**flags: Any) -> None:
    """Paired comparison of saved losses: what changed from the baseline, and whether chance could explain it.

    BASELINE and CANDIDATE are what xent compute writes with -o, whose rows are matched by id or by position; summary
    documents, which allow no intervals; or samples of lm-evaluation-harness, matched by document ('samples_*.jsonl' in
    quotes is one operand). A loss is better where its delta is below 0. A difference is marked "~" if the interval of
    the mean difference contains 0, so that chance could explain it, and "n/a" if the differences do not vary. Means are
    weighted if the rows hold weights. Results with different settings or labels are refused.
    """
    from xent_cli.cli.display.comparison import show_comparison
    from xent_cli.cli.options import OutputFlags, RunFlags, grouped, origin
    from xent_cli.cli.output_plan import Streams, plan_output
    from xent_cli.cli.runs import compare as run
    from xent_cli.cli.runs.outputs.run_reports import reported

    output = plan_output("compare", grouped(OutputFlags, flags), grouped(RunFlags, flags), Streams.of_process())
    options = grouped(run.CompareOptions, {**flags, "top": output.top, "origin": origin()})
    results = (options.baseline, *options.candidates)
    comparison = reported(partial(run.compare, options), results, output, options.origin)
    show_comparison(comparison, output, options.origin)
