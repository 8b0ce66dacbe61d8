"""Masks, weights, missing labels and shifts through the command: every form of input, and a longdouble formula."""

import io
import json
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.torch_writer import save as save_torch
from xent_cli.cli import cli
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.run_totals import RunTotals
from xent_cli.errors import InputError, UsageError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

RNG = np.random.default_rng(8)
BATCH, TIME, K = 4, 6, 3
N = BATCH * TIME
Z, T = RNG.normal(0, 2, (N, K)), RNG.normal(0, 2, (N, K))
Y = RNG.integers(0, K, N)
MASK = np.arange(N) % 5 != 1
WEIGHTS = np.where(np.arange(N) % 4 == 2, 0.0, 1 + np.arange(N) % 3)


def log_softmax(z):
    z = np.asarray(z, np.longdouble)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


Q = np.asarray(np.exp(log_softmax(T)), np.float64)
LOSSES = {
    "sparse": -log_softmax(Z)[np.arange(N), Y],
    "dense": -(np.asarray(Q, np.longdouble) * log_softmax(Z)).sum(1),
    "teacher": -(np.exp(log_softmax(T)) * log_softmax(Z)).sum(1),
    "probs": -log_softmax(T)[np.arange(N), Y],
}


def run(capsys, *argv):
    with cli.make_context("xent", ["compute", *map(str, argv), "-q"]) as context:
        cli.invoke(context)
    return capsys.readouterr().out


def summary(capsys, *argv):
    return json.loads(run(capsys, *argv, "-f", "json"))["summary"]


def table(path, columns):
    held = pa.table({name: pa.array(np.asarray(values).tolist()) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(held, path, row_group_size=7)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, held.schema) as writer:
            writer.write_table(held, 7)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in held.to_pylist()))
    else:
        pa_csv.write_csv(held, path)
    return path


def wide(values, stem):
    return {f"{stem}_{j}": values[:, j] for j in range(values.shape[1])}


def inputs(folder, kind, form, beside):
    """Write LOGITS and LABELS in a form, with columns `beside` if it can hold them; return arguments and options."""
    first, second = (Q, Y) if kind == "probs" else (Z, {"sparse": Y, "dense": Q, "teacher": T}[kind])
    options = {"dense": ["--labels", "dense"], "teacher": ["--labels-from", "logits"], "probs": ["--from", "probs"]}
    options = options.get(kind, [])
    if form in ("csv", "parquet", "arrow", "jsonl"):
        labels = wide(second, "logit") if second.ndim == 2 else {"label": second}
        files = table(folder / f"l.{form}", wide(first, "logit") | beside), table(folder / f"y.{form}", labels)
        return [*files, *options]
    if form == "npy":
        np.save(folder / "l.npy", first)
        np.save(folder / "y.npy", second)
        return [folder / "l.npy", folder / "y.npy", *options]
    if form == "fortran":
        np.save(folder / "l.npy", np.asfortranarray(first))
        np.save(folder / "y.npy", np.asfortranarray(second))
        return [folder / "l.npy", folder / "y.npy", *options]
    arrays = {"logits": first, "labels": second} | {name: np.asarray(values) for name, values in beside.items()}
    if form == "safetensors":
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, folder / "a.safetensors")
        return [folder / "a.safetensors", *options]
    if form == "torch":
        save_torch(folder / "a.pt", {name: np.ascontiguousarray(values) for name, values in arrays.items()})
        return [folder / "a.pt", *options]
    (np.savez_compressed if form == "deflated" else np.savez)(folder / "a.npz", **arrays)
    return [folder / "a.npz", *options]


FORMS = ["npy", "fortran", "csv", "parquet", "arrow", "jsonl", "npz", "deflated", "safetensors", "torch"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LOSSES)
def test_masks_and_weights_from_every_form_for_every_kind_of_labels(kind, form, tmp_path, capsys):
    beside = {"keep": MASK.astype(np.int64), "w": WEIGHTS}
    argv = inputs(tmp_path, kind, form, beside)
    if form in ("npy", "fortran"):
        np.save(tmp_path / "keep.npy", MASK)
        np.save(tmp_path / "w.npy", WEIGHTS)
        more = ["--mask", tmp_path / "keep.npy", "--sample-weight", tmp_path / "w.npy"]
    else:
        more = ["--mask", "keep", "--sample-weight-column", "w"]
    found = summary(capsys, *argv, *more)
    counted = MASK & (WEIGHTS > 0)
    loss, w = LOSSES[kind][counted], WEIGHTS[counted]
    assert found["n_samples"] == counted.sum()
    assert found["n_ignored"] == N - counted.sum()
    assert found["mean_loss"] == pytest.approx(float((loss * w).sum() / w.sum()), rel=1e-12)
    assert found["max_loss"] == pytest.approx(float(loss.max()), rel=1e-12)


