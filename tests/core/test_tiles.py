"""No digit depends on the memory layout of a tile."""

from __future__ import annotations

import numpy as np
import pytest

from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.top_k import label_ranks
from xent_cli.core.options import LossOptions

EITHER_SIDE_OF_A_CHANGE = (1, 2, 33, 255, 256)


def _rows(num_classes: int) -> np.ndarray:
    rng = np.random.default_rng(num_classes)
    z = (rng.standard_normal((97, num_classes)) * 4).round(1).astype(np.float32)  # with ties at the maximum
    z[3] = 0.0
    z[5, 0] = 60.0
    z[7, -1] = -np.inf
    z[11, 0] = np.nan
    z[13] = -np.inf
    z[17, 0] = np.inf
    return z


@pytest.mark.parametrize("num_classes", EITHER_SIDE_OF_A_CHANGE)
@pytest.mark.parametrize("gradient", [None, "float64"])
def test_order_of_memory_and_of_bytes_show_in_no_digit(num_classes: int, gradient: str | None) -> None:
    z = _rows(num_classes)
    labels = np.arange(97) % num_classes
    plain = cross_entropy(z, labels, LossOptions(), gradient_dtype=gradient)
    wide = np.full((97, num_classes * 2), 7, np.float32)
    wide[:, ::2] = z
    others = (np.asfortranarray(z), z.astype(">f4"), z.astype(np.float64), wide[:, ::2])
    for other in others:
        same = cross_entropy(other, labels, LossOptions(), gradient_dtype=gradient)
        np.testing.assert_array_equal(same.loss, plain.loss)
        if gradient is not None:
            np.testing.assert_array_equal(same.gradient, plain.gradient)


@pytest.mark.parametrize("num_classes", EITHER_SIDE_OF_A_CHANGE)
def test_rows_alone_have_the_digits_they_have_together(num_classes: int) -> None:
    z = _rows(num_classes)
    labels = np.arange(97) % num_classes
    together = cross_entropy(z, labels, LossOptions()).loss
    alone = [cross_entropy(z[i : i + 1], labels[i : i + 1], LossOptions()).loss[0] for i in range(97)]
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("num_classes", EITHER_SIDE_OF_A_CHANGE)
def test_a_gradient_asked_for_changes_no_loss(num_classes: int) -> None:
    z = _rows(num_classes)
    labels = np.arange(97) % num_classes
    with_gradient = cross_entropy(z, labels, LossOptions(), gradient_dtype=np.float32)
    np.testing.assert_array_equal(with_gradient.loss, cross_entropy(z, labels, LossOptions()).loss)


@pytest.mark.parametrize("num_classes", EITHER_SIDE_OF_A_CHANGE)
def test_the_last_of_all_equal_classes_has_every_other_ahead_of_it(num_classes: int) -> None:
    assert label_ranks(np.zeros((2, num_classes)), np.array([num_classes - 1, 0])).tolist() == [num_classes - 1, 0]
