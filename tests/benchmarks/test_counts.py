"""A guard on speed that no busy machine can upset: calls and bytes of a small fixed job are counted, nothing is timed.

What cost the most when it crept in was work for each row or tile that nobody saw in a small run: a Python loop, a
temporary of the size of the tile, a check on every element. Such things show in these counts at once, by a factor.
The margins of a quarter are for other versions of Python and NumPy, in which a call more or less is made.
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
from xent_cli.core.options import LossOptions, Outputs

MARGIN = 1.25
SHORT, MIDDLE, LONG = 10, 100, 1000


def block(n, num_classes):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((n, num_classes), dtype=np.float32) * 3
    return Block(0, logits, rng.integers(0, num_classes, n))


def calls_of(function):
    """How many functions, of Python and of C, are called; ufuncs are neither and are counted by their arguments."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    function()  # what is done once a thread
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def peak_of(function):
    """How many bytes are held at the most beyond what was held before."""
    function()  # working memory that is kept
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("num_classes", "measured"), [(SHORT, 85), (MIDDLE, 42), (LONG, 32)])
def test_a_tile_costs_so_many_calls(num_classes, measured):
    step = rows_per_tile(num_classes, loss_only=True)
    one, three = block(step, num_classes), block(3 * step, num_classes)
    calls = [calls_of(lambda b=b: cross_entropy(b.logits, b.labels, LossOptions())) for b in (one, three)]
    assert (calls[1] - calls[0]) / 2 <= measured * MARGIN


@pytest.mark.parametrize("num_classes", [SHORT, MIDDLE, LONG])
def test_no_row_costs_a_call(num_classes):
    few, many = block(100, num_classes), block(400, num_classes)
    # So many more than a few: the folds of a sum, and the rows that are looked at again.
    extra = [calls_of(lambda b=b: evaluate_block(b, LossOptions(), Outputs())) for b in (few, many)]
    assert extra[1] - extra[0] <= 20


@pytest.mark.parametrize(("num_classes", "measured"), [(SHORT, 23), (MIDDLE, 33), (LONG, 34)])
def test_a_row_costs_so_many_bytes_beside_the_tile(num_classes, measured):
    whole = block(2 * rows_per_tile(num_classes, loss_only=True), num_classes)
    peak = peak_of(lambda: cross_entropy(whole.logits, whole.labels, LossOptions()))
    assert peak / len(whole.labels) <= measured * MARGIN


@pytest.mark.parametrize(("num_classes", "measured"), [(SHORT, 35), (LONG, 36)])
def test_totals_hold_so_many_bytes_a_row(num_classes, measured):
    whole = block(2 * rows_per_tile(num_classes, loss_only=True), num_classes)
    peak = peak_of(lambda: evaluate_block(whole, LossOptions(), Outputs(figures=False)))
    assert peak / len(whole.labels) <= measured * MARGIN
