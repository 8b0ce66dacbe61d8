"""A guard on speed that no busy machine can upset: calls and bytes of a small job are counted, and nothing is timed.

The slowdowns that cost the most were work for each row or tile that was invisible in a small run: a Python loop, a
temporary array of the size of the tile, a check of every element. These counts show such work at once, because they
grow by a factor. The margins of a quarter allow for other versions of Python and NumPy, which make a few calls more or
less.
"""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.tiles import rows_per_tile
from xent_cli.core.kernel.variants import kernel_for
from xent_cli.core.options import LossOptions, Outputs

MARGIN = 1.25
SHORT, MIDDLE, LONG = 10, 100, 1000
# Options for NumPy, and for the kernel that computes on this machine.
OPTIONS = [LossOptions(kernel=name) for name in dict.fromkeys(("numpy", kernel_for("float64")))]


def block(n, num_classes):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, num_classes), dtype=np.float32) * 3
    return Block(0, logits, rng.integers(0, num_classes, n))


def calls_of(function):
    """Count the calls of functions of Python and C. Ufuncs are not among them, and are counted by their arguments."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    function()  # once for what is done once per thread
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def peak_of(function):
    """Return the peak number of bytes in memory beyond those before the call."""
    function()  # working memory that is kept
    tracemalloc.start()
    try:
        return min(_peak_bytes(function) for _ in range(3))  # other memory of the process is measured too
    finally:
        tracemalloc.stop()


def _peak_bytes(function):
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    function()
    return tracemalloc.get_traced_memory()[1] - before


def kernel_of(rows, options):
    return lambda: cross_entropy(rows.logits, rows.labels, options)


@pytest.mark.parametrize(("num_classes", "measured"), [(SHORT, 80), (MIDDLE, 69), (LONG, 55)])
def test_a_tile_costs_a_fixed_number_of_calls(num_classes, measured):
    step = rows_per_tile(num_classes)
    one, three = block(step, num_classes), block(3 * step, num_classes)
    calls = [calls_of(lambda b=b: cross_entropy(b.logits, b.labels, LossOptions())) for b in (one, three)]
    assert (calls[1] - calls[0]) / 2 <= measured * MARGIN


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("num_classes", [SHORT, MIDDLE, LONG])
def test_rows_add_no_calls(num_classes, options):
    few, many = block(100, num_classes), block(250, num_classes)
    # Calls that grow with the number of rows: the folds of a sum, and the rows that are computed again.
    extra = [calls_of(lambda b=b: evaluate_block(b, options, Outputs())) for b in (few, many)]
    assert extra[1] - extra[0] <= 20


@pytest.mark.parametrize("num_classes", [SHORT, MIDDLE, LONG])
def test_numpy_works_in_memory_of_six_tiles_however_many_there_are(num_classes):
    step = rows_per_tile(num_classes)
    tile = 8 * step * num_classes
    one, four = (peak_of(kernel_of(block(many * step, num_classes), LossOptions())) for many in (1, 4))
    assert one <= 6 * tile * MARGIN
    assert four <= one + 0.1 * tile + 3 * 8 * 4 * step


@pytest.mark.skipif("c" not in [options.kernel for options in OPTIONS], reason="NumPy computes on this machine")
@pytest.mark.parametrize("num_classes", [SHORT, LONG])
def test_the_compiled_kernel_keeps_three_numbers_per_row(num_classes):
    n = 2 * rows_per_tile(num_classes)
    assert peak_of(kernel_of(block(n, num_classes), LossOptions(kernel="c"))) <= 24 * n * MARGIN + 4096


@pytest.mark.skipif("c" not in [options.kernel for options in OPTIONS], reason="NumPy computes on this machine")
@pytest.mark.parametrize(("num_classes", "measured"), [(SHORT, 35), (LONG, 36)])
def test_totals_take_a_fixed_number_of_bytes_per_row(num_classes, measured):
    whole = block(2 * rows_per_tile(num_classes), num_classes)
    peak = peak_of(lambda: evaluate_block(whole, LossOptions(kernel="c"), Outputs(figures=False)))
    assert peak / len(whole.labels) <= measured * MARGIN