@pytest.mark.parametrize("form", ["npy", "csv", "parquet", "npz"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("how", ["--mask", "--sample-weight"])
@pytest.mark.parametrize("kind", LOSSES)
def test_values_under_a_mask_or_a_weight_of_0_do_no_harm(kind, how, poison, form, tmp_path, capsys, monkeypatch):
    first, second = {"sparse": "ZY", "dense": "ZQ", "teacher": "ZT", "probs": "QY"}[kind]
    for name in (first, second):
        values = globals()[name].astype(float)
        values[~MASK] = -100 if name == "Y" else poison
        monkeypatch.setitem(globals(), name, values)
    in_table = form != "npy" and how == "--mask"
    argv = inputs(tmp_path, kind, form, {"keep": MASK.astype(np.int64)} if in_table else {})
    np.save(tmp_path / "keep.npy", MASK)
    beside = "keep" if in_table else tmp_path / "keep.npy"
    rows = run(capsys, *argv, how, beside, "-f", "csv")
    found = np.genfromtxt(io.StringIO(rows), delimiter=",", names=True)["loss"]
    np.testing.assert_allclose(found[MASK], LOSSES[kind][MASK].astype(float), rtol=1e-12)
    if how == "--mask":
        assert np.isnan(found[~MASK]).all()
    document = summary(capsys, *argv, how, beside)
    assert (document["n_samples"], document["n_nan"], document["n_inf"]) == (MASK.sum(), 0, 0)
    assert document["mean_loss"] == pytest.approx(float(LOSSES[kind][MASK].mean()), rel=1e-12)


@pytest.mark.parametrize("form", ["npy", "csv", "deflated"])
@pytest.mark.parametrize("what", ["--mask", "--sample-weight"])
def test_one_value_per_sequence_applies_to_all_its_steps(what, form, tmp_path, capsys):
    np.save(tmp_path / "z.npy", Z.reshape(BATCH, TIME, K))
    np.save(tmp_path / "y.npy", Y.reshape(BATCH, TIME))
    values = np.array([1, 0, 1, 1])
    if form == "npy":
        np.save(tmp_path / "b.npy", values)
    elif form == "csv":
        (tmp_path / "b.csv").write_text("\n".join(map(str, ["w", *values])) + "\n")
    else:
        np.savez_compressed(tmp_path / "b.deflated", b=values)
        (tmp_path / "b.deflated.npz").rename(tmp_path / "b.deflated")
    found = summary(capsys, tmp_path / "z.npy", tmp_path / "y.npy", what, tmp_path / f"b.{form}")
    kept = np.repeat(values, TIME).astype(bool)
    assert found["n_samples"] == kept.sum()
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][kept].mean()), rel=1e-12)


@pytest.mark.parametrize("shape", [(TIME,), (TIME, BATCH), (1, TIME), (BATCH + 1,), (N + 1,), (BATCH, TIME, 2)])
def test_masks_of_another_shape_are_refused(shape, tmp_path, capsys):
    np.save(tmp_path / "z.npy", Z.reshape(BATCH, TIME, K))
    np.save(tmp_path / "y.npy", Y.reshape(BATCH, TIME))
    np.save(tmp_path / "m.npy", np.ones(shape, bool))
    with pytest.raises(InputError, match=r"shapes do not fit|inputs of different length"):
        run(capsys, tmp_path / "z.npy", tmp_path / "y.npy", "--mask", tmp_path / "m.npy")


@pytest.mark.parametrize("cells", [["true", "false"], ["True", "False"], ["1", "0"], ["1.0", "0.0"]])
def test_masks_of_text_are_those_that_libraries_write(cells, tmp_path, capsys):
    rows = [f"{cells[i % 2]},{i % K},1,2,3" for i in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["keep,label,logit_0,logit_1,logit_2", *rows]) + "\n")
    assert summary(capsys, tmp_path / "t.csv", "--mask", "keep")["n_samples"] == 5


