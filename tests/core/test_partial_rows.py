"""Bounds for partly known rows: the truth lies between them, and they are equal if nothing is missing."""

import itertools
import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.special import log_softmax, rel_entr

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.kernel.partial_rows import Bounds, partial_divergence
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.errors import RowError, UsageError


def cut(log_p, k, sampled=None):
    """Keep the k highest of a row, and perhaps one sampled class more; return the bounds of the rest."""
    order = np.argsort(-log_p, kind="stable")
    kept = [*order[:k], *([] if sampled is None else [sampled])]
    row = np.full(log_p.size, np.nan)
    row[kept] = log_p[kept]
    return row[None], Bounds(log_p[order[k - 1 : k]], np.zeros(1), np.full(1, np.nan))


def exact(n=1):
    return Bounds.of(None, n)


@given(st.integers(2, 12), st.integers(0, 2**32), st.sampled_from([0.05, 0.5, 5.0]), st.booleans())
def test_the_truth_lies_between_the_ends_and_these_narrow_as_more_is_known(size, seed, spread, append):
    rng = np.random.default_rng(seed)
    log_p, log_q = (np.log(np.maximum(rng.dirichlet(np.full(size, spread)), 1e-300)) for _ in range(2))
    p, q = np.exp(log_p), np.exp(log_q)
    kl, entropy = rel_entr(p, q).sum(), -(p * log_q).sum()
    widths = []
    for k in range(1, size + 1):
        sampled = int(rng.integers(size)) if append else None
        found = partial_divergence(log_q[None], exact(), *cut(log_p, k, sampled))
        assert found.kl_low[0] - 1e-13 * abs(kl) - 1e-15 <= kl <= found.kl_high[0] + 1e-13 * abs(kl) + 1e-15
        assert found.loss_low[0] <= entropy * (1 + 1e-13) + 1e-15
        assert entropy <= found.loss_high[0] * (1 + 1e-13) + 1e-15
        if not append:
            widths.append(found.kl_high[0] - found.kl_low[0])
    assert all(after <= before + 1e-9 * (1 + before) for before, after in itertools.pairwise(widths))
    found = partial_divergence(log_q[None], exact(), log_p[None], exact())
    assert (found.kl[0], found.loss[0]) == pytest.approx((kl, entropy), rel=1e-9, abs=1e-14)


def test_the_ends_of_the_cross_entropy_are_those_of_a_linear_program_and_the_divergence_attains_its_own():
    rng = np.random.default_rng(2)
    for _ in range(40):
        size, k = 7, int(rng.integers(1, 6))
        log_p, log_q = np.log(rng.dirichlet(np.ones(size))), np.log(rng.dirichlet(np.ones(size)))
        row, bounds = cut(log_p, k)
        found = partial_divergence(log_q[None], exact(), row, bounds)
        known = ~np.isnan(row[0])
        rest, most = 1 - np.exp(row[0][known]).sum(), math.exp(bounds.cap[0])
        fixed = -(np.exp(log_p[known]) * log_q[known]).sum()
        costs = -log_q[~known]
        ends = [
            linprog(sign * costs, A_eq=np.ones((1, costs.size)), b_eq=[rest], bounds=(0, most)).fun for sign in (1, -1)
        ]
        assert found.loss_low[0] == pytest.approx(fixed + ends[0], rel=1e-9)
        assert found.loss_high[0] == pytest.approx(fixed - ends[1], rel=1e-9)
        # However the rest is shared within the cap, the divergence stays in the interval.
        for _ in range(30):
            shared = rng.dirichlet(np.full(costs.size, 0.3)) * rest
            if (shared <= most).all():
                p = np.exp(log_p)
                p[~known] = shared
                assert found.kl_low[0] - 1e-12 <= rel_entr(p, np.exp(log_q)).sum() <= found.kl_high[0] + 1e-12


