import hashlib

import numpy as np
import pytest

from xent_cli.core.options import LossOptions

WEIGHT = np.array([0.5, 1.0])
CHANGES = {
    "axis": 0,
    "source": "probs",
    "labels": "dense",
    "labels_source": "logits",
    "ignore_index": (-100,),
    "ignore_missing": True,
    "label_smoothing": 0.1,
    "class_weight": WEIGHT,
    "temperature": 2.0,
    "temperature_file": "0123456789abcdef",
    "precision": "float32",
    "shift": 1,
    "sample_weighted": True,
    "masked": True,
    "normalize": True,
    "binary": True,
    "kernel": "c",
    "teacher_temperature": 2.0,
    "true_labels": True,
    "bounded": "ignore",
}
# Settings that the user does not choose: they follow from the input, or only name the same classes.
TOLD = {"first_class", "scale", "labels_scale", "unit", "labels_unit"}


def test_every_option_is_tried_here():
    assert set(CHANGES) == set(LossOptions.__slots__) - TOLD


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_that_changes_a_number_changes_the_signature(name):
    assert LossOptions(**{name: CHANGES[name]}).signature("1") != LossOptions().signature("1")


def test_the_usual_signature_is_that_of_the_contract():
    assert LossOptions().signature("0.1.0") == (
        "xent|axis:-1|from:logits|labels:sparse|ignore:none|smoothing:0.0|class_weight:none|temperature:1.0"
        "|precision:float64|v:0.1.0"
    )


def test_class_weights_are_known_by_the_hash_of_their_values_not_of_their_memory():
    digest = hashlib.sha256(WEIGHT.astype("<f8").tobytes()).hexdigest()[:12]
    for same in (WEIGHT, WEIGHT.astype(">f8"), np.repeat(WEIGHT, 2)[::2], WEIGHT.astype(np.float32)):
        assert f"|class_weight:{digest}|" in LossOptions(class_weight=same).signature("1")


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_precision_is_a_dtype(precision):
    assert LossOptions(precision=precision).dtype == np.dtype(precision)
