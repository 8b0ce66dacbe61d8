"""If a table can be read in several ways, the error has a line for each of them, and the likeliest is right."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests import forked
from tests.forked import xent
from tests.readers.test_choose_columns import (
    FORMATS,
    LABELS,
    LOGITS,
    NAMES,
    PROBS,
    RIGHT,
    WORDS,
    N,
    opened,
    wide,
    write,
)
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ONE_HOT = np.eye(3, dtype=np.int64)[LABELS]
GUESSED = [NAMES[y] for y in PROBS.argmax(axis=1)]
# Labels that differ from the highest score in some rows, so that they do not look like predictions.
TRUTH = np.array([(y + (row < 2)) % 3 for row, y in enumerate(LABELS)])
TRUE_WORDS = [NAMES[y] for y in TRUTH]
FEATURE = np.random.default_rng(5).normal(size=N).round(3)
AGES = np.random.default_rng(6).integers(20, 70, N)


def mean(logits: Any, labels: Any) -> float:
    """Compute the mean loss by its definition."""
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(N), labels]))


def one_hot(stem: str) -> dict[str, Any]:
    return wide([stem.format(name) for name in NAMES], ONE_HOT)


# The table, and the mean loss of its likeliest reading.
TABLES: dict[str, tuple[dict[str, Any], float]] = {
    "a column for each class says which it is": (
        {"id": np.arange(N)} | wide([f"logit_{n}" for n in NAMES]) | one_hot("true_{}"),
        RIGHT,
    ),
    "the names alone say which it is": (wide([f"pred_{n}" for n in NAMES], PROBS) | one_hot("{}"), RIGHT),
    "of two columns for each class one set is predicted": (
        wide([f"prob_{n}" for n in NAMES], PROBS)
        | wide([f"pred_{n}" for n in NAMES], np.eye(3, dtype=np.int64)[PROBS.argmax(axis=1)])
        | wide([f"true_{n}" for n in NAMES], np.eye(3, dtype=np.int64)[TRUTH]),
        mean(LOGITS, TRUTH),
    ),
    "numbers after a stem": (wide(["p_0", "p_1", "p_2"], PROBS) | wide(["y_0", "y_1", "y_2"], ONE_HOT), RIGHT),
    "two columns of labels, one of them predicted": (
        wide([f"Probability:Class={n}" for n in NAMES], PROBS) | {"Class": GUESSED, "Label": TRUE_WORDS},
        mean(LOGITS, TRUTH),
    ),
    "classes that are called like roles": (
        {"verdict": WORDS}
        | wide(["id", "label", "other"])
        | {"verdict": [("id", "label", "other")[y] for y in LABELS]},
        RIGHT,
    ),
    "integers of another name beside role names": ({"outcome": LABELS} | wide(["win", "draw", "loss"]), RIGHT),
    "propensities of SPSS": (
        {"species": WORDS, "$R-species": GUESSED, "$RC-species": PROBS.max(axis=1)}
        | wide([f"$RP-{n}" for n in NAMES], PROBS),
        RIGHT,
    ),
    "confidences of RapidMiner": (
        {"Row No.": np.arange(1, N + 1), "species": WORDS, "prediction(species)": GUESSED}
        | wide([f"confidence({n})" for n in NAMES], PROBS),
        RIGHT,
    ),
    "a feature before the classes": ({"height": FEATURE} | wide(NAMES) | {"label": LABELS}, RIGHT),
    "whole numbers before the classes": ({"age": AGES, "weeks": AGES[::-1]} | wide(NAMES) | {"label": LABELS}, RIGHT),
    "a feature behind probabilities": (wide(NAMES, PROBS) | {"height": FEATURE, "label": LABELS}, RIGHT),
    "marks that are called labels": (
        wide(["logit_0", "logit_1", "logit_2"]) | wide(["label_0", "label_1", "label_2"], ONE_HOT),
        RIGHT,
    ),
    "lists of names and scores beside a label of another name": (
        {
            "predicted_species": GUESSED,
            "predicted_species_probs": [
                [{"label": NAMES[k], "prob": row[k]} for k in np.argsort(-row)] for row in PROBS
            ],
            "species": WORDS,
        },
        RIGHT,
    ),
    "columns as R names them": (wide(["V1", "V2", "V3"], PROBS) | {"label": LABELS}, RIGHT),
    "labels from 1": (wide(NAMES) | {"label": LABELS + 1}, RIGHT),
    "a list beside a label of another name": ({"logits": LOGITS.tolist(), "answer": LABELS}, RIGHT),
}
CASES = [(n, s) for n, (columns, _) in TABLES.items() for s in FORMATS if s != "csv" or "list" not in n]


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_the_likeliest_line_of_a_question_is_right(name: str, suffix: str, tmp_path: Path) -> None:
    columns, right = TABLES[name]
    with pytest.raises(InputError) as caught:
        opened(tmp_path / f"t.{suffix}", columns)
    lines = caught.value.hint[caught.value.hint.index("xent compute") :].split("; or ")
    done = xent(*shlex.split(lines[0])[1:], "--reduction", "mean", "-q", cwd=tmp_path)
    assert float(done.stdout) == pytest.approx(right, rel=1e-9), done.stderr


@pytest.mark.parametrize("name", TABLES)
def test_inspect_ends_in_the_line_that_is_right(name: str, tmp_path: Path) -> None:
    columns, right = TABLES[name]
    path = write(tmp_path / "t.parquet", columns)
    done = xent("inspect", path, "-q", cwd=tmp_path)
    *_, last = done.stdout.splitlines()
    kind, line = last.split("\t")
    assert kind == "command"
    done = xent(*shlex.split(line)[1:], "--reduction", "mean", "-q", cwd=tmp_path)
    assert float(done.stdout) == pytest.approx(right, rel=1e-9), done.stderr


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("stems", [("a_{}", "b_{}"), ("resnet_{}_prob", "vit_{}_prob"), ("{} of one", "{} of two")])
def test_two_models_in_one_table_are_refused_with_a_line_for_each(
    stems: tuple[str, str], suffix: str, tmp_path: Path
) -> None:
    tables = [
        wide([stem.format(name) for name in NAMES], PROBS[:, turn])
        for stem, turn in zip(stems, ([0, 1, 2], [1, 2, 0]), strict=True)
    ]
    with pytest.raises(InputError) as caught:
        opened(tmp_path / f"t.{suffix}", tables[0] | tables[1] | {"label": TRUE_WORDS})
    assert all(
        name in caught.value.found or stem.replace("{}", "*") in caught.value.hint for stem in stems for name in NAMES
    )
    lines = caught.value.hint[caught.value.hint.index("xent compute") :].split("; or ")[:2]
    means = [float(xent(*shlex.split(line)[1:], "--reduction", "mean", "-q", cwd=tmp_path).stdout) for line in lines]
    wanted = [mean(LOGITS[:, turn], TRUTH) for turn in ([0, 1, 2], [1, 2, 0])]
    assert sorted(means) == pytest.approx(sorted(wanted), rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole_numbers_that_rise_from_row_to_row_are_not_a_class(suffix: str, tmp_path: Path) -> None:
    columns = {"image": 1000 + 7 * np.arange(N)} | wide(NAMES) | {"label": WORDS}
    pair = opened(tmp_path / f"t.{suffix}", columns)
    assert pair.logits.info.plan is not None
    assert pair.logits.info.plan.values == NAMES


LONG = {"image": np.repeat(np.arange(N), 3), "category": [*NAMES] * N, "prob": PROBS.ravel()}
LONG_TABLES = {
    "marks": LONG | {"is_true": ONE_HOT.ravel()},
    "truth": LONG | {"is_true": ONE_HOT.ravel() == 1},
    "one label for each": LONG | {"answer": np.repeat(np.array(WORDS), 3)},
}


@pytest.mark.parametrize("command", ["compute", "inspect"])
@pytest.mark.parametrize("name", LONG_TABLES)
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_long_table_is_refused_with_the_line_that_makes_columns_of_it(
    suffix: str, name: str, command: str, tmp_path: Path
) -> None:
    columns = {"sample_id": LONG["image"]} | {key: held for key, held in LONG_TABLES[name].items() if key != "image"}
    write(tmp_path / f"t.{suffix}", columns)
    told = xent(command, f"t.{suffix}", cwd=tmp_path)
    assert told.returncode == 3
    line = told.stderr[told.stderr.index("hint: ") + len("hint: ") :]
    done = forked.shell(f"{line.strip()} --reduction mean", tmp_path)
    assert float(done.stdout) == pytest.approx(RIGHT, rel=1e-9), done.stderr


def test_a_long_table_without_labels_is_refused_with_the_line_that_takes_them_from_a_file(tmp_path: Path) -> None:
    columns = {"sample_id": LONG["image"], "class": LONG["category"], "prob": LONG["prob"]}
    with pytest.raises(InputError, match="a long table") as caught:
        opened(tmp_path / "t.csv", columns)
    assert caught.value.hint.endswith("&& xent compute wide.csv LABELS --from probs")


def test_inspect_ends_in_the_line_for_the_one_prediction_of_a_binary_classifier(tmp_path: Path) -> None:
    positive = PROBS[:, 1].round(6)
    labels = LABELS % 2
    path = write(tmp_path / "t.csv", {"id": np.arange(N), "prediction": positive, "target": labels})
    *_, last = xent("inspect", path, "-q", cwd=tmp_path).stdout.splitlines()
    done = xent(*shlex.split(last.split("\t")[1])[1:], "--reduction", "mean", "-q", cwd=tmp_path)
    losses = -np.log(np.where(labels == 1, positive, 1 - positive))
    assert float(done.stdout) == pytest.approx(losses.mean(), rel=1e-9), done.stderr


def test_columns_of_labels_are_named_by_a_glob_or_with_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", wide([f"logit_{n}" for n in NAMES]) | one_hot("y_{}") | {"fold": np.arange(N) % 2})
    for named in ("y_*", "y_cat,y_dog,y_fox"):
        done = xent("compute", path, path, "--label-column", named, "--reduction", "mean", "-q", cwd=tmp_path)
        assert float(done.stdout) == pytest.approx(RIGHT, rel=1e-9), done.stderr


def test_a_line_keeps_what_was_asked_for_beside_the_columns(tmp_path: Path) -> None:
    columns = wide([f"prob_{name}" for name in NAMES], PROBS) | {"species": TRUE_WORDS, "w": np.arange(N) % 3}
    path = write(tmp_path / "t.csv", columns)
    words = ("--label-column", "species", "--sample-weight-column", "w")
    told = xent("compute", path, *words, cwd=tmp_path)
    line = told.stderr[told.stderr.index("xent compute") :].split(";")[0]
    done = xent(*shlex.split(line)[1:], "--reduction", "mean", "-q", cwd=tmp_path)
    losses = -np.log(PROBS[np.arange(N), TRUTH])
    assert float(done.stdout) == pytest.approx(np.average(losses, weights=columns["w"]), rel=1e-9), done.stderr