@given(st.integers(0, 2**32), st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_the_ends_hold_whatever_was_rounded_away_on_either_side(seed, width, own_width):
    rng = np.random.default_rng(seed)
    log_p, log_q = (np.log(rng.dirichlet(np.ones(8))) for _ in range(2))
    off = [w * rng.uniform(-1, 1, 8) for w in (width, own_width)]
    floor = [np.sort(rounded)[3] for rounded in (log_p + off[0], log_q + off[1])]
    ref, own = (np.where(x + o > f, x + o, np.nan) for x, o, f in zip((log_p, log_q), off, floor, strict=True))
    columns = [
        Bounds(np.array([f + w]), np.array([w]), np.array([f])) for f, w in zip(floor, (width, own_width), strict=True)
    ]
    kl, entropy = rel_entr(np.exp(log_p), np.exp(log_q)).sum(), -(np.exp(log_p) * log_q).sum()
    for model, bounds in ((log_q, exact()), (own, columns[1])):
        found = partial_divergence(model[None], bounds, ref[None], columns[0])
        assert found.kl_low[0] <= kl + 1e-12
        assert kl <= found.kl_high[0] + 1e-12
        assert found.loss_low[0] <= entropy + 1e-12
        assert entropy <= found.loss_high[0] + 1e-12


def test_a_class_unknown_to_the_model_gives_only_a_lower_bound():
    log_p = np.log([[0.5, 0.25, 0.25]])
    own = np.log([[0.5, 0.375, np.nan]])
    found = partial_divergence(own, Bounds(np.log([0.125]), np.zeros(1), np.log([0.125])), log_p, exact())
    assert found.kl_low[0] == pytest.approx(0.25 * math.log(2 / 3) + 0.25 * math.log(2), rel=1e-12)
    assert found.kl_high[0] == math.inf
    assert np.isnan([found.kl[0], found.loss[0]]).all()


@pytest.mark.parametrize(
    ("row", "cap", "what"),
    [
        ([0.5, 0.25, np.nan], 0.1, "an inconsistent row"),
        ([0.9, 0.9, np.nan], 0.9, "not a distribution"),
        ([0.5, 0.25, 0.125], 0.1, "not a distribution"),
    ],
)
def test_what_cannot_be_part_of_a_distribution_is_refused(row, cap, what):
    bounds = Bounds(np.log([cap]), np.zeros(1), np.full(1, np.nan))
    with pytest.raises(RowError, match=what) as caught:
        partial_divergence(np.log([[0.25, 0.25, 0.5]]), exact(), np.log([row]), bounds, start=7)
    assert caught.value.row == 7


def test_a_model_without_a_distribution_is_nan_at_every_end():
    rows = np.array([[np.nan] * 3, [np.inf, 0.0, 0.0]])
    found = partial_divergence(rows, exact(2), log_softmax(np.zeros((2, 3)), axis=1), exact(2))
    assert np.isnan(found).all()


@given(st.integers(0, 2**32), st.integers(2, 9))
def test_rows_together_give_the_bits_of_each_alone(seed, n):
    rng = np.random.default_rng(seed)
    own, ref = (log_softmax(rng.normal(0, rng.choice([0.1, 2.0, 20.0]), (n, 11)), axis=1) for _ in range(2))
    own[rng.random(own.shape) < 0.05] = -np.inf
    cuts = [cut(row, int(rng.integers(1, 12))) for row in ref]
    rows = np.concatenate([row for row, _ in cuts])
    bounds = Bounds(*(np.concatenate(column) for column in zip(*(b for _, b in cuts), strict=True)))
    together = np.stack(partial_divergence(own, exact(n), rows, bounds))
    alone = [np.stack(partial_divergence(own[i : i + 1], exact(), *cuts[i])) for i in range(n)]
    assert together.tobytes() == np.ascontiguousarray(np.concatenate(alone, axis=1)).tobytes()


@pytest.mark.parametrize(
    ("options", "outputs", "said"),
    [
        (LossOptions(label_smoothing=0.1), Outputs(), "label smoothing"),
        (LossOptions(class_weight=np.ones(2)), Outputs(), "a class weight"),
        (LossOptions(), Outputs(gradient_dtype="<f8"), "a gradient"),
        (LossOptions(), Outputs(columns=("entropy",)), "a column of predictions"),
        (LossOptions(), Outputs(divergences=frozenset({"reverse_kl"})), "reverse_kl"),
    ],
)
def test_what_needs_every_class_is_refused_by_one_rule_wherever_rows_are_evaluated(options, outputs, said):
    bounds = np.array([[np.log(0.25), 0.0, np.nan]])
    block = Block(0, np.log([[0.5, np.nan, np.nan]]), np.array([0]), logit_bounds=bounds)
    with pytest.raises(UsageError, match=said):
        evaluate_block(block, replace(options, source="log-probs"), outputs)


def test_the_highest_divergence_is_that_of_the_worst_corner_in_extended_precision():
    """The rest fills some unknown classes up to the cap and goes into one more; all ways to do this are tried."""
    mpmath.mp.dps = 40
    rng = np.random.default_rng(4)
    for _ in range(30):
        size, k = 6, int(rng.integers(1, 5))
        log_p, log_q = np.log(rng.dirichlet(np.ones(size))), np.log(rng.dirichlet(np.ones(size)))
        row, bounds = cut(log_p, k)
        found = partial_divergence(log_q[None], exact(), row, bounds)
        known = np.flatnonzero(~np.isnan(row[0]))
        others = [i for i in range(size) if i not in known]
        p = {i: mpmath.exp(mpmath.mpf(log_p[i])) for i in known}
        rest, most = 1 - sum(p.values()), mpmath.exp(mpmath.mpf(bounds.cap[0]))
        fixed = sum(p[i] * (mpmath.mpf(log_p[i]) - mpmath.mpf(log_q[i])) for i in known)
        full = int(rest / most)
        left = rest - full * most
        corners = []
        for placed in itertools.permutations(others, min(full + 1, len(others))):
            shares = [most] * full + [left]
            pairs = zip(placed, shares, strict=False)
            corners.append(sum(s * (mpmath.log(s) - mpmath.mpf(log_q[i])) for i, s in pairs if s > 0))
        assert found.kl_high[0] == pytest.approx(float(fixed + max(corners)), rel=1e-11, abs=1e-12)
        # The lowest divergence is that of a rest in proportion to the model, if the cap allows it.
        share = sum(mpmath.exp(mpmath.mpf(log_q[i])) for i in others)
        low = fixed + rest * (mpmath.log(rest) - mpmath.log(share))
        assert found.kl_low[0] == pytest.approx(max(0.0, float(low)), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("append", [False, True])
def test_the_truth_lies_between_the_ends_for_thousands_of_classes(append):
    rng = np.random.default_rng(3)
    n, size, k = 60, 3000, 20
    ref = log_softmax(rng.normal(0, rng.uniform(0.5, 6.0, (n, 1)), (n, size)), axis=1)
    own = log_softmax(ref + rng.normal(0, 1, (n, size)), axis=1)
    sampled = [int(rng.integers(size)) if append else None for _ in range(n)]
    cuts = [cut(row, k, token) for row, token in zip(ref, sampled, strict=True)]
    rows = np.concatenate([row for row, _ in cuts])
    bounds = Bounds(*(np.concatenate(column) for column in zip(*(b for _, b in cuts), strict=True)))
    found = partial_divergence(own, exact(n), rows, bounds)
    kl = rel_entr(np.exp(ref), np.exp(own)).sum(axis=1)
    assert (found.kl_low <= kl * (1 + 1e-12)).all()
    assert (kl <= found.kl_high * (1 + 1e-12)).all()
