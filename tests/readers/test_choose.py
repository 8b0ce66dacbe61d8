"""Which column of a table plays which part."""

from __future__ import annotations

from typing import Any

import pytest

from xent_cli.errors import InputError
from xent_cli.readers.choose import plan_labels, plan_logits
from xent_cli.readers.interface import ReadOptions


def dense(names: list[str], classes: tuple[str, ...] = ("cat", "dog"), **options: Any) -> tuple[str, ...]:
    """Columns of dense labels in a table with these columns, in the order of the classes."""
    kinds = dict.fromkeys(names, "number")
    return plan_labels("y.csv", kinds, ReadOptions(**options), classes, len(classes)).values


@pytest.mark.parametrize("prefix", ["", "logit_", "logits.", "prob_", "p(", "c"])
def test_dense_labels_are_matched_by_name_whatever_stands_before_all_names(prefix: str) -> None:
    assert dense([f"{prefix}dog", f"{prefix}cat"]) == (f"{prefix}cat", f"{prefix}dog")


def test_dense_labels_are_matched_by_name_where_the_logits_have_the_prefix() -> None:
    names = ("prob_cat", "prob_car", "prob_dog")
    assert dense(["dog", "cat", "car"], names) == ("cat", "car", "dog")


def test_dense_labels_beside_other_columns_are_matched_by_name() -> None:
    assert dense(["age", "logit_dog", "year", "logit_cat"]) == ("logit_cat", "logit_dog")


def test_dense_labels_with_names_of_their_own_are_taken_as_they_come() -> None:
    assert dense(["first", "second"]) == ("first", "second")


@pytest.mark.parametrize("names", [["dog", "cta"], ["logit_dog", "logit_cta"]])
def test_dense_labels_of_which_some_name_classes_are_never_taken_as_they_come(names: list[str]) -> None:
    with pytest.raises(InputError, match="do not name the classes") as caught:
        dense(names)
    assert "cta" in caught.value.found
    assert "cat" in caught.value.hint


def test_dense_labels_leave_out_the_columns_that_go_along() -> None:
    given = {"id_column": "key", "weight_column": "w", "by": ("year",)}
    assert dense(["key", "w", "dog", "year", "cat"], **given) == ("cat", "dog")
    assert dense(["key", "w", "two", "year", "one"], **given) == ("two", "one")


@pytest.mark.parametrize(
    ("columns", "doubtful"),
    [
        ("a number, b other, c number, label number", "b"),  # among the logits
        ("logit_a number, logit_b number, label number, logit_c other", "logit_c"),  # named like them
        ("label number, c0 number, c1 number, c2 other", "c2"),
        ("a number, b other, label number", "b"),  # one class alone is none to choose from
        ("text other, a number, b number, label number", ""),
        ("text other, id other, logit_a number, logit_b number, label other", ""),
    ],
)
@pytest.mark.parametrize("given", [None, "*"])
def test_a_column_of_text_that_looks_as_if_it_should_hold_logits_is_doubtful(
    columns: str, doubtful: str, given: str | None
) -> None:
    kinds = dict(column.split() for column in columns.split(", "))
    if given is None:
        assert plan_logits("t.csv", kinds, ReadOptions()).doubtful == tuple(doubtful.split())
    else:
        named = {name: kind for name, kind in kinds.items() if kind == "number"}
        assert plan_logits("t.csv", named, ReadOptions(logits_column=given)).doubtful == ()


def test_any_column_of_text_is_doubtful_where_a_single_row_told_that_it_is_one() -> None:
    kinds = {"text": "other", "a": "number", "b": "number", "label": "number"}
    assert plan_logits("t.csv", kinds, ReadOptions(), alone=True).doubtful == ("text",)