@pytest.mark.parametrize("cell", ["", "2", "0.5", "yes", "nan", "-1"])
def test_a_mask_that_is_neither_0_nor_1_is_refused_where_it_stands(cell, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(f"keep,label,logit_0,logit_1\n1,0,1,2\n{cell},1,1,2\n1,1,1,2\n")
    with pytest.raises(InputError, match="invalid mask") as caught:
        run(capsys, tmp_path / "t.csv", "--mask", "keep")
    assert "line 3" in caught.value.where
    assert '"keep"' in caught.value.where


def test_a_name_that_is_a_column_and_a_file_is_refused_with_both_ways_out(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "t.csv", {"keep": MASK, "label": Y} | wide(Z, "logit"))
    with (tmp_path / "keep").open("wb") as file:
        np.save(file, ~MASK)
    with pytest.raises(InputError, match="a column and a file") as caught:
        run(capsys, "t.csv", "--mask", "keep")
    assert "column:keep" in caught.value.hint
    assert "./keep" in caught.value.hint
    assert summary(capsys, "t.csv", "--mask", "column:keep")["n_samples"] == MASK.sum()
    assert summary(capsys, "t.csv", "--mask", "./keep")["n_samples"] == (~MASK).sum()


@pytest.mark.parametrize("name", ["kep", "column:kep", "./kep"])
def test_a_name_that_is_neither_is_refused(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "t.csv", {"keep": MASK, "label": Y} | wide(Z, "logit"))
    with pytest.raises(InputError, match="no such"):
        run(capsys, "t.csv", "--mask", name)


@pytest.mark.parametrize("what", ["--mask", "--sample-weight"])
def test_a_run_without_a_counted_sample_is_refused(what, tmp_path, capsys):
    argv = inputs(tmp_path, "sparse", "npy", {})
    np.save(tmp_path / "none.npy", np.zeros(N))
    with pytest.raises(InputError, match="nothing left to average"):
        run(capsys, *argv, what, tmp_path / "none.npy", "--reduction", "mean")


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet", "arrow"])
def test_rows_of_weighted_runs_have_the_weight_last(suffix, tmp_path, capsys):
    argv = inputs(tmp_path, "sparse", "npy", {})
    np.save(tmp_path / "w.npy", WEIGHTS)
    run(capsys, *argv, "--sample-weight", tmp_path / "w.npy", "-o", tmp_path / f"rows.{suffix}")
    import pandas as pd

    read = {"tsv": lambda p: pd.read_csv(p, sep="\t"), "csv": pd.read_csv, "parquet": pd.read_parquet}
    read |= {
        "jsonl": lambda p: pd.read_json(p, lines=True),
        "arrow": lambda p: pa.ipc.open_stream(p).read_all().to_pandas(),
    }
    found = read[suffix](tmp_path / f"rows.{suffix}")
    assert found.columns[-1] == "weight"
    assert found["weight"].tolist() == WEIGHTS.tolist()
    np.testing.assert_allclose(found["loss"], LOSSES["sparse"].astype(float), rtol=1e-12)  # weight 0 keeps its loss


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("named", [False, True])
def test_missing_labels_are_ignored_on_request(form, named, tmp_path, capsys):
    missing = np.arange(N) % 7 == 3
    names = ["a", "b", "c"]
    labels = [None if lost else names[y] if named else int(y) for y, lost in zip(Y, missing, strict=True)]
    columns = {f"logit_{name}": Z[:, j] for j, name in enumerate(names)} | {"label": np.array(labels, object)}
    path = table(tmp_path / f"t.{form}", columns)
    with pytest.raises(InputError):
        run(capsys, path)
    found = summary(capsys, path, "--ignore-missing-labels")
    assert (found["n_samples"], found["n_ignored"]) == (N - missing.sum(), missing.sum())
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][~missing].mean()), rel=1e-12)
    lines = run(capsys, path, "--ignore-missing-labels", "-f", "csv").splitlines()[1:]
    assert [line.split(",")[1] == "" for line in lines] == missing.tolist()


def test_nan_among_float_labels_is_missing(tmp_path, capsys):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", np.where(np.arange(N) == 5, np.nan, Y))
    argv = [tmp_path / "z.npy", tmp_path / "y.npy"]
    with pytest.raises(InputError, match="missing label"):
        run(capsys, *argv)
    assert summary(capsys, *argv, "--ignore-missing-labels")["n_ignored"] == 1


