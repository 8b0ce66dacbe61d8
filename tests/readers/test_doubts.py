"""Tables in which names or rows speak against the classes that come to mind first."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

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
from tests.readers.test_readings import AGES, mean
from xent_cli.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

OTHER = np.roll(PROBS, 1, axis=1)
MARKS = LABELS % 2
TWO = np.array([[1.0, -0.5], [-0.25, 1.5]])[MARKS] + np.random.default_rng(3).normal(size=(N, 2)).round(3)
MARGINS = TWO[:, 1] - TWO[:, 0]
TWO_RIGHT = mean(TWO, MARKS)


def refused(path: Path, columns: dict[str, Any], **options: Any) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(InputError) as caught:
        opened(path, columns, **options)
    hint = caught.value.hint
    return hint[hint.index("xent compute") :].split("; or ")


def mean_of(line: str, folder: Path) -> float:
    done = xent(*shlex.split(line)[1:], "--reduction", "mean", "-q", cwd=folder)
    return float(done.stdout)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("names", [("color_logit_{}", "type_prob_{}"), ("teacher_{}_logit", "student_{}_prob")])
def test_logits_beside_probabilities_of_another_model_are_a_question(
    names: tuple[str, str], words: bool, suffix: str, tmp_path: Path
) -> None:
    ends = NAMES if words else range(3)
    columns = wide([names[0].format(end) for end in ends]) | wide([names[1].format(end) for end in ends], OTHER)
    lines = refused(tmp_path / f"t.{suffix}", columns | {"label": WORDS if words else LABELS})
    means = [mean_of(line, tmp_path) for line in lines]
    assert sorted(means) == pytest.approx(sorted([RIGHT, mean(np.log(OTHER), LABELS)]), rel=1e-9)
    assert words or means[0] == pytest.approx(RIGHT, rel=1e-9)  # the likelier first


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("digits", [2, 6, 12])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_logits_beside_their_own_probabilities_are_read(
    temperature: float, digits: int, suffix: str, tmp_path: Path
) -> None:
    held = np.exp(LOGITS / temperature)
    held = (held / held.sum(axis=1, keepdims=True)).round(digits)
    columns = wide([f"raw_logit_{name}" for name in NAMES]) | wide([f"calibrated_prob_{name}" for name in NAMES], held)
    pair = opened(tmp_path / f"t.{suffix}", columns | {"label": WORDS})
    assert pair.logits.info.plan is not None
    assert pair.logits.info.plan.values == tuple(f"raw_logit_{name}" for name in NAMES)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "names",
    [
        ("mean", "std", "median"),
        ("train_loss", "val_loss", "test_loss"),
        ("auc", "f1", "accuracy"),
        ("loss_a", "loss_b", "loss_c"),
        ("fold_0", "fold_1", "fold_2"),
        ("model1", "model2", "model3"),
    ],
)
def test_columns_that_measure_something_are_no_classes_whatever_the_labels(
    names: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        opened(tmp_path / f"t.{suffix}", wide(names) | {"label": LABELS})


@pytest.mark.parametrize("suffix", FORMATS)
def test_numbers_from_0_to_1_that_do_not_sum_to_1_are_no_classes_by_elimination(suffix: str, tmp_path: Path) -> None:
    lines = refused(tmp_path / f"t.{suffix}", wide(NAMES, np.sqrt(PROBS)) | {"label": LABELS})
    assert lines == [f"xent compute {tmp_path}/t.{suffix} --logits-column cat,dog,fox"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "names", [("RawFormulaVal", "Probability"), ("logit", "prob"), ("score", "probability"), ("raw_logit", "prob")]
)
def test_one_score_in_two_forms_is_a_question_with_a_line_for_each(
    names: tuple[str, str], suffix: str, tmp_path: Path
) -> None:
    columns = {names[0]: MARGINS, names[1]: 1 / (1 + np.exp(-MARGINS)), "label": MARKS, "pred": MARGINS > 0}
    lines = refused(tmp_path / f"t.{suffix}", columns)
    assert [mean_of(line, tmp_path) for line in lines] == pytest.approx([TWO_RIGHT] * 2, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("names", "label"),
    [(("spam", "ham"), "is_spam"), (("default", "no_default"), "default"), (("hit", "miss"), "y_hit")],
)
@pytest.mark.parametrize("told", [True, False])
def test_a_label_is_1_for_the_class_that_it_is_named_after(
    told: bool, names: tuple[str, str], label: str, whole: bool, suffix: str, tmp_path: Path
) -> None:
    columns = wide([f"logit_{name}" for name in names], TWO[:, ::-1])
    columns |= {label: MARKS if whole else MARKS == 1}
    path = tmp_path / f"t.{suffix}"
    if told and not whole:
        pair = opened(path, columns, label_column=label)
        assert pair.logits.info.class_names == names[::-1]
        return
    lines = refused(path, columns, **({"label_column": label} if told else {}))
    assert mean_of(lines[0], tmp_path) == pytest.approx(TWO_RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_numbers_that_follow_another_order_than_the_names_beside_them_are_refused(suffix: str, tmp_path: Path) -> None:
    names = wide([f"logit_{name}" for name in NAMES])
    columns = names | {"label": np.array([2, 0, 1])[LABELS], "label_name": WORDS}
    lines = refused(tmp_path / f"t.{suffix}", columns, label_column="label")
    assert mean_of(lines[0].split("; ")[0], tmp_path) == pytest.approx(RIGHT, rel=1e-9)
    pair = opened(tmp_path / f"u.{suffix}", columns | {"label": LABELS}, label_column="label")
    assert pair.logits.info.class_names == NAMES


@pytest.mark.parametrize("label_first", [True, False])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_numbers_alone_ends_in_the_line_that_names_its_label(
    header: bool, counted: bool, label_first: bool, tmp_path: Path
) -> None:
    parts = [np.arange(N)[:, None]] if counted else []
    parts += [LABELS[:, None], LOGITS] if label_first else [LOGITS, LABELS[:, None]]
    rows = [[f"{value:g}" for value in row] for row in np.hstack(parts)]
    rows = [[str(place) for place in range(len(rows[0]))], *rows] if header else rows
    (tmp_path / "t.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    *_, last = xent("inspect", "t.csv", "-q", cwd=tmp_path).stdout.splitlines()
    kind, line = last.split("\t")
    assert kind == "command"
    assert mean_of(line, tmp_path) == pytest.approx(RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("beside", [{}, {"logit_max": LOGITS.max(axis=1)}, {"logit_temperature": np.full(N, 1.5)}])
def test_a_class_that_no_label_names_is_likelier_than_none_and_a_measurement_is_no_class(
    beside: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    labels = LABELS if beside else np.where(LABELS == 2, 0, LABELS)
    columns = wide([f"logit_{name}" for name in NAMES]) | beside | {"label": [NAMES[y] for y in labels]}
    lines = refused(tmp_path / f"t.{suffix}", columns)
    assert mean_of(lines[0], tmp_path) == pytest.approx(mean(LOGITS, labels), rel=1e-9)


# Tables whose labels have a name that says nothing, and the mean loss of the likeliest reading.
UNNAMED = {
    "vectors of Spark": (
        {
            "indexedLabel": LABELS.astype(float),
            "probability": [
                {"type": 1, "size": None, "indices": None, "values": [float(value) for value in row]} for row in PROBS
            ],
            "prediction": PROBS.argmax(axis=1).astype(float),
        },
        RIGHT,
    ),
    "two targets with a label each": (
        wide([f"type_logit_{k}" for k in range(3)])
        | wide([f"color_logit_{k}" for k in range(4)], np.hstack([OTHER, OTHER[:, :1]]))
        | {"type_label": LABELS, "color_label": AGES % 4},
        RIGHT,
    ),
    "numbers before a word": (wide([f"{k} stars" for k in (1, 2, 3)]) | {"stars": LABELS + 1}, RIGHT),
    "estimates of SPSS": (
        {"jobcat": LABELS + 1, "PRE_1": PROBS.argmax(axis=1) + 1}
        | wide([f"EST{k}_1" for k in (1, 2, 3)], PROBS)
        | {"PCP_1": PROBS.max(axis=1), "ACP_1": PROBS[np.arange(N), LABELS]},
        RIGHT,
    ),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_inspect_ends_in_the_line_of_a_label_whose_name_says_nothing(name: str, tmp_path: Path) -> None:
    columns, right = UNNAMED[name]
    write(tmp_path / "t.jsonl", columns)
    *_, last = xent("inspect", "t.jsonl", "-q", cwd=tmp_path).stdout.splitlines()
    kind, line = last.split("\t")
    assert kind == "command"
    assert mean_of(line, tmp_path) == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
def test_two_classes_may_be_numbered_minus_1_and_1(suffix: str, tmp_path: Path) -> None:
    columns = wide(["neg", "pos"], TWO) | {"label": 2 * MARKS - 1}
    (line,) = refused(tmp_path / f"t.{suffix}", columns)
    assert mean_of(line, tmp_path) == pytest.approx(TWO_RIGHT, rel=1e-9)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("names", [("-1", "0", "+1"), ("logit_-1", "logit_0", "logit_+1")])
def test_a_number_in_a_name_may_have_a_plus(names: tuple[str, ...], suffix: str, tmp_path: Path) -> None:
    pair = opened(tmp_path / f"t.{suffix}", wide(names) | {"label": LABELS - 1})
    assert pair.logits.info.plan is not None
    assert pair.logits.info.plan.values == names
    assert pair.logits.info.plan.numbers == (-1, 0, 1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_classes_of_each_fold_are_a_reading_of_their_own(suffix: str, tmp_path: Path) -> None:
    columns = wide([f"fold0_p_{name}" for name in NAMES], PROBS) | wide([f"fold1_p_{name}" for name in NAMES], OTHER)
    lines = refused(tmp_path / f"t.{suffix}", columns | {"label": WORDS})
    means = [mean_of(line, tmp_path) for line in lines]
    assert sorted(means) == pytest.approx(sorted([RIGHT, mean(np.log(OTHER), LABELS)]), rel=1e-9)
