"""Every kernel through the command: the same bits for every format, layout and axis, and the values of a formula."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.click_runner import runner
from tests.torch_writer import save as save_torch
from xent_cli.cli import cli

LONG = np.longdouble
N, K = 12, 5
RANDOM = np.random.default_rng(5)
LOGITS, TAUGHT = RANDOM.normal(0, 4, (N, K)), RANDOM.normal(0, 4, (N, K))
LABELS, WEIGHTS = RANDOM.integers(0, K, N), RANDOM.uniform(0.5, 2.0, N)
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.0, 0.25, 3.0])


def log_softmax(z):
    z = np.asarray(z, LONG)
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def given(z, kind):
    held = {"logits": z, "log-probs": log_softmax(z), "probs": np.exp(log_softmax(z))}
    return np.asarray(held[kind], np.float64)


# Options, the contents of the first and second input, and the terms of the formula: the weight of each class, and log
# p.
SPARSE = np.eye(K)[LABELS]
DENSE = given(TAUGHT, "probs")
KERNELS = {
    "sparse": ([], LOGITS, LABELS),
    "smoothing": (["--label-smoothing", "0.1"], LOGITS, LABELS),
    "class weights": (["--class-weight", "cw.npy"], LOGITS, LABELS),
    "temperature": (["--temperature", "0.7"], LOGITS, LABELS),
    "dense": (["--labels", "dense"], LOGITS, DENSE),
    "dense, smoothing": (["--labels", "dense", "--label-smoothing", "0.2"], LOGITS, DENSE),
    "probabilities": (["--from", "probs"], given(LOGITS, "probs"), LABELS),
    "log-probabilities": (["--from", "log-probs"], given(LOGITS, "log-probs"), LABELS),
    "probabilities, dense": (["--from", "probs", "--labels", "dense"], given(LOGITS, "probs"), DENSE),
    "temperature and a teacher": (["--temperature", "2.0", "--labels-from", "logits"], LOGITS, TAUGHT),
}
for first in ("logits", "log-probs", "probs"):
    for second in ("logits", "log-probs", "probs"):
        options = ["--from", first, "--labels-from", second]
        KERNELS[f"{first} of a teacher's {second}"] = (options, given(LOGITS, first), given(TAUGHT, second))


def formula(options, first, second):
    """Return the mean loss and mean divergence with the sample weights, in extended precision."""
    chosen = dict(zip(options[::2], options[1::2], strict=True))
    source, taught = chosen.get("--from", "logits"), chosen.get("--labels-from", "labels")
    temperature, smoothing = (
        LONG(float(chosen.get("--temperature", 1))),
        LONG(float(chosen.get("--label-smoothing", 0))),
    )

    def logarithms(values, kind, divisor=1):
        values = values.astype(LONG)
        return log_softmax(values / divisor) if kind == "logits" else np.log(values) if kind == "probs" else values

    log_p, weights, kl = logarithms(first, source, temperature), WEIGHTS.astype(LONG), None
    if taught != "labels":
        log_q = logarithms(second, taught)
        counts = np.exp(log_q)
        kl = float(((counts * (log_q - log_p)).sum(axis=1) * weights).sum() / weights.sum())
    else:
        counts = (1 - smoothing) * (second if second.ndim == 2 else SPARSE).astype(LONG) + smoothing / K
    divisor = weights
    if "--class-weight" in chosen:
        counts, divisor = counts * CLASS_WEIGHTS, weights * CLASS_WEIGHTS[second]
    return float(((counts * -log_p).sum(axis=1) * weights).sum() / divisor.sum()), kl


def wide(values):
    return pa.table({f"c{i}": np.ascontiguousarray(values[:, i]) for i in range(K)})


def text(path, values, separator):
    lines = [separator.join(f"c{i}" for i in range(K)), *(separator.join(map(repr, row)) for row in values.tolist())]
    path.write_text("\n".join(lines) + "\n")


def arrow(path, values):
    table = wide(values)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


# Writers of an array or a table of classes, given its path and, for a single column, the name.
FORMATS = {
    "c.npy": lambda path, a, name: np.save(path, a),
    "f.npy": lambda path, a, name: np.save(path, np.asfortranarray(a)),
    "big_endian.npy": lambda path, a, name: np.save(path, a.astype(">f8")),
    "records.npy": lambda path, a, name: np.save(path, wide(a).to_pandas().to_records(index=False)),
    "list_records.npy": lambda path, a, name: np.save(path, np.array([(row,) for row in a], [(name, ">f8", (K,))])),
    "pieces.npz": lambda path, a, name: np.savez(path, **{f"{name}.{i}": p for i, p in enumerate(np.split(a, [1, 7]))}),
    "a.npz": lambda path, a, name: np.savez(path, a),
    "a.csv": lambda path, a, name: text(path, a, ","),
    "a.tsv": lambda path, a, name: text(path, a, "\t"),
    "wide.parquet": lambda path, a, name: pq.write_table(wide(a), path, row_group_size=7),
    "list.parquet": lambda path, a, name: pq.write_table(pa.table({name: list(a)}), path, row_group_size=7),
    "a.arrow": lambda path, a, name: arrow(path, a),
    "a.jsonl": lambda path, a, name: path.write_text("".join(json.dumps({name: row}) + "\n" for row in a.tolist())),
    "a.pt": lambda path, a, name: save_torch(path, np.ascontiguousarray(a)),
    "a.safetensors": lambda path, a, name: save_file({name: np.ascontiguousarray(a)}, path),
}
# Axes of the classes, in arrays of other shapes with the samples in the same order.
AXES = {
    "classes first": (0, lambda a: np.ascontiguousarray(a.T)),
    "classes first, Fortran order": (0, lambda a: np.asfortranarray(a.T)),
    "classes in the middle": (1, lambda a: np.ascontiguousarray(np.moveaxis(a.reshape(3, 4, K), -1, 1))),
    "classes in the middle, Fortran order": (1, lambda a: np.asfortranarray(np.moveaxis(a.reshape(3, 4, K), -1, 1))),
    "classes last, samples of two axes": (2, lambda a: a.reshape(3, 4, K)),
}


def answered(folder, name, first, second):
    """Return the summary, and the bits of the loss and the divergence of each row."""
    options, *_ = KERNELS[name]
    np.save(folder / "w.npy", WEIGHTS)
    np.save(folder / "cw.npy", CLASS_WEIGHTS)
    options = [str(folder / "cw.npy") if option == "cw.npy" else option for option in options]
    rows = folder / "rows.parquet"
    argv = ["compute", first[0], second[0], *options, *first[1:], "--sample-weight", folder / "w.npy", "-f", "json"]
    run = runner().invoke(cli, [*map(str, argv), "-o", str(rows), "--engine", "local"], standalone_mode=False)
    assert run.exception is None, (run.exception, run.stderr)
    table = pq.read_table(rows)
    summary = {key: value for key, value in json.loads(run.stdout)["summary"].items() if "digest" not in key}
    columns = [table[column].to_numpy() for column in ("loss", "kl_divergence") if column in table.column_names]
    return json.dumps(summary), [column.tobytes() for column in columns]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the results for C-ordered .npy files, by kernel."""
    found = {}

    def of(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("plain")
            _, first, second = KERNELS[name]
            np.save(folder / "first.npy", first)
            np.save(folder / "second.npy", second)
            found[name] = answered(folder, name, [folder / "first.npy"], [folder / "second.npy"])
        return found[name]

    return of


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_agrees_with_its_formula_through_the_command(name, plain):
    summary = json.loads(plain(name)[0])
    loss, kl = formula(*KERNELS[name])
    assert summary["mean_loss"] == pytest.approx(loss, rel=1e-12)
    assert summary.get("kl_divergence") == (None if kl is None else pytest.approx(kl, rel=1e-12))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", KERNELS)
def test_every_format_gives_the_same_bits(name, format_name, plain, tmp_path):
    _, first, second = KERNELS[name]
    paths = [tmp_path / f"first_{format_name}", tmp_path / f"second_{format_name}"]
    FORMATS[format_name](paths[0], first, "logits")
    if second.ndim == 2:
        FORMATS[format_name](paths[1], second, "label" if "--labels" in KERNELS[name][0] else "logits")
    else:
        paths[1] = tmp_path / "labels.npy"
        np.save(paths[1], second)
    assert answered(tmp_path, name, paths[:1], paths[1:]) == plain(name)


@pytest.mark.parametrize("layout", AXES)
@pytest.mark.parametrize("name", KERNELS)
def test_every_axis_gives_the_same_bits(name, layout, plain, tmp_path):
    _, first, second = KERNELS[name]
    axis, lay = AXES[layout]
    arrays = [lay(first), lay(second) if second.ndim == 2 else second]
    if second.ndim == 1:
        arrays[1] = second.reshape([side for place, side in enumerate(arrays[0].shape) if place != axis])
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"{i}.npy", array)
    # Samples on several axes would form clusters, unlike plain rows.
    options = ["--axis", axis, "--cluster", "none"]
    assert answered(tmp_path, name, [tmp_path / "0.npy", *options], [tmp_path / "1.npy"]) == plain(name)


