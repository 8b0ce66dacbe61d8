"""Advice about errors and warnings of core, in terms of options; `core.python_api.hints` has the same for Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from xent_cli.core.diagnostics import Diagnostic

_HINTS = {
    "kernel-not-available": "XENT_KERNEL=numpy computes without it; c takes the fastest that a machine has",
    "labels-are-argmax": "if they are, name the column of true labels with --label-column",
    "labels-look-1-based": "if they are, use --first-class 1",
    "log-probability-above-0 of labels": "logits need --labels-from logits",
    "log-probability-above-0 of logits": "log-probs are logits too: leave --from out",
    "logits-look-softmaxed": "if they are, use --from probs",
    "missing-label": "--ignore-missing-labels leaves such samples out",
    "negative-probability of labels": "logits need --labels-from logits",
    "negative-probability of logits": "logits need --from logits",
    "partial-row of labels": "of each row, list the k highest; a token that was sampled besides goes first or last, "
    "or is left out",
    "probability-too-high": "--normalize divides every row by its sum",
    "invalid-mask": "a mask says which samples count; weights go with --sample-weight",
    "invalid-soft-label": "dense labels are probabilities; a teacher's logits need --labels-from logits; shards need "
    "one pattern in quotes: 'part-*.npy'",
    "label-out-of-range of padding": "if {label} marks samples without a label, use --ignore-index {label}",
    "label-out-of-range": "are these the labels of these logits?",
    "label-out-of-range of size": "a label is the number of a class; is this the column of labels?",
    "label-out-of-range of sign": "labels of -1 and 1 are those of 0 and 1: (label + 1) / 2",
    "label-out-of-range of score": "if each row is the one score of a binary classifier, use --binary",
    "labels-off-by-one": "if the labels number the classes from {first_class}, use --first-class {first_class}",
    "soft-labels-to-normalize": "--normalize divides every row by its sum",
    "too-many-clusters": "sort the rows by it",
    "too-many-slices": "is this an id column? --by takes one that names groups",
    "warnings-refused": "--strict makes every warning an error",
}

# For errors that say what to do nowhere else: the same advice wherever they are found.
_USUAL = {
    "a fold without samples": "use fewer --folds",
    "cell is not UTF-8": "save the table as UTF-8: iconv -f latin1 -t utf-8",
    "cell is not a number": "correct the cell; if its column is not a class, name the classes with --logits-column",
    "damaged .npz file": "copy or write it again",
    "damaged zip archive": "copy or write it again",
    "different samples": "compare results of the same samples",
    "duplicate id": "if the column does not tell samples apart, name another with --id-column",
    "empty cell": "fill it, or leave the sample out with --mask",
    "invalid sample weight": "0 leaves a sample out of every figure",
    "invalid units": "give each sample the number of its bytes or words",
    "list of the wrong length": "each row needs one number for every class, in the same order",
    "missing cluster": "fill it, or leave the sample out with --mask",
    "missing id": "fill it, or name another column with --id-column",
    "no losses": "xent compute -o FILE saves the losses of a model",
    "no rows": "did the program that writes it end without an error?",
    "no such column or file": "xent inspect says which columns there are",
    "no such file": "is the path right? it is looked up from the folder where xent runs",
    "no temperature minimises the loss": "are these the labels of these logits, and samples that the model has not "
    "been trained on?",
    "not JSON": "was it cut short? write it again with a JSON library",
    "not a JSON object": "write each line with a JSON library: json.dumps(record)",
    "not a folder of cases": "xent verify --write-cases FOLDER writes one",
    "not a response": "keep the responses as the server sent them",
    "not a summary document": "xent compute --report baseline.json writes one",
    "not a text file": "is the --input-format right? without it, the content decides",
    "nothing left to average": "is every sample ignored, masked, of weight 0, or left out by --bounded ignore? "
    "xent inspect counts the labels",
    "shapes do not fit": "both must be about the same samples, in the same order",
    "values are not numbers": "save numbers: array.astype('float64')",
    "weight of no class": "name classes as the logits do, or give one number per class, in their order",
    "wrong number of class names": "list every class once, in the order of the logits",
}


def usual_hint(what: str) -> str:
    """Return what to do about an error that brings no advice of its own, or "" if that is not known.

    Examples
    --------
    >>> usual_hint("a fold without samples")
    'use fewer --folds'
    """
    return _USUAL.get(what, "")


def hint_for(code: str, data: Mapping[str, Any]) -> str:
    """Return what to do about an error or a warning, or "" if there is nothing to say.

    Examples
    --------
    >>> hint_for("label-out-of-range", {"label": 255, "kind": "padding"})
    'if 255 marks samples without a label, use --ignore-index 255'
    >>> hint_for("labels-off-by-one", {"first_class": 1, "ignore_index": 0})
    'if the labels number the classes from 1, use --first-class 1 --ignore-index 0'
    """
    text = _HINTS.get(f"{code} of {data.get('kind') or data.get('role')}") or _HINTS.get(code, "")
    if data.get("ignore_index") is not None:
        text += " --ignore-index {ignore_index}"
    return text.format(**data)


def with_hints(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Add advice to the messages of warnings and notes."""
    return tuple(diagnostic.with_hint(hint_for(diagnostic.code, diagnostic.data)) for diagnostic in diagnostics)
