"""Whether the first line of delimited text is names of columns or a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import xent_cli
from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions
from xent_cli.readers.pair.pair import open_pair
from xent_cli.readers.text.csv_dialect import is_header

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(8)
LOGITS = RNG.normal(size=(12, 3)).round(3)
LABELS = np.array([0, 1, 2] * 4)


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("labels", ["npy", "csv"])
def test_frames_without_names_are_read_as_pandas_writes_them(index: bool, labels: str, tmp_path: Path) -> None:
    pd.DataFrame(LOGITS).to_csv(tmp_path / "l.csv", index=index)
    np.save(tmp_path / "y.npy", LABELS)
    pd.Series(LABELS).to_csv(tmp_path / "y.csv", index=index)
    pair = open_pair(str(tmp_path / "l.csv"), str(tmp_path / f"y.{labels}"), None, ReadOptions())
    blocks = [task.load() for task in pair.tasks()]
    np.testing.assert_array_equal(np.concatenate([block.logits for block in blocks]), LOGITS)
    np.testing.assert_array_equal(np.concatenate([np.reshape(b.labels, -1) for b in blocks]), LABELS)


@pytest.mark.parametrize(
    ("first", "below", "named"),
    [
        (["0.5", "", "1.5"], [["0.1", "0.2", "0.3"]], False),
        (["0.5", "NA"], [["0.1", "0.2"]], False),
        (["0.5", "1.5", ""], [["0.1", "0.2", ""]], False),
        (["0", "1", "2"], [["0.1", "0.2", "0.3"]], True),
        (["1", "2", "3"], [["0.1", "0.2", "0.3"]], True),
        (["0", "1", "2"], [["3", "4", "5"]], False),
        (["0", "2", "1"], [["0.1", "0.2", "0.3"]], False),
        (["", "0", "1"], [["0", "0.1", "0.2"], ["1", "0.3", "0.4"]], True),
        (["cat", ""], [["0.1", "0.2"]], True),
        (["label", "0", "1", "2"], [["1", "3", "4", "5"]], True),
        (["0.5", "1.5", "cat"], [["3", "4", "5"]], True),
    ],
)
def test_a_first_line_of_numbers_is_a_header_only_where_it_counts_columns(
    first: list[str], below: list[list[str]], named: bool
) -> None:
    assert is_header(first, below) is named


def test_one_row_too_many_says_what_the_first_line_was_taken_for(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", LOGITS)
    (tmp_path / "y.csv").write_text("\n".join(map(str, [2, *LABELS])) + "\n")
    pair = open_pair(str(tmp_path / "l.npy"), str(tmp_path / "y.csv"), None, ReadOptions())
    with pytest.raises(InputError) as caught:
        list(pair.tasks())
    assert "y.csv was taken for a row" in caught.value.hint


def test_a_table_is_read_into_arrays_by_the_same_rules(tmp_path: Path) -> None:
    frame = pd.DataFrame(LOGITS[:, [1, 2, 0]], columns=["logit_1", "logit_2", "logit_0"]).assign(fold=1, label=LABELS)
    frame.to_csv(tmp_path / "t.csv")
    logits, labels, names = xent_cli.read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(logits, LOGITS)
    assert labels is not None
    np.testing.assert_array_equal(labels, LABELS)
    assert names == ("0", "1", "2")
    assert xent_cli.read_table(tmp_path / "t.csv", logits_column="logit_[01]")[0].shape == (12, 2)
    np.save(tmp_path / "l.npy", LOGITS)
    with pytest.raises(InputError, match="not a table"):
        xent_cli.read_table(tmp_path / "l.npy")
