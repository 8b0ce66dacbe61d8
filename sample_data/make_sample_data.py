"""Make the sample files of this folder again: real outputs of two small models.

Run from the root of the repository::

    python sample_data/make_sample_data.py
    python sample_data/make_sample_data.py --output /some/other/folder

It needs scikit-learn besides what xent needs, downloads nothing and takes some ten seconds.

Notes
-----
Units: logits have none (they are scores before softmax); the losses that follow from them are in nats.

Data:

* Digits: `sklearn.datasets.load_digits`, which is the test part of "Optical Recognition of Handwritten Digits" from
  the UCI Machine Learning Repository, 1797 images of 8 x 8 pixels with 17 grey levels (0 to 16). Licence: CC BY 4.0.
  Cite as: Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits [Dataset]. UCI Machine
  Learning Repository. https://doi.org/10.24432/C50P49
* Text: the descriptions (`DESCR`) of the six small data sets that ship with scikit-learn; licence BSD 3-Clause.

The files in the repository were made with Python 3.11.7, NumPy 2.4.6, SciPy 1.17.1, scikit-learn 1.9.1 and
PyArrow 26.0.1 on x86-64. The same versions on the same kind of processor give the same bytes; others may give
slightly different logits, as solvers round differently and the descriptions change now and then.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUM_TEST = 360  # 20 % of the 1797 digits
NUM_WORSE_TRAIN = 150  # of the 1437 training digits

VOCAB = 256  # every byte is a token
CONTEXT = 6  # bytes that the next byte is told from
TIME = 32  # positions per sequence, with padding
LENGTHS = (29, 28, 29, 28)  # positions per sequence, without
PADDING_LABEL = -100
NUM_EPOCHS = 40
BATCH_SIZE = 64
LEARNING_RATE = 8.0


def digit_outputs() -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Train two digit classifiers and run them on the same held-out digits.

    Returns
    -------
    rows
        [360] rows of the test digits in `load_digits()`, ascending.
    labels
        [360] digits, 0 to 9.
    logits
        [360, 10] of multinomial logistic regression trained on the other 1437 digits.
    worse_logits
        [360, 10] of the same model trained on only 150 of them.
    """
    images, digits = datasets.load_digits(return_X_y=True)
    images = images / 16.0  # grey levels 0..16 to 0..1
    train, test = train_test_split(np.arange(len(digits)), test_size=NUM_TEST, stratify=digits, random_state=0)
    test.sort()  # so that ids go up
    outputs = []
    # `train` is shuffled: its first rows are a random part of it.
    for rows in (train, train[:NUM_WORSE_TRAIN]):
        # C = 30 hardly regularises, which makes the model sure of itself, now and then wrongly.
        model = LogisticRegression(C=30.0, max_iter=2000).fit(images[rows], digits[rows])
        outputs.append(model.decision_function(images[test]).astype(np.float32))
    return test.astype(np.int64), digits[test].astype(np.int64), outputs[0], outputs[1]


def one_hot(contexts: NDArray[np.uint8]) -> Any:
    """Sparse [n, CONTEXT * VOCAB] matrix with a one per byte of each context in `contexts` [n, CONTEXT]."""
    n = len(contexts)
    columns = contexts + VOCAB * np.arange(CONTEXT)
    starts = np.arange(n + 1) * CONTEXT
    ones = np.ones(n * CONTEXT, np.float32)
    return csr_array((ones, columns.ravel(), starts), shape=(n, CONTEXT * VOCAB))