def test_several_labels_are_ignored_and_kept_in_the_rows(tmp_path, capsys):
    np.save(tmp_path / "z.npy", Z[:4])
    np.save(tmp_path / "y.npy", np.array([0, -100, 7, 1]))
    argv = [tmp_path / "z.npy", tmp_path / "y.npy", "--ignore-index", -100, "--ignore-index", 7]
    assert [line.split(",")[1] for line in run(capsys, *argv, "-f", "csv").splitlines()[1:]] == ["0", "-100", "7", "1"]
    document = json.loads(run(capsys, *argv, "-f", "json"))
    assert "|ignore:-100,7|" in document["signature"]
    assert document["summary"]["n_ignored"] == 2


@pytest.mark.parametrize("option", [["--ignore-index", "1"], ["--ignore-missing-labels"]])
@pytest.mark.parametrize("kind", ["dense", "teacher"])
def test_labels_that_are_not_indices_are_masked_and_never_ignored_by_index(kind, option, tmp_path, capsys):
    with pytest.raises(UsageError) as caught:
        run(capsys, *inputs(tmp_path, kind, "npy", {}), *option)
    assert "--mask" in caught.value.hint


def test_a_column_of_a_mask_that_is_not_used_is_remarked(tmp_path, capsys):
    path = table(tmp_path / "t.csv", {"attention_mask": MASK, "label": Y} | wide(Z, "logit"))
    argv = ["compute", str(path), "--logits-column", "logit_*", "--reduction", "mean"]
    with cli.make_context("xent", argv) as context:
        cli.invoke(context)
    assert 'note: column "attention_mask"' in capsys.readouterr().err


def test_gradients_of_what_does_not_count_are_0_and_the_others_those_of_the_mean(tmp_path, capsys):
    argv = inputs(tmp_path, "sparse", "npy", {})
    np.save(tmp_path / "keep.npy", MASK)
    np.save(tmp_path / "w.npy", WEIGHTS)
    more = ["--mask", tmp_path / "keep.npy", "--sample-weight", tmp_path / "w.npy", "--gradients", tmp_path / "g.npy"]
    run(capsys, *argv, *more)
    w = np.where(MASK, WEIGHTS, 0)
    expected = np.exp(log_softmax(Z)) - np.eye(K)[Y]
    expected *= (w / w.sum())[:, np.newaxis]
    np.testing.assert_allclose(np.load(tmp_path / "g.npy"), expected.astype(float), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("shift", [1, -1, 2])
@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "arrow"])
def test_a_shift_in_a_table_is_that_of_its_columns_moved_by_hand(form, shift, tmp_path, capsys):
    columns = {"label": Y, "keep": MASK.astype(np.int64), "w": WEIGHTS}
    path = table(tmp_path / f"t.{form}", columns | wide(Z, "logit"))
    found = summary(capsys, path, "--shift", shift, "--mask", "keep", "--sample-weight-column", "w")
    at = np.array([t for t in range(N) if 0 <= t + shift < N and MASK[t + shift] and WEIGHTS[t + shift]])
    loss, w = -log_softmax(Z)[at, Y[at + shift]], WEIGHTS[at + shift]
    assert found["n_samples"] == at.size
    assert found["mean_loss"] == pytest.approx(float((loss * w).sum() / w.sum()), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--logits-dtype", "bfloat16"], "holds float64"),
        (["--labels-dtype", "bfloat16"], "holds int64"),
        (["--header"], "delimited text"),
        (["--no-header"], "delimited text"),
        (["--logits-column", "z"], "one array"),
        (["--label-column", "z"], "one array"),
        (["--class-names", "names.txt"], "name a class"),
        (["--ignore-missing-labels"], "can be missing"),
    ],
)
def test_options_without_effect_on_arrays_are_refused(options, why, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    argv = inputs(tmp_path, "sparse", "npy", {})
    with pytest.raises(UsageError, match="has no effect") as caught:
        run(capsys, *argv, *options)
    assert why in caught.value.what


@pytest.mark.parametrize("options", [["--axis", "0"], ["--logits-dtype", "bfloat16"], ["--labels-dtype", "bfloat16"]])
def test_options_without_effect_on_tables_are_refused(options, tmp_path, capsys):
    path = table(tmp_path / "t.csv", {"label": Y} | wide(Z, "logit"))
    with pytest.raises(UsageError, match="has no effect"):
        run(capsys, path, *options)


def test_an_option_of_a_configuration_is_for_many_inputs_and_passed_over(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XENT_COMPUTE_LOGITS_DTYPE", "bfloat16")
    assert summary(capsys, *inputs(tmp_path, "sparse", "npy", {}))["n_samples"] == N


@pytest.mark.parametrize("kind", ["sparse", "dense", "teacher"])
@pytest.mark.parametrize("form", ["V2", "int16", "uint16", "npz int16", "safetensors int16", "torch int16"])
def test_bits_of_bfloat16_are_read_from_whatever_holds_them(form, kind, tmp_path, capsys):
    def bits(values):
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)

    def wide_again(values):
        return (bits(values).astype(np.uint32) << 16).view(np.float32).astype(np.longdouble)

    second = {"sparse": Y, "dense": np.full((N, K), 0.25) + np.eye(K)[Y] / 4, "teacher": T}[kind]
    dtype = np.dtype(form.split()[-1])
    arrays = {"logits": bits(Z).view(dtype), "labels": bits(second).view(dtype)}
    if form.startswith("npz"):
        np.savez(tmp_path / "a.npz", **arrays)
        argv = [tmp_path / "a.npz"]
    elif form.startswith("safetensors"):
        save_file(arrays, tmp_path / "a.safetensors")
        argv = [tmp_path / "a.safetensors"]
    elif form.startswith("torch"):
        save_torch(tmp_path / "a.pt", arrays)
        argv = [tmp_path / "a.pt"]
    else:
        argv = [tmp_path / f"{name}.npy" for name in arrays]
        for path, values in zip(argv, arrays.values(), strict=True):
            np.save(path, values)
    argv += ["--logits-dtype", "bfloat16", "--labels-dtype", "bfloat16"]
    argv += {"teacher": ["--labels-from", "logits"], "dense": ["--labels", "dense"]}.get(kind, [])
    log_p = log_softmax(wide_again(Z))
    q = {"sparse": np.eye(K)[Y], "dense": wide_again(second), "teacher": np.exp(log_softmax(wide_again(T)))}[kind]
    expected = float(-(q * log_p).sum(1).mean())
    assert summary(capsys, *argv)["mean_loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow"])
