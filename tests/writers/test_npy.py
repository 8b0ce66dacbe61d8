import io

import numpy as np
import pytest

from xent_cli.core.evaluate import BlockLoss
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.writers.npy import GradientWriter, _narrowed


@pytest.mark.parametrize(("shape", "axis"), [((6, 4), 1), ((4, 6), 0), ((2, 4, 3), 1), ((4, 2, 3), 0), ((2, 3, 4), 2)])
@pytest.mark.parametrize("step", [1, 2, 6])
def test_a_gradient_is_placed_where_its_logits_are(shape, axis, step, tmp_path):
    expected = np.arange(24.0).reshape(shape)
    rows = np.moveaxis(expected, axis, -1).reshape(6, 4)
    with (tmp_path / "g.npy").open("w+b") as stream:
        writer = GradientWriter(stream, shape, axis, np.dtype(np.float64))
        for i in range(0, 6, step):
            writer.write(BlockLoss(i, step, RunTotals(LossTotals("")), gradient=rows[i : i + step]))
        writer.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), expected)


def test_the_number_of_rows_may_be_known_only_at_the_end():
    stream = io.BytesIO()
    writer = GradientWriter(stream, (None, 2), 1, np.dtype(np.float32))
    for i in range(3):
        writer.write(BlockLoss(4 * i, 4, RunTotals(LossTotals("")), gradient=np.full((4, 2), i, np.float32)))
    writer.finish()
    stream.seek(0)
    assert np.load(stream)[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_a_bfloat16_gradient_is_rounded_to_nearest_even():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 4000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)[np.isfinite(bits.view(np.float32))][:3000].reshape(1000, 3)
    values[0] = [np.nan, np.inf, -0.0]
    stream = io.BytesIO()
    writer = GradientWriter(stream, (1000, 3), 1, np.dtype("V2"))
    writer.write(BlockLoss(0, 1000, RunTotals(LossTotals("")), gradient=values))
    writer.finish()
    stream.seek(0)
    with np.errstate(all="ignore"):
        expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    found = np.load(stream).view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_every_tie_is_rounded_to_the_even_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    ties = (np.arange(1 << 16, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    ties = ties[np.isfinite(ties)]
    found = _narrowed(ties, np.dtype("V2")).view(np.uint16)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, ties.astype(ml_dtypes.bfloat16).view(np.uint16))
    assert _narrowed(np.array([0x3F818000], np.uint32).view(np.float32), np.dtype("V2")).view(np.uint16) == [0x3F82]
