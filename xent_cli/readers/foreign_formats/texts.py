"""Text output of other programs that is not a table: the error names it and shows how to make a table of it."""

from __future__ import annotations

import re

from xent_cli.errors import InputError
from xent_cli.readers.foreign_formats.refuse import command

_NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
_PAIRS = rf"[0-9]+:{_NUMBER}(?:[ \t]+[0-9]+:{_NUMBER})+"
# Name, beginning of the text, words before the line, and the line, which `command` fills in.
_TEXTS = (
    (
        "an ARFF file of Weka",
        re.compile(r"(?:\s*(?:%[^\n]*)?\n)*\s*@relation\b", re.IGNORECASE),
        "",
        "import scipy.io.arff, pandas; pandas.DataFrame(scipy.io.arff.loadarff(FILE)[0])"
        ".map(lambda x: x.decode() if isinstance(x, bytes) else x).to_csv('STEM.csv', index=False)",
    ),
    (
        "predictions as Weka prints them",
        re.compile(r"\s*(?:=== [^\n]*===\s*)?inst#\s", re.IGNORECASE),
        "write them as CSV with their distribution: ",
        "java -cp weka.jar CLASSIFIER -l MODEL -T TEST.arff "
        "-classifications 'weka.classifiers.evaluation.output.prediction.CSV -distribution' > STEM.csv",
    ),
    (
        "predictions as Weka writes them to CSV",
        re.compile(r"\s*inst#,", re.IGNORECASE),
        "with -distribution they make a table of a label and a column for each class: ",
        'awk -F, \'NR > 1 && NF > 5 {gsub(/[*]/, ""); split($2, a, ":"); s = a[1] - 1; '
        'for (i = 5; i <= NF; i++) s = s "," $i; print s}\' FILE > STEM.csv',
    ),
    (
        "predictions of fastText",
        re.compile(rf"__label__\S+ {_NUMBER}(?: __label__\S+ {_NUMBER})*\r?(?:\n|\Z)"),
        "it must hold all classes (predict-prob MODEL TEXT 1000000): ",
        "import json; [print(json.dumps({'probs': dict(zip([n[9:] for n in w[::2]], map(float, w[1::2])))}), "
        "file=out) for out in [open('STEM.jsonl', 'w')] for w in map(str.split, open(FILE))]",
    ),
    (
        "examples for fastText",
        re.compile(r"__label__\S+ +[^\s\d]"),
        "it holds what a model is given, not what it said: ",
        "fasttext predict-prob MODEL FILE 1000000 > STEM.txt",
    ),
    (
        "scores as Vowpal Wabbit writes them",
        re.compile(rf"{_PAIRS}(?:[ \t]+\S+)?\r?(?:\n|\Z)"),
        "its classes are numbered from 1, for which there is --first-class 1: ",
        "sed -E 's/(^|[[:blank:]])[0-9]+:/\\1/g' FILE > STEM.txt",
    ),
    (
        "examples of LIBSVM",
        re.compile(rf"{_NUMBER}[ \t]+[0-9]+:{_NUMBER}(?:[ \t]+[0-9]+:{_NUMBER})*[ \t]*\r?(?:\n|\Z)"),
        "it holds the inputs of a model; if these are its outputs: ",
        "import numpy, sklearn.datasets; x, y = sklearn.datasets.load_svmlight_file(FILE); "
        "numpy.savez('STEM.npz', logits=x.toarray(), labels=y.astype(int))",
    ),
    (
        "examples of Vowpal Wabbit",
        re.compile(r"(?:[-+0-9.]+[ \t]+)*(?:'\S+)?\|[A-Za-z]\w*(?::[0-9.]+)?[ \t]"),
        "it holds what a model is given, not what it said: ",
        "vw -t -i MODEL -d FILE --probabilities -p STEM.txt",
    ),
    (
        "a Kaldi archive of text",
        re.compile(rf"[^\s,;|\"\[]+[ \t]+\[[ \t]*(?:\r?\n|(?:{_NUMBER}[ \t]+)+\]?[ \t]*\r?(?:\n|\Z))"),
        "a row for each frame, in the order of the utterances: ",
        "sed -E 's/^.*\\[//; s/\\]//' FILE | grep '[0-9]' > STEM.txt",
    ),
)


def refuse_text(name: str, text: str) -> None:
    r"""Refuse text written by another program in a format that is not a table.

    Parameters
    ----------
    text
        The first few lines.

    Raises
    ------
    InputError
        With the name of the program, and the command that converts the file.

    Examples
    --------
    >>> refuse_text("f.txt", "a,b\n0.5,1\n")
    """
    for found, begins, words, line in _TEXTS:
        if begins.match(text):
            raise InputError("format not supported", name, found=found, hint=words + command(line, name))
