import io

import pytest
from rich.console import Console

from tests.writers.rows import HOSTILE, NAMES, block, cut
from xent_cli.cli.display.row_table import TableWriter
from xent_cli.core.kernel.textbook_formula import FormulaTotals, NaiveTotals
from xent_cli.core.row_columns import RowFormat
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.summary import WorstSample
from xent_cli.reports.summary.table import print_overflow, print_summary, print_worst
from xent_cli.reports.summary.text import plain_summary, plain_worst


def console(width=200):
    return Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)


def shown(rows_blocks, columns):
    where = console()
    writer = TableWriter(where, columns)
    for rows in rows_blocks:
        writer.write(rows)
    writer.finish()
    return where.file.getvalue()


def samples(text):
    first = [line.split()[0] for line in text.splitlines() if line.split() and "not shown" not in line]
    return [int(word) for word in first if word.isdigit()]


@pytest.mark.parametrize("sizes", [[1000], [3, 0, 990, 7], [1] * 1000])
def test_the_first_and_the_last_rows_are_shown_whatever_the_blocks(sizes):
    text = shown(cut(block(1000, ids=False), sizes), RowFormat())
    assert samples(text)[:2] == [0, 1]
    assert samples(text)[-1] == 1000 - 1
    assert "more rows" in text or "not shown" in text


@pytest.mark.parametrize("n", range(13))
def test_a_short_table_has_every_row_once(n):
    got = samples(shown([block(n, ids=False)], RowFormat()))
    assert got == sorted(set(got))
    assert n > 10 or got == list(range(n))


def test_nothing_from_a_file_reaches_the_terminal_raw():
    text = shown([block(len(HOSTILE))], RowFormat(id_name="i\x1bd", class_names=NAMES))
    assert not set(text) & set(map(chr, [*range(10), *range(11, 32), 127]))
    assert "[bold]x[/]" in text


def test_an_ignored_sample_is_shown_as_ignored():
    assert "ignored" in shown([block(8, ids=False, ignored=True)], RowFormat())


def test_the_worst_samples_have_rank_name_and_loss():
    where = console()
    worst = (WorstSample(3e-17, 7, 1, "a\x1b[0m"), WorstSample(1.0, 2, 0, None))
    print_worst(where, worst, RowFormat(id_name="id", class_names=NAMES))
    text = where.file.getvalue()
    assert "3e-17" in text
    assert "d,og" in text
    assert "\x1b" not in text


def test_a_long_id_leaves_the_numbers_whole():
    where = console(60)
    writer = TableWriter(where, RowFormat(id_name="id"))
    rows = block(3)
    rows.ids[:] = "x" * 100
    rows.loss[:] = 0.123456
    writer.write(rows)
    writer.finish()
    assert "0.123456" in where.file.getvalue()


def test_the_summary_and_the_overflow_report_are_tables():
    where = console()
    print_summary(where, LossTotals("").summarize().as_dict())
    print_overflow(
        where, (FormulaTotals("float16", NaiveTotals(n_ok=3, n_overflow=1, first_row=2), NaiveTotals(n_ok=4)),)
    )
    text = where.file.getvalue()
    assert "mean_loss" in text
    assert "float16" in text
    assert "stable" in text


def test_plain_lines_have_one_tab_and_every_digit():
    lines = plain_summary(
        {"n": 2, "mean_loss": 0.1 + 0.2, "tiny": 1e-7, "worst_sample": None, "exact": True}
    ).splitlines()
    assert lines == ["n\t2", "mean_loss\t0.30000000000000004", "tiny\t1e-7", "worst_sample\t", "exact\ttrue"]


def test_an_id_cannot_break_a_plain_line():
    (line,) = plain_worst((WorstSample(1.0, 3, 0, "a\n\x1bb"),)).splitlines()
    assert "\x1b" not in line