# A teacher given by the classes and values of each row, with every class listed.
HIGHEST = {
    "top.npz": lambda path, i, v: np.savez_compressed(path, topk_ids=i, topk_values=v),
    "top.parquet": lambda path, i, v: pq.write_table(pa.table({"top_ids": list(i), "top_values": list(v)}), path),
}


@pytest.mark.parametrize("format_name", HIGHEST)
@pytest.mark.parametrize("second", ["log-probs", "probs"])
@pytest.mark.parametrize("first", ["logits", "log-probs", "probs"])
def test_classes_listed_by_rank_give_the_same_as_dense_rows(first, second, format_name, plain, tmp_path):
    name = f"{first} of a teacher's {second}"
    _, own, taught = KERNELS[name]
    order = np.argsort(-taught, axis=1)
    np.save(tmp_path / "z.npy", own)
    HIGHEST[format_name](tmp_path / format_name, order, np.take_along_axis(taught, order, axis=1))
    found, expected = answered(tmp_path, name, [tmp_path / "z.npy"], [tmp_path / format_name]), plain(name)
    if second == "log-probs":
        assert found[1] == expected[1]
    else:
        for one, other in zip(found[1], expected[1], strict=True):
            assert np.frombuffer(one) == pytest.approx(np.frombuffer(other), rel=1e-12, abs=1e-15)
