"""Losses, divergences and gradients of the compiled kernel, bit for bit the same on every machine and in every version.

`python -m tests.oracles.kernel_bits` compares those of every instruction set with `kernel_bits.json`. It needs only
NumPy. With --write it writes the file. A change of these bits changes results that people have saved: it needs a
reason, and a line in CHANGELOG.md.

Inputs are made of integers, so that they are the same with any version of NumPy.
"""

import hashlib
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np

from xent_cli.core.kernel.cross_entropy import cross_entropy
from xent_cli.core.kernel.distillation import teacher_cross_entropy
from xent_cli.core.kernel.from_probabilities import probability_cross_entropy
from xent_cli.core.kernel.variants import variants, why_not_compiled
from xent_cli.core.options import LossOptions

STORED = Path(__file__).with_suffix(".json")
# Numbers of classes on either side of each change of method: few classes, steps of 16, strips of 8 steps.
CLASSES = (1, 2, 3, 10, 63, 64, 65, 100, 128, 129, 255, 256, 257, 1000, 5000)
DTYPES = ("float16", "float32", "float64")
GIVEN = ("logits", "log-probs", "probs")
# Gradients of more entries are kept as a digest.
MOST_ENTRIES = 40
NAN, INF = float("nan"), float("inf")


def uniform(n, k, seed):
    """[n, k] float64 numbers in [0, 1) of 53 bits, by splitmix64."""
    with np.errstate(over="ignore"):
        x = np.arange(1, n * k + 1, dtype=np.uint64) + np.uint64(seed << 32)
        x *= np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return ((x >> np.uint64(11)).astype(np.float64) / 2.0**53).reshape(n, k)


def ordinary(n, k, seed):
    """Return logits like those of models, about as wide as a normal distribution with a standard deviation of 3."""
    return sum(uniform(n, k, seed + i) - 0.5 for i in range(4)) * 5.0


def extremes():
    """Return rows of all that is not ordinary: huge, tiny, equal, infinite and NaN logits."""
    tiny, huge = 5e-324, 1.7976931348623157e308
    rows = [
        *([0.0, 0.0, 0.0], [7.0, 7.0, 7.0], [40.0, 0.0, 0.0], [0.0, 40.0, 40.0], [-INF, 0.0, 1.0], [-INF, -INF, 3.0]),
        *(
            [-INF, -INF, -INF],
            [INF, 0.0, 0.0],
            [NAN, 0.0, 0.0],
            [0.0, 0.0, NAN],
            [huge, -huge, 0.0],
            [-huge, huge, huge],
        ),
        *([tiny, 0.0, -tiny], [1e-20, 1.0, 0.0], [100.123, 3e-9, 0.0], [1e16, 1e16 + 2, 1e16 - 4], [0.1, 0.2, 0.3]),
    ]
    rows += [
        [0.0, -margin, -margin] for margin in (128.0, 600.0, 690.0, 699.9, 700.1, 708.5, 740.0, 744.875, 745.5, 748.0)
    ]
    rows += [[-margin, 0.1, -margin - 1.5] for margin in (37.0, 128.3, 699.7, 707.1, 744.4)]
    return np.array(rows)


def given(kind, k, seed):
    """Return rows of logits, probabilities or labels, made only with + - * /: bits of other functions may differ."""
    if kind == "logits":
        return ordinary(5, k, 300 + seed)
    return -8 * uniform(5, k, 400 + seed) if kind == "log-probs" else uniform(5, k, 500 + seed) / k


def losses(logits, labels, options, **gradient):
    """Call the kernel for what the inputs hold."""
    if options.labels_source != "labels":
        return teacher_cross_entropy(logits, labels, options, **gradient)
    if options.source != "logits":
        return probability_cross_entropy(logits, labels, options)
    return cross_entropy(logits, labels, options, **gradient)


