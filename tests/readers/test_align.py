import math
import random

import numpy as np
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.saved.align import align
from xent_cli.readers.saved.comparable import refuse_unlike
from xent_cli.readers.saved.row_order import common_id
from xent_cli.readers.saved.saved_results import SavedResults


def rows(loss, *, path="b.csv", ids=None, labels=None, sample=None, unclear=(), ignored=()):
    loss = np.array(loss, float)
    doubtful = np.isin(np.arange(loss.size), unclear)
    mask = np.isin(np.arange(loss.size), ignored) | doubtful
    return SavedResults(
        path,
        "csv",
        "rows",
        np.where(mask, np.nan, loss),
        mask,
        doubtful if doubtful.any() else None,
        None if sample is None else np.array(sample),
        None if labels is None else np.array(labels, object if isinstance(labels[0], str) else None),
        None if ids is None else np.array(ids, object),
        None if ids is None else "id",
    )


def test_rows_are_joined_by_id_in_the_order_of_the_baseline():
    ids = [f"s{i}" for i in range(50)]
    order = random.Random(0).sample(range(50), 50)
    baseline = rows(np.arange(50), ids=ids, labels=list(range(50)))
    candidate = rows([i + 0.5 for i in order], ids=[ids[i] for i in order], labels=order)
    both = align(baseline, candidate, by_id=True)
    assert (both.candidate - both.baseline).tolist() == [0.5] * 50
    assert [order[i] for i in both.candidate_rows] == list(range(50))


def test_ids_are_joined_on_only_where_every_file_has_them():
    named, bare = rows([1], ids=["a"]), rows([1])
    assert common_id([named, named]) == "id"
    assert common_id([named, bare]) is None


@pytest.mark.parametrize(
    ("baseline", "candidate", "by_id", "message"),
    [
        (rows([1, 2]), rows([1, 2, 3]), False, "different number of samples.*found 3 samples, expected 2"),
        (
            rows([1, 2], sample=[0, 1]),
            rows([1, 2], sample=[1, 0]),
            False,
            "different order.*row 0: found sample 1, expected sample 0",
        ),
        (
            rows([1, 2], labels=[3, 4]),
            rows([1, 2], labels=[3, 5]),
            False,
            'different labels.*sample 1, column "label": found 5, expected 4',
        ),
        (
            rows([1, 2], labels=["cat", "dog"]),
            rows([1, 2], labels=[0, 1]),
            False,
            "found 0, expected cat.*1 more row like",
        ),
        (rows([1, 2], ids=["a", "b"]), rows([1, 2], ids=["a", "c"]), True, 'different samples.*none with id "b"'),
        (rows([1], ids=["a"]), rows([1, 2, 3], ids=["a", "b", "c"]), True, 'none with id "b".*1 more row like'),
        (
            rows([1, 2], ids=["a", "a"]),
            rows([1, 2], ids=["a", "b"]),
            True,
            'duplicate id.*sample 1: found id "a" again',
        ),
        (rows([1, 2], ids=["a", "b"]), rows([1, 2], ids=["a", None]), True, "missing id.*sample 1"),
        (rows([1, 2], ignored=[1]), rows([1, 2]), False, "ignored in one file only.*sample 1.*found a loss"),
        (rows([1, 2]), rows([1, 2], ignored=[0]), False, "ignored in one file only.*sample 0"),
        (rows([1, 2], ignored=[0, 1]), rows([1, 2], ignored=[0, 1]), False, "nothing left to compare"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_named(baseline, candidate, by_id, message):
    with pytest.raises(InputError, match="(?s)" + message):
        align(baseline, candidate, by_id=by_id)


def test_samples_ignored_in_both_are_left_out_and_counted():
    both = align(rows([1, 2, 3], ignored=[1]), rows([4, 5, 6], ignored=[1]), by_id=False)
    assert (both.baseline.tolist(), both.candidate.tolist(), both.n_ignored) == ([1, 3], [4, 6], 1)
    assert both.rows.tolist() == [0, 2]


def test_a_nan_loss_is_never_taken_for_an_ignored_sample():
    both = align(rows([1, 2, 3]), rows([4, math.nan, 6]), by_id=False)
    assert both.n_ignored == 0
    assert np.isnan(both.candidate).tolist() == [False, True, False]


def test_where_a_format_does_not_tell_nan_from_ignored_the_other_file_does():
    nan = math.nan
    silent = rows([1, nan, nan, nan], unclear=[1, 2, 3])
    for pair in ((rows([1, 2, nan, 4], ignored=[3]), silent), (silent, rows([1, 2, nan, 4], ignored=[3]))):
        both = align(*pair, by_id=False)
        assert (both.rows.tolist(), both.n_ignored) == ([0, 1, 2], 1)
    with pytest.raises(InputError, match="may be an ignored sample or a loss") as refused:
        align(silent, rows([1, 2, nan, nan], unclear=[2, 3]), by_id=False)
    assert (refused.value.where, refused.value.more) == ("b.csv sample 2", "1 more row like this")


def test_names_that_are_numbers_are_the_numbers():
    assert align(rows([1], labels=["1"]), rows([2], labels=[1]), by_id=False).baseline.tolist() == [1]


def summary(n=3, ignored=0, **settings):
    line = "|".join(["xent", *(f"{name}:{value}" for name, value in {"axis": "-1", **settings}.items())])
    return SavedResults(
        "s.json", "json", "summary", summary={"n_samples": n, "n_ignored": ignored, "mean_loss": 1.0}, signature=line
    )


@pytest.mark.parametrize(
    ("baseline", "candidate", "message"),
    [
        (summary(), summary(n=4), "n_samples 4, not 3"),
        (summary(), summary(n=2, ignored=1), "n_samples 2, not 3; n_ignored 1, not 0"),
        (summary(temperature="1.0"), summary(temperature="2.0"), "temperature 2.0, not 1.0"),
        (summary(), summary(shift="1"), "shift 1, not 0"),
        (summary(), summary(invented="1"), "invented 1, not absent"),
        (rows([1, 2]), summary(), "n_samples 3, not 2"),
        (rows([1, 2, 3]), summary(sample_weight="given"), "sample_weight given, not none"),
        (summary(class_weight="0a1b"), rows([1, 2, 3]), "class_weight none, not given"),
    ],
)
def test_summaries_of_other_settings_or_another_number_are_refused(baseline, candidate, message):
    with pytest.raises(InputError, match=message):
        refuse_unlike(baseline, candidate)


def test_summaries_of_the_same_settings_are_comparable_and_so_are_rows():
    refuse_unlike(summary(), summary())
    refuse_unlike(summary(v="0.1.0"), summary(v="9.9", shift="0"))
    refuse_unlike(summary(class_weight="none"), rows([1, 2, 3]))