def test_rows_of_a_shifted_table_are_compared_by_the_ids_that_moved(suffix, tmp_path, capsys):
    path = table(tmp_path / "t.csv", {"id": [f"s{i}" for i in range(N)], "label": Y} | wide(Z, "logit"))
    run(capsys, path, "--shift", 1, "-o", tmp_path / f"rows.{suffix}")
    with cli.make_context("xent", ["compare", *[str(tmp_path / f"rows.{suffix}")] * 2, "-f", "json"]) as context:
        cli.invoke(context)
    assert '"n": 23' in capsys.readouterr().out.replace("n_samples", "n")


@pytest.mark.parametrize("leave_out", ["mask", "weight"])
def test_verify_ignores_samples_that_count_in_no_figure(leave_out, tmp_path, capsys):
    argv = inputs(tmp_path, "sparse", "npy", {})
    keep = MASK if leave_out == "mask" else WEIGHTS > 0
    np.save(tmp_path / "by.npy", MASK if leave_out == "mask" else WEIGHTS)
    w = np.where(keep, 1.0 if leave_out == "mask" else WEIGHTS, 0)
    loss = np.where(keep, LOSSES["sparse"].astype(float), 1e6)
    gradient = (np.exp(log_softmax(Z)) - np.eye(K)[Y]) * (w / w.sum())[:, np.newaxis]
    np.save(tmp_path / "loss.npy", loss)
    option = "--mask" if leave_out == "mask" else "--sample-weight"

    def verdict(gradient):
        np.save(tmp_path / "g.npy", gradient.astype(float))
        more = [option, tmp_path / "by.npy", "--loss", tmp_path / "loss.npy", "--gradient", tmp_path / "g.npy"]
        with cli.make_context("xent", ["verify", *map(str, [*argv, *more]), "-f", "json", "--exit-zero"]) as context:
            cli.invoke(context)
        return json.loads(capsys.readouterr().out)["verdict"]

    assert verdict(gradient) == "pass"
    gradient[~keep] = 1e-3
    assert verdict(gradient) == "fail"


