import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from xent_cli.core.block import Block
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.kernel.teacher_figures import FIGURES
from xent_cli.core.metrics import METRICS
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.divergence_totals import DivergenceTotals
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.total_losses import total_losses

TAUGHT = LossOptions(labels="dense", labels_source="logits")
WANTED = Outputs(
    losses=True, by=("part",), top_k=(1,), worst=3, worst_by_kl=True, divergences=frozenset(FIGURES), states=2
)
value = st.one_of(st.floats(0.0, 1e6), st.sampled_from([0.0, math.inf, math.nan, 1.0]))
rows = st.lists(st.tuples(value, st.floats(0.0, 1e3), st.booleans()), max_size=30)


def total(some, start=0, exact_rows=10):
    kl, weight, same = (np.array(column, float) for column in zip(*some, strict=True)) if some else [np.empty(0)] * 3
    figures = {"kl_divergence": kl, "same_top": same}
    sample = np.arange(start, start + len(some))
    return DivergenceTotals.of(figures, weight, exact_rows=exact_rows, sample=sample, worst_wanted=2)


def said(totals):
    divisor = LossTotals("", n_samples=7).divisor
    return repr((totals.figures(divisor), totals.worst, totals.exact))


@given(rows, rows, rows)
def test_totals_merge_in_any_order_and_empty_ones_change_nothing(a, b, c):
    x, y, z = total(a), total(b, len(a)), total(c, len(a) + len(b))
    assert said(x.merge(y).merge(z)) == said(x.merge(y.merge(z)))
    assert said(x.merge(y)) == said(y.merge(x))
    assert said(x.merge(y).merge(z)) == said(total(a + b + c))
    assert said(DivergenceTotals().merge(x)) == said(x.merge(DivergenceTotals())) == said(x)


def blocks(n, size, *, weighted):
    rng = np.random.default_rng(3)
    student = rng.normal(0, 2, (n, 8))
    teacher = student + rng.normal(0, 1, (n, 8))
    weights = rng.integers(0, 4, n) / 2.0 if weighted else None
    mask = rng.random(n) < 0.8
    groups = np.array([["ab"[i % 2]] for i in range(n)], object)
    found = [
        Block(
            i,
            student[i : i + size],
            teacher[i : i + size],
            None if weights is None else weights[i : i + size],
            mask=mask[i : i + size],
            groups=groups[i : i + size],
        )
        for i in range(0, n, size)
    ]
    return found, student, teacher, np.ones(n) if weights is None else weights, mask, groups[:, 0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_figures_of_a_run_and_of_its_slices_are_those_of_brute_force(size, weighted):
    cut, student, teacher, weight, mask, groups = blocks(60, size, weighted=weighted)
    options = LossOptions(labels="dense", labels_source="logits", masked=True, sample_weighted=weighted)
    totals = reduce(RunTotals.merge, (evaluate_block(block, options, WANTED).totals for block in cut))
    log_p, log_q = log_softmax(student, axis=1), log_softmax(teacher, axis=1)
    p, q = softmax(student, axis=1), softmax(teacher, axis=1)
    kl = (q * (log_q - log_p)).sum(axis=1)
    by_hand = {
        "kl_divergence": kl,
        "reverse_kl": (p * (log_p - log_q)).sum(axis=1),
        "ref_entropy": -(q * log_q).sum(axis=1),
        "same_top": student.argmax(axis=1) == teacher.argmax(axis=1),
    }
    summaries = [(slice(None), totals.losses.summarize())]
    summaries += [(groups == name, summary) for _, name, summary in totals.slices.summaries()]
    for chosen, summary in summaries:
        counted = np.flatnonzero((mask & (weight > 0))[chosen])
        w, own = weight[chosen][counted], kl[chosen][counted]
        figures = summary.as_dict()
        for name, values in by_hand.items():
            assert figures[name] == pytest.approx((w * values[chosen][counted]).sum() / w.sum(), rel=1e-12)
        for name, level in {"p50_kl": 0.5, "p99_kl": 0.99, "p999_kl": 0.999, "max_kl": 1.0}.items():
            assert figures[name] == pytest.approx(np.quantile(own, level), rel=1e-12)
        assert figures["n_samples"] == counted.size
    name, worst = totals.losses.listed
    counted = np.flatnonzero(mask & (weight > 0))
    assert name == "kl_divergence"
    assert [entry.sample for entry in worst] == counted[np.argsort(-kl[counted])[:3]].tolist()


def test_every_figure_can_be_gated():
    block = Block(0, np.eye(6), np.eye(6)[::-1])
    figures = evaluate_block(block, TAUGHT, WANTED._replace(by=())).totals.losses.summarize().as_dict()
    assert set(figures) - {"confidence_level"} <= set(METRICS)


def test_distributions_share_the_memory_for_exact_quantiles():
    loss = np.arange(6.0)
    totals = total_losses("", loss, divergence={"kl_divergence": loss}, states=2)
    assert totals.summarize().quantiles_exact
    assert totals.quantiles.exact_rows == totals.divergence.spreads["kl_divergence"].quantiles.exact_rows == 2_000_000
    spread = DivergenceTotals.of({"kl_divergence": loss}, exact_rows=5)
    assert not spread.exact


def test_the_agreement_of_a_row_without_a_distribution_is_nan():
    block = Block(0, np.array([[0.0, math.nan], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    figures = evaluate_block(block, TAUGHT, WANTED._replace(by=())).totals.losses.summarize().as_dict()
    assert all(math.isnan(figures[name]) for name in ("kl_divergence", "same_top", *FIGURES, "max_kl"))
