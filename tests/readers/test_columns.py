"""Which column of a table plays which part."""

from __future__ import annotations

from typing import Any

import pytest

from xent_cli.errors import InputError
from xent_cli.readers.columns import ColumnPlan, plan_labels
from xent_cli.readers.interface import ReadOptions


@pytest.mark.parametrize("prefix", ["logit_", "logits_", "logit.", "logits."])
def test_a_prefix_that_every_column_has_is_no_part_of_the_class_names(prefix: str) -> None:
    assert ColumnPlan((f"{prefix}cat", f"{prefix}dog")).class_names(None) == ("cat", "dog")


@pytest.mark.parametrize("names", [("logit_cat", "dog"), ("logit_cat", "logit_"), ("cat", "dog")])
def test_class_names_stay_whole_where_not_every_column_has_the_prefix(names: tuple[str, ...]) -> None:
    assert ColumnPlan(names).class_names(None) == names


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
