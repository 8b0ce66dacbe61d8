"""Write options.json: small cases for temperature, label smoothing, class weights, dense labels and teachers.

Run ``python make_options.py [FILE]`` with NumPy and mpmath. Logits are float64 unless a case says float32, and every
stored number, including options, is the exact double that it reads back to. Results are computed with 450 digits and
rounded once. "inf", "-inf" and "nan" are the values that JSON does not have.

- ``loss``: per row, class weights included, with l = -log softmax(z / T). Index labels y: (1 - eps) w_y l_y +
  eps/C sum_j w_j l_j. Dense labels q: sum_j w_j ((1 - eps) q_j + eps/C) l_j. Teacher: the dense labels are q =
  softmax(teacher), so the loss is H(q, p).
- ``mean``: with index labels the sum of the losses over the sum of the w_y; otherwise over the number of rows.
- ``gradient``: of the mean, with respect to the logits as given; null where a loss is infinite.
- ``kl``, ``kl_mean``: KL(q || p) per row, and its mean over rows; for teachers.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from reference import DIGITS, batch_mpf, kl_mpf, log_softmax_mpf, round_mpf


def plain(value: Any) -> Any:
    """Turn arrays and non-finite floats into what JSON can hold.

    Examples
    --------
    >>> plain([1.5, math.inf, -math.inf, math.nan])
    [1.5, 'inf', '-inf', 'nan']
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def solve(
    logits: np.ndarray, labels: np.ndarray | None = None, teacher: np.ndarray | None = None, **options: Any
) -> dict[str, Any]:
    """Return the results of one case: loss, mean and gradient; for a teacher also kl and kl_mean."""
    out: dict[str, Any] = {}
    with mpmath.workdps(DIGITS):
        targets = [log_softmax_mpf(row)[1] for row in teacher.tolist()] if labels is None else labels.tolist()
        losses, gradients, divisor = batch_mpf(logits.tolist(), targets, **options)
        out["loss"] = [round_mpf(loss) for loss in losses]
        out["mean"] = round_mpf(mpmath.fsum(losses) / divisor)
        finite = all(mpmath.isfinite(loss) for loss in losses)
        out["gradient"] = [[round_mpf(g / divisor) for g in gradient] for gradient in gradients] if finite else None
        if teacher is not None:
            kl = [kl_mpf(row, other) for row, other in zip(logits.tolist(), teacher.tolist(), strict=True)]
            out["kl"] = [round_mpf(value) for value in kl]
            out["kl_mean"] = round_mpf(mpmath.fsum(kl) / divisor)
    return out


def case(name: str, logits: np.ndarray, labels: np.ndarray | None = None, **kwargs: Any) -> dict[str, Any]:
    """Return inputs, options and results of one case as it is written; a float32 array makes a float32 case."""
    inputs = {"labels": labels, "teacher": kwargs.get("teacher")}
    return {
        "name": name,
        "dtype": logits.dtype.name,
        "options": {key: value for key, value in kwargs.items() if key != "teacher"},
        "logits": logits,
        **{key: value for key, value in inputs.items() if value is not None},
        **solve(logits, labels, **kwargs),
    }