def cases():
    """Yield name, logits, labels and options of each case."""
    for k, dtype in product(CLASSES, DTYPES):
        z = ordinary(5, k, k).astype(dtype)
        sparse = np.arange(5) * 7 % k
        dense = uniform(5, k, 9000 + k)
        dense /= k
        weight = 0.25 + uniform(1, k, 7000 + k)[0]
        kinds = {
            "sparse": (sparse, {}),
            "smoothing": (sparse, {"label_smoothing": 0.1}),
            "class weights": (sparse, {"class_weight": weight}),
            "smoothing and class weights": (sparse, {"label_smoothing": 0.3, "class_weight": weight}),
            "temperature": (sparse, {"temperature": 0.7}),
            "dense": (dense, {"labels": "dense"}),
            "dense, all at once": (
                dense.astype(np.float32),
                {"labels": "dense", "label_smoothing": 0.1, "class_weight": weight, "temperature": 3.1},
            ),
        }
        for kind, (labels, options) in kinds.items():
            yield f"{kind}, {k} x {dtype}", z, labels, options
    for k, (source, taught) in product((1, 3, 10, 128, 129, 1000), product(GIVEN, ("labels", *GIVEN))):
        first, second = (given(kind, k, seed) for kind, seed in ((source, k), (taught, 2 * k)))
        if source != "logits" or taught != "labels":
            options = {"source": source, "labels": "dense", "labels_source": taught}
            yield f"{source} and {taught}, {k}", first, second, options
            yield f"{source} and {taught}, {k} x float32", first.astype("f4"), second.astype("f4"), options
    for k in (3, 10, 129, 1000):
        both = given("logits", k, 1), given("logits", k, 2)
        options = {"labels": "dense", "labels_source": "logits"}
        for name, each in {"equal": (both[0], both[0]), "near": (both[0], both[0] + both[1] / 2**20)}.items():
            yield f"{name} teacher, {k}", *each, options
        yield f"temperatures, {k}", *both, options | {"temperature": 0.7, "teacher_temperature": 1.9}
        yield (
            f"divided by their sums, {k}",
            given("probs", k, 1),
            given("probs", k, 2),
            options
            | {
                "source": "probs",
                "labels_source": "probs",
                "normalize": True,
            },
        )
    rows = extremes()
    with np.errstate(over="ignore"):
        for dtype, label in product(DTYPES, range(3)):
            labels = np.full(len(rows), label)
            for name, options in {
                "plain": {},
                "temperature": {"temperature": 1.3},
                "smoothing": {"label_smoothing": 0.2},
            }.items():
                yield f"extremes of label {label}, {name}, {dtype}", rows.astype(dtype), labels, options
    equal = np.repeat([[-25.0], [-0.5], [-120.0]], 20_000, axis=1)
    equal[:, 17] = 0.0
    falling = -np.arange(20_000) / np.array([[16.0], [512.0], [40.0]])
    for name, z in {"equal": equal, "falling": falling}.items():
        yield f"sums of {name} terms", z, np.array([17, 0, 19_999]), {}


def computed(kernel):
    """Return the losses and gradients of a kernel for every case, as hex; long gradients as a digest."""
    found = {}
    for name, logits, labels, settings in cases():
        options = LossOptions(**settings, kernel=kernel)
        dtype = "float32" if logits.dtype == np.float32 else "float64"
        scale = (np.arange(len(logits)) + 1) / 8
        found[name] = alone = values(losses(logits, labels, options))
        if options.source == "logits":
            both = losses(logits, labels, options, gradient_dtype=dtype, gradient_scale=scale)
            if values(both) != alone:  # before the gradient is added to it
                raise AssertionError(f"{name}: a gradient changes the losses")
            entries = both.gradient.ravel()
            entries[np.isnan(entries)] = np.nan
            digest = hashlib.sha256(entries.astype(entries.dtype.newbyteorder("<")).tobytes()).hexdigest()
            alone["gradient"] = digest if entries.size > MOST_ENTRIES else " ".join(float(g).hex() for g in entries)
    return found


def values(found):
    """Return the loss, and the divergence if there is one, as hex."""
    columns = {"loss": found.loss} | ({} if found.kl is None else {"kl": found.kl})
    return {name: " ".join(float(value).hex() for value in column) for name, column in columns.items()}


def differences(kernel):
    """Name the cases in which the bits of a kernel differ from the stored ones."""
    stored, found = json.loads(STORED.read_text()), computed(kernel)
    return [f"{name}: {part}" for name in stored | found for part in ("loss", "kl", "gradient")
            if stored.get(name, {}).get(part) != found.get(name, {}).get(part)]  # fmt: skip


if __name__ == "__main__":
    unlike = []
    if "--write" in sys.argv:
        STORED.write_text(json.dumps(computed("c"), indent=0) + "\n")
    for variant in variants():
        found = differences(f"c-{variant}")
        print(f"{variant}: {len(found)} of {len(list(cases()))} cases differ from what is stored", *found, sep="\n  ")
        unlike += found
    if not variants():
        print(f"no compiled kernel: {why_not_compiled()}")
    sys.exit(bool(unlike))
