"""Write high_precision.npz: losses and gradients of hard rows, from `reference`.

Run ``python make_high_precision.py [FILE]`` with NumPy and mpmath. Per case there are ``<name>_logits``,
``<name>_labels``, ``<name>_loss`` and, for the smaller ones, ``<name>_gradient``: of each row's loss, not divided by
the number of rows. Losses and gradients are float64, computed with 450 digits from the stored logits taken as exact,
and rounded once. Names are ``<dtype>_<kind>_c<classes>``; the kinds are the functions of `KINDS`.
"""

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import mpmath
import numpy as np
from reference import DIGITS, cross_entropy_mpf, round_mpf

MARGINS = np.array([1.0, 5, 10, 17, 20, 37, 40, 100, 300, 700, 740])
GRADIENT_ENTRIES = 1200  # larger cases carry no gradient
COARSE = 100  # from so many classes on, logits are multiples of 1/256, which keeps the file small

# The rows of a kind, [n, classes] in float64, and their labels. `dtype` is that of the logits to come.
Rows = tuple[np.ndarray, np.ndarray]


def normal(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return ordinary rows with standard deviations of 1, 3 and 10."""
    z = rng.normal(size=(n, classes)) * np.array([1.0, 3.0, 10.0])[np.arange(n) % 3, None]
    return z, rng.integers(0, classes, n)


def confident(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows with one class ahead of the next by each of `MARGINS`, and the label on it.

    In half of the rows the maximum is far from 0 and the other logits near it, in the rest the other way round. The
    other classes are a few nats below the runner-up, so that more than one term counts.
    """
    z = rng.normal(size=(n, classes))
    z -= z.max(axis=1, keepdims=True)
    margin = MARGINS[np.arange(n) % len(MARGINS)]
    label = rng.integers(0, classes, n)
    z[np.arange(n), label] = z.max(axis=1) + margin
    z += np.where(np.arange(n) // len(MARGINS) % 2 == 0, rng.normal(size=n), -margin)[:, None]
    return z, label


def wrong(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return the rows of `confident` with the label on another class."""
    z, label = confident(rng, n, classes, dtype)
    return z, (label + rng.integers(1, classes, n)) % classes


def ties(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows with two to all classes equal at the maximum, and the label on one of them or elsewhere."""
    z = rng.normal(size=(n, classes)) * 4
    for i in range(n):
        tied = rng.choice(classes, classes if i % 7 == 0 else 2 + i % (classes - 1), replace=False)
        z[i, tied] = z[i].max() + (0, 0.5, 40)[i % 3]
    return z, rng.integers(0, classes, n)


def tiny_beside_large(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows of tiny logits and a maximum of 20, 300 or 700, so that z - max is not a float64."""
    tiny = np.array([6e-8, 1e-6, 1e-4] if dtype == "float16" else [1e-30, 5e-14, 1e-9])
    z = rng.choice(tiny, size=(n, classes)) * rng.choice([-1.0, 1.0], size=(n, classes))
    z[::2] *= rng.uniform(1, 2, size=z[::2].shape)
    top = rng.integers(0, classes, n)
    z[np.arange(n), top] = np.array([20.0, 300.0, 700.0])[np.arange(n) % 3]
    return z, np.where(np.arange(n) % 4 == 3, rng.integers(0, classes, n), top)


def tiny_maximum(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows with a tiny maximum, of either sign, and other logits of -30, -100 and -700."""
    tiny = np.array([6e-8, -6e-8, 2e-7] if dtype == "float16" else [1e-9, -1e-9, 2e-7])
    z = np.array([-30.0, -100.0, -700.0])[np.arange(n) % 3, None] + rng.normal(size=(n, classes)) * (
        np.arange(n) % 2 == 0
    ).reshape(n, 1)
    top = rng.integers(0, classes, n)
    z[np.arange(n), top] = tiny[np.arange(n) // 3 % 3]
    return z, np.where(np.arange(n) % 4 == 3, rng.integers(0, classes, n), top)


def huge(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows with logits of 1e4, 1e6 and 1e30, as a common offset and as the spread."""
    scale = np.array([1e3, 1e4, 3e4] if dtype == "float16" else [1e4, 1e6, 1e30])[np.arange(n) % 3, None]
    sign = rng.choice([-1.0, 1.0], size=(n, 1))
    offset = sign * scale + rng.normal(size=(n, classes)) * 3
    spread = rng.uniform(-1, 1, size=(n, classes)) * scale
    mixed = rng.choice([-1.0, 0.0, 1.0], size=(n, classes)) * scale
    which = (np.arange(n) // 3 % 3)[:, None]
    return np.where(which == 0, offset, np.where(which == 1, spread, mixed)), rng.integers(0, classes, n)


def equal_others(rng: np.random.Generator, n: int, classes: int, dtype: str) -> Rows:
    """Return rows with all other classes equal, 10 below the maximum."""
    top = rng.integers(0, classes, n)
    base = rng.normal(size=n) * 3
    base[::4] = 0
    z = np.repeat(base[:, None] - 10, classes, axis=1)
    z[np.arange(n), top] = base
    return z, np.where(np.arange(n) % 8 == 7, rng.integers(0, classes, n), top)


KINDS: dict[Callable[[np.random.Generator, int, int, str], Rows], dict[int, int]] = {
    normal: {1: 10, 2: 200, 3: 200, 10: 120, 32: 30, 33: 30, 64: 20, 65: 20, 100: 12, 1000: 3},
    confident: {2: 220, 3: 220, 10: 110, 32: 22, 33: 22, 64: 22, 65: 22, 100: 11, 1000: 11},
    wrong: {2: 110, 3: 110, 10: 110, 64: 11, 100: 11},
    ties: {2: 60, 3: 60, 10: 60, 64: 12, 100: 12},
    tiny_beside_large: {2: 200, 3: 200, 10: 120, 33: 36, 65: 18},
    tiny_maximum: {2: 100, 3: 100, 10: 100, 33: 24, 65: 12},
    huge: {2: 90, 3: 90, 10: 90, 64: 9, 100: 9},
    equal_others: {64: 200},
}


def solve(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return losses and gradients of stored rows, each entry rounded once."""
    loss = np.empty(len(labels))
    gradient = np.empty(logits.shape)
    with mpmath.workdps(DIGITS):
        for i, (row, label) in enumerate(zip(logits.tolist(), labels.tolist(), strict=True)):
            value, slope = cross_entropy_mpf(row, label)
            loss[i] = round_mpf(value)
            gradient[i] = [round_mpf(entry) for entry in slope] if gradient.size <= GRADIENT_ENTRIES else 0
    return loss, gradient


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz whose bytes do not depend on the clock."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)


def main() -> None:
    """Compute every case and write the file."""
    arrays: dict[str, np.ndarray] = {}
    for dtype in ("float16", "float32", "float64"):
        for number, (kind, sizes) in enumerate(KINDS.items()):
            for classes, n in sizes.items():
                rng = np.random.default_rng([number, classes, np.dtype(dtype).itemsize])
                z, labels = kind(rng, n, classes, dtype)
                if classes >= COARSE:
                    z = np.round(z * 256) / 256
                logits = z.astype(dtype)
                name = f"{dtype}_{kind.__name__}_c{classes}"
                loss, gradient = solve(logits, labels)
                arrays |= {f"{name}_logits": logits, f"{name}_labels": labels.astype("<i2"), f"{name}_loss": loss}
                if gradient.size <= GRADIENT_ENTRIES:
                    arrays[f"{name}_gradient"] = gradient
    save(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("high_precision.npz")), arrays)


if __name__ == "__main__":
    main()