def temperature_cases(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return ordinary and confident rows at four temperatures.

    In a confident case the rows lead by 100, 400, 600 and 700 temperatures; in the second half of them the label is on
    the runner-up.
    """
    cases = []
    for temperature in (0.01, 0.5, 1.5, 100.0):
        for dtype in ("float32", "float64"):
            z = (rng.normal(size=(6, 5)) * 2 * temperature).astype(dtype)
            cases.append(case(f"temperature-{temperature}-{dtype}", z, rng.integers(0, 5, 6), temperature=temperature))
            z = (rng.normal(size=(8, 4)) * min(temperature, 1.0)).astype(dtype)
            top = rng.integers(0, 4, 8)
            z[np.arange(8), top] = -np.inf
            margin = np.tile([100.0, 400.0, 600.0, 700.0], 2) * temperature
            z[np.arange(8), top] = z.max(axis=1) + margin.astype(dtype)
            second = (top + 1) % 4
            y = np.where(np.arange(8) < 4, top, second)
            cases.append(case(f"temperature-{temperature}-confident-{dtype}", z, y, temperature=temperature))
        z = rng.normal(size=(4, 3)) * temperature
        q = rng.dirichlet(np.ones(3), 4)
        cases.append(case(f"temperature-{temperature}-dense", z, q, temperature=temperature))
    return cases


def smoothing_cases(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return cases of label smoothing and class weights, with index labels and with dense ones."""
    cases = []
    weights = [0.5, 2.0, 1.0, 0.0, 3.25]
    z = rng.normal(size=(8, 5)) * 3
    z[6] = [60.0, 0.0, 1.0, -2.0, 3.0]
    y = rng.integers(0, 5, 8)
    y[6] = 0
    q = rng.dirichlet(np.ones(5), 8)
    q[0] = [0, 0, 1, 0, 0]
    for eps in (0.0, 0.1, 0.9):
        for weight in (None, weights):
            options: dict[str, Any] = {"label_smoothing": eps} if eps else {}
            options |= {"class_weight": weight} if weight else {}
            if options:
                tail = f"{eps}{'-weight' if weight else ''}"
                cases.append(case(f"smoothing-{tail}-index", z, y, **options))
                cases.append(case(f"smoothing-{tail}-dense", z, q, **options))
    cases.append(case("all-index", z, y, temperature=1.5, label_smoothing=0.1, class_weight=weights))
    cases.append(case("all-dense", z, q, temperature=1.5, label_smoothing=0.1, class_weight=weights))
    masked = z[:4].copy()
    masked[1, (y[1] + 1) % 5] = -np.inf
    cases.append(case("masked-index", masked, y[:4]))
    cases.append(case("masked-smoothing-index", masked, y[:4], label_smoothing=0.1))
    return cases


def dense_cases(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return cases of dense labels: one-hot, confident, and rows that do not sum to 1."""
    z = rng.normal(size=(6, 4)) * 2
    q = rng.uniform(size=(6, 4))
    q[0] = 0
    q[1] *= 100
    q[2] *= 1e-3
    z[3] = [50.0, 0.0, -1.0, 2.0]
    z[4] = [-1.0, 300.0, 0.0, 0.5]
    q[3], q[4] = [2.0, 0, 0, 0], [0, 0.5, 0, 0]
    masked = z.copy()
    masked[2, 1], masked[5, 0] = -np.inf, -np.inf
    cut = q.copy()
    cut[2, 1], cut[5, 0] = 0, 0
    return [
        case("dense-one-hot", z, np.eye(4)[[0, 3, 2, 0, 1, 1]]),
        case("dense-any-sum", z, q),
        case("dense-any-sum-float32", z.astype("float32"), q),
        case("dense-any-sum-weight", z, q, class_weight=[0.25, 1.0, 2.0, 4.0]),
        case("dense-any-sum-smoothing", z, q, label_smoothing=0.1),
        case("dense-masked", masked, cut),
        case("dense-masked-inf", masked, q),
    ]


def teacher_cases(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return cases of teachers: unlike the student, nearly equal to it, equal to it, shifted, confident and masked."""
    z = rng.normal(size=(6, 5)) * 2
    t = rng.normal(size=(6, 5)) * 2
    cases = [case("teacher-unlike", z, teacher=t), case("teacher-same", z, teacher=z)]
    for delta in (1e-3, 1e-6, 1e-9):
        near = z + rng.normal(size=z.shape) * delta
        cases.append(case(f"teacher-near-{delta}", z, teacher=near))
        near32 = (z + rng.normal(size=z.shape) * max(delta, 3e-7)).astype("float32")
        cases.append(case(f"teacher-near-{delta}-float32", z.astype("float32"), teacher=near32))
        cases.append(case(f"teacher-near-{delta}-far-from-0", z + 100, teacher=z + 100 + (near - z)))
    grid = np.round(z * 64) / 64
    cases.append(case("teacher-shifted", grid, teacher=grid + np.arange(6)[:, None]))
    sure = rng.normal(size=(4, 4))
    sure[np.arange(4), [0, 1, 2, 3]] += [20, 40, 100, 700]
    cases.append(case("teacher-confident-same", sure, teacher=sure))
    cases.append(case("teacher-confident-near", sure, teacher=sure + rng.normal(size=(4, 4)) * 1e-3))
    cases.append(case("teacher-confident-student", sure, teacher=rng.normal(size=(4, 4))))
    cases.append(case("teacher-confident-teacher", rng.normal(size=(4, 4)), teacher=sure))
    masked = z.copy()
    masked[1, 0] = masked[2, 1:4] = masked[3, :4] = -np.inf
    cases.append(case("teacher-masked-same", masked, teacher=masked))
    other = np.where(np.isinf(masked), -np.inf, t)
    cases.append(case("teacher-masked-both", masked, teacher=other))
    cases.append(case("teacher-masked-teacher-only", z, teacher=other))
    cases.append(case("teacher-masked-student-only", masked, teacher=t))
    return cases


def main() -> None:
    """Compute every case and write the file."""
    rng = np.random.default_rng(8)
    cases = [*temperature_cases(rng), *smoothing_cases(rng), *dense_cases(rng), *teacher_cases(rng)]
    lines = ",\n".join(json.dumps(plain(entry), allow_nan=False) for entry in cases)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("options.json")
    path.write_text(f'{{"mpmath": "{mpmath.__version__}", "digits": {DIGITS}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