def train_byte_model(text: NDArray[np.uint8]) -> FloatArray:
    """Train a log-linear model of the next byte given the CONTEXT bytes before it.

    There is no penalty on the weights and the learning rate is large, so the model grows sure of itself. Plain
    gradient steps keep the logits of a row summing to zero, so that what the model believes in lies far above zero:
    exp of it does not fit into float16, which this sample is there to show.

    Parameters
    ----------
    text
        Bytes to learn.

    Returns
    -------
    weights
        [CONTEXT * VOCAB, VOCAB]; logits are `one_hot(contexts) @ weights`.
    """
    rng = np.random.default_rng(0)
    inputs = one_hot(sliding_window_view(text, CONTEXT)[:-1])
    targets = text[CONTEXT:]
    weights = np.zeros((CONTEXT * VOCAB, VOCAB), np.float32)
    for _ in range(NUM_EPOCHS):
        order = rng.permutation(len(targets))
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            rows = inputs[batch]
            logits = rows @ weights
            probs = np.exp(logits - logits.max(axis=1, keepdims=True))
            probs /= probs.sum(axis=1, keepdims=True)
            probs[np.arange(len(batch)), targets[batch]] -= 1.0  # now the gradient of the loss in the logits
            weights -= np.float32(LEARNING_RATE / len(batch)) * (rows.T @ probs)
    return weights


def token_outputs() -> tuple[NDArray[np.float16], IntArray]:
    """Train the byte model and run it on two passages that it has seen and two that it has not.

    Returns
    -------
    logits
        [4, TIME, VOCAB], as (batch, time, vocabulary).
    labels
        [4, TIME] next bytes, PADDING_LABEL at the end of each sequence.
    """
    loaders = ("iris", "wine", "breast_cancer", "diabetes", "linnerud")
    descriptions = [getattr(datasets, f"load_{name}")().DESCR for name in loaders]
    seen = np.frombuffer("\n".join(descriptions).encode(), np.uint8)
    held_out = np.frombuffer(datasets.load_digits().DESCR.encode(), np.uint8)
    weights = train_byte_model(seen)

    # One and two fifths into each text stand plain sentences, not tables.
    passages = [(text, len(text) * fifths // 5) for text in (seen, held_out) for fifths in (1, 2)]
    labels = np.full((len(passages), TIME), PADDING_LABEL, np.int64)
    logits = np.empty((len(passages), TIME, VOCAB), np.float16)
    for i, ((text, start), length) in enumerate(zip(passages, LENGTHS, strict=True)):
        labels[i, :length] = text[start : start + length]
        # Padding is read as zero bytes: a batched model computes logits there too, which nobody should score.
        read = np.zeros(CONTEXT + TIME - 1, np.uint8)
        read[: CONTEXT + length] = text[start - CONTEXT : start + length]
        logits[i] = one_hot(sliding_window_view(read, CONTEXT)) @ weights
    return logits, labels


def write_csv(path: Path, ids: list[str], labels: IntArray, logits: FloatArray) -> None:
    """Write `id`, `label` (class name) and a column of logits per class.

    `tolist` widens float32 to Python floats and `csv` writes their `repr`, which reads back as the very same number.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", *DIGIT_NAMES])
        for name, label, row in zip(ids, labels.tolist(), logits.tolist(), strict=True):
            writer.writerow([name, DIGIT_NAMES[label], *row])


def write_parquet(path: Path, ids: list[str], labels: IntArray, logits: FloatArray) -> None:
    """Write columns `id` (string), `label` (int64) and `logits` (list of float) in two row groups."""
    columns = {"id": pa.array(ids), "label": pa.array(labels), "logits": pa.array(list(logits), pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), path, row_group_size=NUM_TEST // 2, compression="zstd")


def main() -> None:
    """Make every file."""
    parser = argparse.ArgumentParser(description="Make the sample files of xent again.")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent, metavar="DIR")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    # Sums over several threads round differently from run to run; one thread gives the same bytes each time.
    with threadpool_limits(1):
        rows, digit_labels, digit_logits, worse_logits = digit_outputs()
        token_logits, token_labels = token_outputs()

    ids = [f"digit-{row:04d}" for row in rows]
    arrays: dict[str, NDArray[Any]] = {
        "digits_logits": digit_logits,
        "digits_labels": digit_labels,
        "digits_worse_logits": worse_logits,
        "tokens_logits": token_logits,
        "tokens_labels": token_labels,
    }
    for name, array in arrays.items():
        np.save(output / f"{name}.npy", array)
    write_csv(output / "digits.csv", ids, digit_labels, digit_logits)
    write_parquet(output / "digits.parquet", ids, digit_labels, digit_logits)


if __name__ == "__main__":
    main()
