import pytest

from xent_cli.cli.display.hints import with_hints
from xent_cli.core.diagnostics import Diagnostic, notes_of, refuse_warnings, warnings_of
from xent_cli.core.options import LossOptions
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.core.totals.summary import WorstSample
from xent_cli.core.warnings import find_warnings
from xent_cli.errors import InputError

LOGITS = LossOptions()


def codes(totals, options=LOGITS, num_classes=10):
    return [diagnostic.code for diagnostic in find_warnings(totals, options, num_classes)]


def test_ordinary_inputs_give_no_diagnostics():
    assert codes(LossTotals("", n_samples=1000, label_range=(0, 9))) == []
    assert codes(LossTotals("")) == []


def test_logits_that_are_nearly_all_probabilities_look_softmaxed():
    assert codes(LossTotals("", n_samples=95, n_ignored=5, softmaxed=99)) == ["logits-look-softmaxed"]
    assert codes(LossTotals("", n_samples=95, n_ignored=5, softmaxed=98)) == []


@pytest.mark.parametrize("source", ["probs", "log-probs"])
def test_inputs_that_are_not_logits_may_look_softmaxed(source):
    assert codes(LossTotals("", n_samples=9, softmaxed=9), LossOptions(source=source)) == []


def test_the_warning_about_softmaxed_logits_says_what_to_do_on_the_command_line():
    (diagnostic,) = find_warnings(LossTotals("", n_samples=9, softmaxed=9), LOGITS, 3)
    assert diagnostic.message.startswith("9 of 9 rows of logits are non-negative and sum to 1")
    assert "--" not in diagnostic.message
    (advised,) = with_hints([diagnostic])
    assert advised.message == f"{diagnostic.message}; if they are, use --from probs"


def test_soft_labels_that_do_not_sum_to_1_are_counted():
    (diagnostic,) = find_warnings(LossTotals("", n_samples=9, unnormalised_labels=2), LossOptions(labels="dense"), 3)
    assert diagnostic.code == "soft-labels-do-not-sum-to-1"
    assert diagnostic.message.startswith("2 of 9 rows of soft labels")


def test_probabilities_that_do_not_sum_to_1_are_counted():
    (diagnostic,) = find_warnings(LossTotals("", n_samples=9, unnormalised=2), LossOptions(source="probs"), 3)
    assert diagnostic.code == "probabilities-do-not-sum-to-1"
    assert diagnostic.message.startswith("2 of 9 rows of probabilities")


def test_labels_without_a_0_look_1_based_where_0_was_due():
    assert codes(LossTotals("", n_samples=100, label_range=(1, 9))) == ["labels-look-1-based"]
    assert codes(LossTotals("", n_samples=99, label_range=(1, 9))) == []
    assert codes(LossTotals("", n_samples=100, label_range=(2, 9))) == []


def test_losses_that_are_not_numbers_are_named():
    worst = (WorstSample(float("nan"), 17, None, None),)
    (diagnostic,) = find_warnings(LossTotals("", n_samples=9, n_nan=3, worst=worst), LOGITS, 3)
    assert diagnostic.code == "nan-loss"
    assert diagnostic.message == "NaN losses: 3 (first: sample 17); the mean is NaN"


def test_infinite_losses_are_counted():
    (diagnostic,) = find_warnings(LossTotals("", n_samples=9, n_inf=2), LOGITS, 3)
    assert (diagnostic.code, diagnostic.message) == ("infinite-loss", "infinite losses: 2")


def test_diagnostics_come_in_one_order():
    worst = (WorstSample(float("nan"), 0, 1, None),)
    totals = LossTotals(
        "", n_samples=100, n_nan=1, n_inf=1, softmaxed=100, unnormalised_labels=1, label_range=(1, 9), worst=worst
    )
    assert codes(totals) == [
        "logits-look-softmaxed",
        "soft-labels-do-not-sum-to-1",
        "labels-look-1-based",
        "nan-loss",
        "infinite-loss",
    ]


def test_warnings_and_notes_are_told_apart():
    doubt, done = Diagnostic("odd", "it is odd"), Diagnostic("shard-skipped", "one is empty", note=True)
    assert warnings_of((done, doubt)) == (doubt,)
    assert notes_of((done, doubt)) == (done,)
    assert [diagnostic.line() for diagnostic in (doubt, done)] == [
        "warning: it is odd [odd]",
        "note: one is empty [shard-skipped]",
    ]


def test_strictness_refuses_every_warning_and_no_note():
    refuse_warnings([Diagnostic("shard-skipped", "one is empty", note=True)])
    with pytest.raises(InputError) as refusal:
        refuse_warnings([Diagnostic("odd", "it is odd"), Diagnostic("even", "so is this")])
    assert str(refusal.value).splitlines()[:2] == ["it is odd [odd]", "  so is this [even]"]