def test_check_takes_a_mask(tmp_path, capsys):
    argv = [*inputs(tmp_path, "sparse", "npy", {}), "--mask", tmp_path / "keep.npy"]
    np.save(tmp_path / "keep.npy", MASK)
    limit = f"mean_loss={float(LOSSES['sparse'][MASK].mean()) + 1e-9!r}"
    with cli.make_context("xent", ["check", *map(str, argv), "--max", limit, "-q"]) as context:
        cli.invoke(context)


@pytest.mark.parametrize("form", ["npz", "safetensors", "torch"])
def test_a_mask_beside_the_logits_in_an_archive_is_remarked_where_it_is_not_used(form, tmp_path, capsys):
    argv = inputs(tmp_path, "sparse", form, {"attention_mask": MASK})
    for more, told in (([], True), (["--mask", "attention_mask"], False)):
        with cli.make_context("xent", ["compute", *map(str, argv), *more, "--reduction", "mean"]) as context:
            cli.invoke(context)
        assert ("attention_mask" in capsys.readouterr().err) is told


@pytest.mark.parametrize("lost", [None, "zebra"])
@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "jsonl"])
def test_labels_and_logits_that_are_not_there_do_no_harm_under_a_mask(form, lost, tmp_path, capsys):
    names = ["a", "b", "c"]
    labels = [names[y] if counts else lost for y, counts in zip(Y, MASK, strict=True)]
    columns = {f"logit_{name}": np.where(MASK, Z[:, j], None).tolist() for j, name in enumerate(names)}
    columns = {name: np.array(values, object) for name, values in columns.items()}
    path = table(tmp_path / f"t.{form}", columns | {"label": np.array(labels, object), "keep": MASK})
    found = summary(capsys, path, "--mask", "keep", "--logits-column", "logit_*")
    assert found["n_samples"] == MASK.sum()
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][MASK].mean()), rel=1e-12)


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "jsonl"])
def test_what_counts_beside_a_mask_is_refused_as_ever_and_named_where_it_stands(form, tmp_path, capsys):
    labels = ["a" if y == 0 else "b" for y in Y]
    labels[12], labels[1] = "zebra", "yak"
    columns = {"logit_a": Z[:, 0], "logit_b": Z[:, 1], "label": np.array(labels), "keep": MASK}
    path = table(tmp_path / f"t.{form}", columns)
    with pytest.raises(InputError, match="names no class") as caught:
        run(capsys, path, "--mask", "keep")
    assert "zebra" in caught.value.found
    assert "sample 12" in caught.value.where


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "jsonl"])
def test_logits_under_the_mask_of_another_label_count_where_a_shift_takes_them(form, tmp_path, capsys):
    keep = np.arange(N) % 2 == 1  # every label belongs to the logits of a masked row
    path = table(tmp_path / f"t.{form}", {"label": np.where(keep, Y, -100), "keep": keep} | wide(Z, "logit"))
    found = summary(capsys, path, "--mask", "keep", "--shift", 1)
    at = np.flatnonzero(~keep)
    assert found["mean_loss"] == pytest.approx(float(-log_softmax(Z)[at, Y[at + 1]].mean()), rel=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["sparse", "dense", "teacher"])
@pytest.mark.parametrize("shift", [1, -2])
def test_a_shift_of_arrays_with_a_mask_on_any_axis_in_any_order_for_every_kind(shift, kind, axis, tmp_path, capsys):
    shape = (BATCH, TIME, K)
    second = {"sparse": Y.reshape(BATCH, TIME), "dense": Q.reshape(shape), "teacher": T.reshape(shape)}[kind]
    z = np.moveaxis(Z.reshape(shape), -1, axis)
    np.save(tmp_path / "z.npy", np.asfortranarray(z) if axis == 1 else z)
    np.save(tmp_path / "y.npy", second if kind == "sparse" else np.moveaxis(second, -1, axis))
    np.save(tmp_path / "m.npy", MASK.reshape(BATCH, TIME))
    options = {"dense": ["--labels", "dense"], "teacher": ["--labels-from", "logits"]}.get(kind, [])
    argv = [tmp_path / "z.npy", tmp_path / "y.npy", "--axis", axis, "--mask", tmp_path / "m.npy", *options]
    found = summary(capsys, *argv, "--shift", shift)
    log_p = log_softmax(Z)
    q = {"sparse": np.eye(K)[Y], "dense": Q, "teacher": np.exp(log_softmax(T))}[kind]
    at = [(t, t + shift) for t in range(N) if 0 <= t % TIME + shift < TIME and MASK[t + shift]]
    expected = [float(-(q[label] * log_p[t]).sum()) for t, label in at]
    assert found["n_samples"] == len(at)
    assert found["mean_loss"] == pytest.approx(np.mean(expected), rel=1e-12)


