"""Losses of logits that are read some classes at a time: the same bits as for whole rows, for any values."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.running_kernel import COMPILED
from xent_cli.core.array_types import AnyArray
from xent_cli.core.kernel.compiled import compiled_cross_entropy
from xent_cli.core.kernel.streamed_logits import StreamedLogits
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.options import LossOptions

pytestmark = pytest.mark.skipif(not COMPILED, reason="no compiled kernel")
SPECIAL = [0.0, -0.0, 1e-9, 3e-38, 700.0, 1e4, -1e4, np.inf, -np.inf, np.nan]


class Held(NamedTuple):
    """Logits [n, k] in memory, stored as [k, n] with other values, `beyond`, between the classes."""

    logits: AnyArray
    gap: int
    strips: int
    beyond: float = 77

    def pieces(self, multiple, width):
        n, k = self.logits.shape
        by_class = np.full((k, width + self.gap), self.beyond, self.logits.dtype)
        by_class[:, :n] = self.logits.T
        for first in range(0, k, self.strips * multiple):
            yield first, by_class[first : first + self.strips * multiple, :width]

    def rows(self, start, stop):
        return self.logits[start:stop].copy()


def row_kinds(rng, n, k):
    """Return rows of noise, with flat, confident, nearly flat and special ones among them."""
    rows = rng.normal(0, 3, (n, k))
    kinds = rng.integers(0, 8, n)
    rows[kinds == 1] *= 1e-3
    rows[kinds == 2] = rng.integers(-3, 3, (np.count_nonzero(kinds == 2), k))  # ties
    for i in np.flatnonzero(kinds >= 3):
        at = rng.integers(0, k, 3)
        if kinds[i] == 3:
            rows[i, at[0]] = rng.choice([20.0, 60.0, 200.0, 800.0])
        elif kinds[i] == 4:
            rows[i], rows[i, at[0]] = 0.0, 25.0
            rows[i, at[1]] = 1e-9
        elif kinds[i] == 5:
            rows[i, at] = rng.choice(SPECIAL, 3)
        elif kinds[i] == 6:
            rows[i] = rng.choice(SPECIAL)
    return rows


@settings(deadline=None)
@given(
    n=st.integers(1, 70),
    k=st.sampled_from([129, 143, 144, 256, 257, 300, 391, 640]),
    dtype=st.sampled_from(["f2", "f4", "f8"]),
    gap=st.integers(0, 3),
    strips=st.integers(1, 3),
    temperature=st.sampled_from([1.0, 1.0, 0.3, 2.0]),
    weighted=st.booleans(),
    beyond=st.sampled_from([77, 0, np.nan, np.inf, -np.inf]),
    kernel=st.sampled_from(COMPILED or ["numpy"]),
    seed=st.integers(0, 2**32 - 1),
)
@example(
    n=18, k=300, dtype="f4", gap=0, strips=1, temperature=1.0, weighted=True, beyond=np.nan,
    kernel=(COMPILED or ["numpy"])[0], seed=0,
)  # fmt: skip
@example(
    n=32, k=300, dtype="f4", gap=0, strips=1, temperature=1.0, weighted=False, beyond=77,
    kernel=(COMPILED or ["numpy"])[0], seed=0,
)  # fmt: skip
def test_the_bits_are_those_of_whole_rows(n, k, dtype, gap, strips, temperature, weighted, beyond, kernel, seed):
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        rows = row_kinds(rng, n, k).astype(dtype)
    labels = np.where(rng.random(n) < 0.5, rng.integers(0, k, n), np.nan_to_num(rows).argmax(axis=1))
    weight = rng.uniform(0, 2, k) * (rng.random(k) < 0.8) if weighted else None
    options = LossOptions(kernel=kernel, temperature=temperature, class_weight=weight)
    expected = compiled_cross_entropy(rows, labels, options)
    logits = StreamedLogits(Held(rows, gap, strips, beyond), rows.shape, rows.dtype)
    found = logits.losses(labels, options, ranks=True)
    assert found.computed.loss.tobytes() == expected.loss.tobytes()
    assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(found.computed.sums, expected.sums, strict=True))
    assert found.ranks.tolist() == label_ranks(rows, labels).tolist()
    assert found.peaks.tolist() == rows.argmax(axis=1).tolist()


@pytest.mark.parametrize("n", [16, 17, 20, 21, 31, 50])
def test_rows_beyond_a_multiple_of_sixteen_have_the_bits_of_whole_rows(n):
    rng = np.random.default_rng(n)
    rows = np.concatenate([row_kinds(rng, 300, 391) for _ in range(2)]).astype(np.float32)
    labels = rng.integers(0, 391, len(rows))
    expected = compiled_cross_entropy(rows, labels, LossOptions(kernel=COMPILED[0]))
    for start in range(0, len(rows) - n, n):
        part = slice(start, start + n)
        logits = StreamedLogits(Held(rows[part], 0, 2, np.nan), rows[part].shape, rows.dtype)
        found = logits.losses(labels[part], LossOptions(kernel=COMPILED[0]), ranks=True)
        assert found.computed.loss.tobytes() == expected.loss[part].tobytes()
        assert found.ranks.tolist() == label_ranks(rows[part], labels[part]).tolist()
        assert found.peaks.tolist() == rows[part].argmax(axis=1).tolist()


def test_rows_are_read_where_they_are_asked_for():
    rows = np.random.default_rng(0).normal(size=(40, 200))
    logits = StreamedLogits(Held(rows, 0, 1), rows.shape, rows.dtype)
    assert len(logits) == 40
    assert np.array_equal(logits[3:7], rows[3:7])
    assert np.array_equal(logits[np.array([30, 2, 2])], rows[[30, 2, 2]])
    assert np.array_equal(logits.take(np.empty(0, np.int64)), rows[:0])
    assert np.array_equal(np.asarray(logits), rows)
    assert np.array_equal(logits.copy(), rows)
