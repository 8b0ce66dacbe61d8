"""Scores whose classes are named in a different order in each row, in Parquet and Arrow."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import InputError, RowError

RANDOM = np.random.default_rng(8)
CLASSES = ["cat", "dog", "eel"]
N = 40
PROBS = RANDOM.dirichlet(np.ones(3), N)
PLACES = RANDOM.integers(0, 3, N)
WORDS = [CLASSES[place] for place in PLACES]
ORDERS = np.argsort(-PROBS, axis=1)
NAMES = [[CLASSES[place] for place in order] for order in ORDERS]
SCORES = [[float(PROBS[row, place]) for place in order] for row, order in enumerate(ORDERS)]
MEAN = math.fsum(-math.log(row[place]) for row, place in zip(PROBS, PLACES, strict=True)) / N

ITEMS = [[{"label": n, "score": s} for n, s in zip(*pair, strict=True)] for pair in zip(NAMES, SCORES, strict=True)]
MAPS = [list(zip(*pair, strict=True)) for pair in zip(NAMES, SCORES, strict=True)]
FORMS = {
    "lists": {"labels": NAMES, "scores": SCORES},
    "lists of fixed size": {
        "labels": pa.array(NAMES, pa.list_(pa.string(), 3)),
        "scores": pa.array(SCORES, pa.list_(pa.float64(), 3)),
    },
    "large lists": {
        "labels": pa.array(NAMES, pa.large_list(pa.large_string())),
        "scores": pa.array(SCORES, pa.large_list(pa.float64())),
    },
    "lists of structs": {"scores": ITEMS},
    "maps": {"scores": pa.array(MAPS, pa.map_(pa.string(), pa.float64()))},
}


def parquet(path, table):
    pq.write_table(table, path, row_group_size=7)


def arrow(path, table):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, 7)


def stream(path, table):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, 7)


def run(path, *options):
    line = ["compute", str(path), "--from", "probs", "--reduction", "mean", *options]
    found = runner().invoke(cli, line, standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return float(found.stdout)


@pytest.mark.parametrize("write", [parquet, arrow, stream])
@pytest.mark.parametrize("form", FORMS)
def test_scores_are_matched_to_the_classes_by_the_names_in_each_row(form, write, tmp_path):
    write(tmp_path / "t", pa.table({**FORMS[form], "label": WORDS}))
    assert run(tmp_path / "t") == pytest.approx(MEAN, rel=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_labels_that_are_numbers_need_the_order_of_the_classes(form, tmp_path):
    parquet(tmp_path / "t", pa.table({**FORMS[form], "label": PLACES}))
    with pytest.raises(InputError, match="classes are named row by row, but labels are numbers") as caught:
        run(tmp_path / "t")
    assert "--class-names" in caught.value.hint
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    assert run(tmp_path / "t", "--class-names", str(tmp_path / "names.txt")) == pytest.approx(MEAN, rel=1e-14)


@pytest.mark.parametrize(
    ("names", "scores"),
    [
        (["cat", "dog", "fox"], [0.5, 0.25, 0.25]),
        (["cat", "dog", "dog"], [0.5, 0.25, 0.25]),
        (["cat", "dog"], [0.5, 0.25, 0.25]),
        (["cat", "dog", None], [0.5, 0.25, 0.25]),
        (["cat", "dog", "eel"], [0.5, 0.25, None]),
        (["cat", "dog"], [0.5, 0.5]),
        (None, [0.5, 0.25, 0.25]),
        (["cat", "dog", "eel"], None),
        ([], []),
    ],
)
@pytest.mark.parametrize("row", [1, 1500])
def test_a_row_of_other_names_is_refused_wherever_it_is(names, scores, row, tmp_path):
    copies = 50
    many = {"labels": NAMES * copies, "scores": SCORES * copies, "label": WORDS * copies}
    many["labels"][row], many["scores"][row] = names, scores
    parquet(tmp_path / "t", pa.table(many))
    with pytest.raises((InputError, RowError)) as caught:
        run(tmp_path / "t")
    if row == 1500:  # after the rows that are sampled
        assert f"row {row}" in str(caught.value)