LACKING = ["npy", "csv", "parquet", "arrow", "jsonl"]


def lacking(folder, form, kind, counts):
    """Write LOGITS and LABELS, missing or invalid in samples that do not count; return arguments and loss."""
    names = np.array(["ant", "bee", "cow"])
    logits = table(folder / "l.parquet", {f"logit_{name}": Z[:, j] for j, name in enumerate(names)})
    cells = (names[Y] if kind == "names" else Y.astype(object)).astype(object)
    # One row with nothing in it, and one whose label is not a class.
    out = np.flatnonzero(~counts)
    cells[out[0]], cells[out[1:]] = None, "zebra" if kind == "names" else 77
    if form == "npy":
        held = np.array(["" if cell is None else cell for cell in cells]) if kind == "names" else None
        np.save(
            folder / "y.npy",
            np.array([np.nan if cell is None else cell for cell in cells], float) if held is None else held,
        )
        return logits, folder / "y.npy"
    return logits, table(folder / f"y.{form}", {"label": cells})


@pytest.mark.parametrize("form", LACKING)
@pytest.mark.parametrize("kind", ["names", "numbers"])
@pytest.mark.parametrize("how", ["--mask", "--sample-weight"])
def test_labels_that_are_none_do_no_harm_where_another_file_says_that_they_do_not_count(
    how, kind, form, tmp_path, capsys
):
    logits, labels = lacking(tmp_path, form, kind, MASK)
    np.save(tmp_path / "m.npy", MASK if how == "--mask" else MASK.astype(float))
    found = summary(capsys, logits, labels, how, tmp_path / "m.npy")
    assert found["n_samples"] == MASK.sum()
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][MASK].mean()), rel=1e-12)


@pytest.mark.parametrize("form", LACKING)
@pytest.mark.parametrize("kind", ["names", "numbers"])
def test_labels_that_are_none_are_named_where_they_count_and_those_under_the_mask_are_not_counted(
    kind, form, tmp_path, capsys
):
    logits, labels = lacking(tmp_path, form, kind, MASK)
    counts = MASK.copy()
    out = np.flatnonzero(~MASK)
    counts[out[1:3]] = True
    np.save(tmp_path / "m.npy", counts)
    with pytest.raises(InputError) as error:
        run(capsys, logits, labels, "--mask", tmp_path / "m.npy")
    assert error.value.found == ('"zebra"' if kind == "names" else "77")
    assert f"sample {out[1]}" in error.value.where
    assert error.value.more == f"1 more row like this (first: {out[2]})"


