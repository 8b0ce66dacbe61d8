import mpmath
import numpy as np
import pytest

from xent_cli.core.verify.hard_cases import IGNORED, hard_cases, reference_of

CASES = {case.name: case for case in hard_cases()}
SMALL = [name for name in CASES if CASES[name].logits.shape[1] <= 127]


def by_definition(z, y, weight, smoothing):
    """Compute loss and gradient of one row by PyTorch's formula in 400 digits: exp(-700), 1e-304, is added to 1."""
    with mpmath.workdps(400):
        k = len(z)
        finite = [mpmath.mpf(float(value)) for value in z if value != -np.inf]
        top = max(finite)
        powers = [mpmath.mpf(0) if value == -np.inf else mpmath.exp(mpmath.mpf(float(value)) - top) for value in z]
        total = sum(powers)
        w = [mpmath.mpf(1) if weight is None else mpmath.mpf(float(weight[j])) for j in range(k)]
        e = mpmath.mpf(smoothing)
        target = [w[j] * ((1 - e if j == y else 0) + e / k) for j in range(k)]
        loss = mpmath.mpf(0)
        for share, power in zip(target, powers, strict=True):
            if share:
                loss += mpmath.inf if power == 0 else share * (mpmath.log(total) - mpmath.log(power))
        gradient = [sum(target) * power / total - share for share, power in zip(target, powers, strict=True)]
        return float(loss), [float(entry) for entry in gradient]


@pytest.mark.parametrize("name", SMALL)
def test_what_is_said_to_be_right_follows_from_the_definition_in_many_digits(name):
    case = CASES[name]
    found = reference_of(case)
    rows = np.moveaxis(case.logits, 1, -1).reshape(-1, case.logits.shape[1])
    gradients = np.moveaxis(found.gradient, 1, -1).reshape(rows.shape)
    weights = []
    for z, y, loss, gradient in zip(rows, case.labels.reshape(-1), found.loss.reshape(-1), gradients, strict=True):
        if y == IGNORED:
            assert loss == 0
            assert not gradient.any()
            continue
        weights.append(1 if case.class_weight is None else case.class_weight[y])
        true_loss, true_gradient = by_definition(z, int(y), case.class_weight, case.label_smoothing)
        np.testing.assert_allclose(loss, true_loss, rtol=1e-14)
        np.testing.assert_allclose(gradient, true_gradient, rtol=1e-12, atol=1e-16)
    assert found.divisor == sum(weights)


def test_each_case_is_hard_in_the_way_that_its_name_says():
    offset = CASES["common-offset"].logits.astype(np.float64)
    assert (np.abs(offset.mean(axis=1)) > 9000).all()
    tied = CASES["ties"].logits
    assert ((tied == tied.max(axis=1, keepdims=True)).sum(axis=1) >= 2).all()
    two = np.sort(CASES["margins"].logits, axis=1)[:, -2:]
    assert {round(float(high - low), -1) for low, high in two} >= {10, 20, 700}
    for name, at_label in (("minus-inf-off-the-label", 0), ("minus-inf-on-the-label", 3)):
        case = CASES[name]
        assert np.isneginf(case.logits).any()
        assert np.isneginf(case.logits[np.arange(len(case.labels)), case.labels]).sum() == at_label
    first, last, all_of_them = (CASES[f"ignored-{which}"].labels == IGNORED for which in ("first", "last", "all"))
    assert first[0]
    assert not first[-1]
    assert last[-1]
    assert not last[0]
    assert all_of_them.all()
    widths = [case.logits.shape[1] for name, case in CASES.items() if name.startswith("width-")]
    assert len(widths) > 5
    assert all(width % 8 for width in widths)
    both = CASES["weights-smoothing-ignored"]
    assert both.class_weight is not None
    assert both.label_smoothing
    assert (both.labels == IGNORED).any()
    assert CASES["fortran-order"].logits.flags.f_contiguous
    for case in CASES.values():
        if case.columns is not None:
            view = case.storage[:, slice(*case.columns)]
            assert not view.flags.c_contiguous
            np.testing.assert_array_equal(view, case.logits)


def test_labels_reach_the_first_and_the_last_class():
    seen = [(0 in case.labels, case.logits.shape[1] - 1 in case.labels) for case in CASES.values()]
    assert sum(first and last for first, last in seen) > len(CASES) / 2
