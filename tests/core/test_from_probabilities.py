import math

import numpy as np
import pytest
from scipy.special import softmax

from tests.running_kernel import running
from xent_cli.core.kernel import from_probabilities
from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.options import LossOptions
from xent_cli.errors import RowError

PROBS, LOG_PROBS = LossOptions(source="probs"), LossOptions(source="log-probs")
pytestmark = pytest.mark.usefixtures("kernel")


def probability_cross_entropy(rows, labels, options, **where):
    return from_probabilities.probability_cross_entropy(rows, labels, running(options), **where)


def test_the_loss_is_minus_the_logarithm_of_what_is_given():
    p = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]])
    assert probability_cross_entropy(p, np.array([1, 1]), PROBS).loss.tolist() == [-math.log(0.2), 0.0]
    assert probability_cross_entropy(np.array([[-1000.0, 0.0]]), np.array([0]), LOG_PROBS).loss.tolist() == [1000.0]


def test_an_impossible_label_is_infinite_and_nothing_is_clipped():
    p = np.array([[0.0, 1.0], [5e-324, 1.0]])
    assert probability_cross_entropy(p, np.array([0, 0]), PROBS).loss.tolist() == [math.inf, -math.log(5e-324)]


@pytest.mark.parametrize("extra", [{}, {"label_smoothing": 0.1}, {"class_weight": np.array([1.0, 0.0, 2.0, 3.0])}])
@pytest.mark.parametrize("dense", [False, True])
def test_every_option_means_what_it_means_for_logits(extra, dense):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 4))
    labels = softmax(rng.normal(size=(40, 4)), axis=1) if dense else rng.integers(0, 4, 40)
    form = "dense" if dense else "sparse"
    expected = cross_entropy(z, labels, LossOptions(labels=form, **extra)).loss
    found = probability_cross_entropy(
        softmax(z, axis=1), labels, LossOptions(source="probs", labels=form, **extra)
    ).loss
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_rows_that_do_not_sum_to_1_are_used_as_given():
    found = probability_cross_entropy(np.array([[0.5, 0.6], [0.5, 0.5]]), np.array([0, 0]), PROBS)
    assert found.loss[0] == -math.log(0.5)


def test_a_negative_probability_is_refused_with_its_row():
    with pytest.raises(RowError, match="negative probability") as caught:
        probability_cross_entropy(np.array([[0.5, 0.5], [1.5, -0.5]]), np.array([0, 0]), PROBS, start=10)
    assert caught.value.row == 11


def test_nan_and_inf_make_the_row_nan():
    p = np.array([[math.nan, 0.5], [math.inf, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(
        probability_cross_entropy(p, np.array([1, 1, 1]), PROBS).loss, [math.nan, math.nan, math.log(2)]
    )