@pytest.mark.parametrize(
    ("layout", "form"),
    [("wide", form) for form in ("csv", "parquet", "arrow", "jsonl")]
    + [("list", form) for form in ("parquet", "arrow", "jsonl")],
)
@pytest.mark.parametrize("where", ["column", "file"])
def test_logits_that_are_missing_are_refused_where_they_count_and_nowhere_else(where, layout, form, tmp_path, capsys):
    out = np.flatnonzero(~MASK)
    rows = [[None if i == out[0] and j == 1 else float(Z[i, j]) for j in range(K)] for i in range(N)]
    if layout == "list":
        rows[out[1]] = None
        columns = {"logits": rows}
    else:
        columns = {f"logit_{j}": [row[j] for row in rows] for j in range(K)}
    beside = {"label": Y.tolist()} | ({"keep": MASK.astype(int).tolist()} if where == "column" else {})
    held = pa.table({name: pa.array(values) for name, values in (columns | beside).items()})
    path = tmp_path / f"l.{form}"
    if form == "parquet":
        pq.write_table(held, path, row_group_size=7)
    elif form == "csv":
        pa_csv.write_csv(held, path)
    elif form == "arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, held.schema) as writer:
            writer.write_table(held, 7)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in held.to_pylist()))
    np.save(tmp_path / "m.npy", MASK)
    mask = "keep" if where == "column" else tmp_path / "m.npy"
    found = summary(capsys, path, "--mask", mask)
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][MASK].mean()), rel=1e-12)
    other = np.ones(N)
    other[out[1:]] = 0
    np.save(tmp_path / "w.npy", other)
    with pytest.raises(InputError) as error:
        run(capsys, path, "--sample-weight", tmp_path / "w.npy")
    assert f"sample {out[0]}" in error.value.where
    assert error.value.exit_code == 3


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("lost", [[0], [N - 1], [0, 9, N - 1]])
@pytest.mark.parametrize("beside", ["array", "table"])
def test_missing_labels_count_nowhere_in_whatever_part_of_a_table_they_stand(beside, lost, form, tmp_path):
    cells = Y.astype(object)
    cells[lost] = None
    labels = table(tmp_path / f"y.{form}", {"label": cells})
    np.save(tmp_path / "l.npy", Z)
    logits = tmp_path / "l.npy" if beside == "array" else table(tmp_path / "l.csv", wide(Z, "logit"))
    in_small_parts = ReadOptions(ignore_missing=True, run=RunNeeds(chunk_bytes=16))
    tasks = open_pair(str(logits), str(labels), None, in_small_parts).tasks()
    options = LossOptions(ignore_missing=True)
    parts = [evaluate_block(task, options, Outputs()).totals for task in tasks]
    found = reduce(RunTotals.merge, parts).summarize()
    kept = np.setdiff1d(np.arange(N), lost)
    assert found.n_samples == kept.size
    assert found.mean_loss == pytest.approx(float(LOSSES["sparse"][kept].mean()), rel=1e-12)


@pytest.mark.parametrize("first", ["", "NA", "nan"])
@pytest.mark.parametrize("later", [[], [5], [N - 1]])
@pytest.mark.parametrize("form", ["csv", "csv beside", "parquet of text"])
def test_whole_numbers_with_a_point_are_classes_where_others_are_missing(form, later, first, tmp_path, capsys):
    cells = [f"{label}.0" for label in Y]
    lost = [0, *later]
    for row in lost:
        cells[row] = first
    if form == "csv beside":
        lines = [",".join([*map(repr, map(float, row)), cell]) for row, cell in zip(Z, cells, strict=True)]
        (tmp_path / "l.csv").write_text("logit_0,logit_1,logit_2,label\n" + "\n".join(lines) + "\n")
        argv = [tmp_path / "l.csv"]
    else:
        argv = [table(tmp_path / "l.csv", wide(Z, "logit"))]
        if form == "csv":
            (tmp_path / "y.csv").write_text("id,label\n" + "".join(f"s{i},{cell}\n" for i, cell in enumerate(cells)))
            argv.append(tmp_path / "y.csv")
        else:
            argv.append(table(tmp_path / "y.parquet", {"label": cells}))
    found = summary(capsys, *argv, "--ignore-missing-labels")
    kept = np.setdiff1d(np.arange(N), lost)
    assert found["n_samples"] == kept.size
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][kept].mean()), rel=1e-12)


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow", "jsonl", "npy"])
@pytest.mark.parametrize("lost", [[], [1, N - 1]])
def test_shards_of_labels_may_have_whole_numbers_and_floats(lost, form, tmp_path, capsys):
    cut = N // 2 + 1
    (tmp_path / "y").mkdir()
    whole, floats = Y[:cut], Y[cut:].astype(float)
    floats[[row - cut for row in lost if row >= cut]] = np.nan
    lost = [row for row in lost if row >= cut]
    if form == "npy":
        np.save(tmp_path / "y/0.npy", whole)
        np.save(tmp_path / "y/1.npy", floats)
    else:
        table(tmp_path / f"y/0.{form}", {"label": whole})
        table(tmp_path / f"y/1.{form}", {"label": [None if value != value else value for value in floats]})
    np.save(tmp_path / "l.npy", Z)
    found = summary(capsys, tmp_path / "l.npy", tmp_path / "y", *(["--ignore-missing-labels"] if lost else []))
    kept = np.setdiff1d(np.arange(N), lost)
    assert found["n_samples"] == kept.size
    assert found["mean_loss"] == pytest.approx(float(LOSSES["sparse"][kept].mean()), rel=1e-12)
