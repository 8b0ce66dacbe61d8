"""What the columns of a table are called after."""

from __future__ import annotations

import pytest

from xent_cli.readers.columns import ColumnPlan


@pytest.mark.parametrize("prefix", ["logit_", "logits_", "logit.", "logits."])
def test_a_prefix_that_every_column_has_is_no_part_of_the_class_names(prefix: str) -> None:
    assert ColumnPlan((f"{prefix}cat", f"{prefix}dog")).class_names(None) == ("cat", "dog")


@pytest.mark.parametrize("names", [("logit_cat", "dog"), ("logit_cat", "logit_"), ("cat", "dog")])
def test_class_names_stay_whole_where_not_every_column_has_the_prefix(names: tuple[str, ...]) -> None:
    assert ColumnPlan(names).class_names(None) == names
