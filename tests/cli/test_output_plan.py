"""Which output goes to which stream, for every form, with and without terminals."""

import pytest

from xent_cli.cli.options import OutputFlags, RunFlags
from xent_cli.cli.output_plan import Form, Streams, plan_output

PIPED, OUT, ERR, BOTH = (Streams(out, err) for out, err in ((False, False), (True, False), (False, True), (True, True)))


@pytest.mark.parametrize(
    ("flags", "streams", "rows", "summary", "stderr_summary"),
    [
        ({}, PIPED, Form.TSV, None, Form.LINES),
        ({}, ERR, Form.TSV, None, Form.TABLE),
        ({}, OUT, Form.TABLE, Form.TABLE, None),
        ({"output_format": "table"}, PIPED, Form.TABLE, Form.TABLE, None),
        ({"output_format": "csv"}, BOTH, Form.CSV, None, Form.TABLE),
        ({"output": "o.tsv"}, PIPED, None, Form.LINES, None),
        ({"output": "o.tsv"}, ERR, None, Form.LINES, None),
        ({"output": "o.tsv"}, OUT, None, Form.TABLE, None),
        ({"output": "o.tsv", "output_format": "table"}, PIPED, None, Form.TABLE, None),
        ({"output_format": "json"}, BOTH, None, Form.JSON, None),
        ({"reduction": "mean"}, BOTH, None, Form.MEAN, None),
        ({"reduction": "none"}, PIPED, Form.TSV, None, None),
        ({"reduction": "none"}, OUT, Form.TABLE, None, None),
    ],
)
def test_rows_and_summary_of_compute_have_their_streams(flags, streams, rows, summary, stderr_summary):
    plan = plan_output("compute", OutputFlags(**flags), RunFlags(), streams)
    assert (plan.rows, plan.summary, plan.stderr_summary) == (rows, summary, stderr_summary)


@pytest.mark.parametrize(
    ("command", "streams", "summary", "stderr_summary"),
    [
        ("check", PIPED, Form.TSV, Form.LINES),
        ("check", OUT, Form.TABLE, None),
        ("check", ERR, Form.TSV, Form.TABLE),
        ("compare", PIPED, Form.TSV, None),
        ("verify", PIPED, Form.LINES, None),
        ("inspect", PIPED, Form.LINES, None),
        ("inspect", OUT, Form.TABLE, None),
    ],
)
def test_a_command_without_rows_shows_a_table_on_a_terminal_only(command, streams, summary, stderr_summary):
    plan = plan_output(command, OutputFlags(), RunFlags(), streams)
    assert (plan.rows, plan.summary, plan.stderr_summary) == (None, summary, stderr_summary)
