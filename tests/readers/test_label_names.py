"""Labels of text name columns, and columns of labels are recognised by their values, in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.readers.test_choose_columns import FORMATS, LABELS, LOGITS, NAMES, PROBS, RIGHT, N, loss, opened, wide
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

# Names of classes that mean something else unless a label names them, and similar words around other names.
DICTIONARY = (
    ("id", "name", "path"),
    ("score", "time", "weight"),
    ("O", "PER", "TIME"),
    ("time_day", "time_night", "time_noon"),
    ("entity_id", "entity_path", "other"),
    ("f1", "f2", "f3"),
    ("x1", "x2", "x3"),
    ("index", "key", "group"),
    ("none", "null", "nan"),
    ("win", "draw", "loss"),
    ("True", "False", "unknown"),
    ("<=50K", ">50K", "?"),
)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("stem", ["{}", "logit_{}", "{}_score", ".pred_{}", "score(kind={})"])
@pytest.mark.parametrize("names", DICTIONARY, ids=lambda names: names[0])
def test_a_column_that_a_label_of_text_names_is_a_class_whatever_its_name(
    names: tuple[str, ...], stem: str, suffix: str, tmp_path: Path
) -> None:
    columns = wide([stem.format(name) for name in names]) | {"species": [names[y] for y in LABELS]}
    pair = opened(tmp_path / f"t.{suffix}", columns, label_column="species")
    assert loss(pair) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("names", [("class_0", "class_1", "class_2"), ("n0144", "n0210", "n0744")])
@pytest.mark.parametrize("stem", ["{}", "logit_{}", "{}_score"])
def test_labels_may_have_a_part_of_what_numbered_columns_share(
    stem: str, names: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    columns = wide([stem.format(name) for name in names]) | {"label": [names[y] for y in LABELS]}
    assert loss(opened(tmp_path / f"t.{suffix}", columns)) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_ids_of_classes_that_do_not_occur_are_classes(suffix: str, tmp_path: Path) -> None:
    names = [f"n{place:08d}" for place in (10, 20, 30, 40)]
    values = np.column_stack([np.full(N, -1.0), LOGITS])
    columns = wide(names, values) | {"label": [names[y + 1] for y in LABELS], "fold": np.arange(N) % 5}
    right = np.mean(np.log(np.exp(values).sum(axis=1)) - values[np.arange(N), LABELS + 1])
    assert loss(opened(tmp_path / f"t.{suffix}", columns)) == pytest.approx(right, rel=1e-9)


# Headers of prediction files in which the column of labels is named after its subject, with the other columns.
GUESSED = [NAMES[y] for y in np.argmax(PROBS, axis=1)]
WITHOUT_LABEL = {
    "response beside its prediction": (["P_species{}", "I_species"], "species"),
    "prediction in brackets": (["P (species={})", "Prediction (species)"], "species"),
    "model before the name": (["Random Forest ({})", "Random Forest"], "iris"),
    "actual after the name": (["species_{}_PREDICTION", "species_PREDICTION"], "species_actual"),
    "score before the name": (["prediction_score_{}", "prediction_label"], "Purchase"),
    "classes after a point": ([".pred_{}", ".pred_class"], "species"),
    "bare names": (["{}", "response"], "kind"),
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", WITHOUT_LABEL)
def test_a_table_without_a_column_called_label_is_refused_with_the_line_that_names_it(
    name: str, suffix: str, tmp_path: Path
) -> None:
    (stem, predicted), label = WITHOUT_LABEL[name]
    labels = [NAMES[(y + (row == 0)) % 3] for row, y in enumerate(LABELS)]
    columns = wide([stem.format(each) for each in NAMES], PROBS) | {predicted: GUESSED, label: labels}
    with pytest.raises(InputError) as caught:
        opened(tmp_path / f"t.{suffix}", columns)
    assert caught.value.what == "no labels"
    assert caught.value.hint.endswith(f"t.{suffix} --label-column {label} --from probs")
    pair = opened(tmp_path / f"t.{suffix}", columns, label_column=label, source="probs")
    truth = np.array([NAMES.index(each) for each in labels])
    assert loss(pair, probabilities=True) == pytest.approx(-np.log(PROBS[np.arange(N), truth]).mean(), rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("names", [("index", "key", "group"), ("step", "name", "batch"), ("mask", "score", "other")])
def test_columns_in_question_are_refused_with_the_line_of_the_labels_that_name_them(
    names: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    columns = wide(names) | {"result": [names[y] for y in LABELS]}
    with pytest.raises(InputError) as caught:
        opened(tmp_path / f"t.{suffix}", columns)
    assert caught.value.hint.endswith(f"t.{suffix} --label-column result")
    assert loss(opened(tmp_path / f"t.{suffix}", columns, label_column="result")) == pytest.approx(RIGHT, rel=1e-9)
