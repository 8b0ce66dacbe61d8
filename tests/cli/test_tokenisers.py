"""Two models that split the same documents into different tokens, compared document by document."""

import json
import math

import jsonschema
import numpy as np
import pandas as pd
import pytest

import xent_cli
from tests import forked
from xent_cli.reports.strict_json import json_schema

DOCUMENTS, IGNORE = 9, ("--ignore-index", "-100")
RNG = np.random.default_rng(8)
SIZES = RNG.integers(30, 90, DOCUMENTS)


def tokens(steps, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, (DOCUMENTS, steps))
    labels[:, 0] = -100
    labels[3, 4:] = -100
    return rng.normal(size=(DOCUMENTS, steps, 7)), labels


A, B = tokens(8, 1), tokens(11, 2)


def xent(*args, cwd, code=0):
    run = forked.xent(*args, cwd=cwd)
    assert run.returncode == code, run.stderr
    return run


def save(folder, name, model, suffix, *options):
    np.save(folder / f"{name}_z.npy", model[0])
    np.save(folder / f"{name}_y.npy", model[1])
    rows = f"{name}.{suffix}"
    xent("compute", f"{name}_z.npy", f"{name}_y.npy", *IGNORE, *options, "-o", rows, "-q", cwd=folder)
    return rows


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "sizes.npy", SIZES)
    np.save(tmp_path / "other_sizes.npy", SIZES + 1)
    return tmp_path


def compared(folder, *args):
    document = json.loads(xent("compare", *args, "-f", "json", cwd=folder).stdout)
    jsonschema.validate(document, json_schema("comparison/comparison"))
    return document


def bits(model, sizes=SIZES):
    loss = xent_cli.sparse_softmax_cross_entropy(*model, ignore_index=-100)
    return np.nansum(loss, axis=1), np.asarray(sizes, float)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "tsv", "jsonl"])
def test_documents_are_compared_by_bits_per_byte_from_every_kind_of_rows(suffix, folder):
    files = [save(folder, name, model, suffix, "--units", "sizes.npy") for name, model in (("a", A), ("b", B))]
    document = compared(folder, *files)
    (change, perplexity) = document["candidates"][0]["metrics"]
    (loss, units), (other, _) = bits(A), bits(B)
    ratios = [values.sum() / units.sum() / math.log(2) for values in (loss, other)]
    assert (change["metric"], change["n"], document["joined_on"]) == ("bits_per_unit", DOCUMENTS, "cluster")
    assert [change["baseline"], change["candidate"]] == pytest.approx(ratios, rel=1e-13)
    assert perplexity["candidate"] == pytest.approx(2 ** ratios[1], rel=1e-13)
    spread = (other - loss) - (ratios[1] - ratios[0]) * math.log(2) * units
    error = math.sqrt(DOCUMENTS / (DOCUMENTS - 1) * np.sum(spread**2)) / units.sum() / math.log(2)
    assert change["high"] - change["low"] == pytest.approx(2 * 2.306004135204166 * error, rel=1e-9)  # t of 8 degrees
    notes = [note["code"] for note in document["notes"]]
    assert "compared-by-document" in notes
    assert ("settings-unknown" in [note["code"] for note in document["warnings"]]) == (
        suffix in ("csv", "tsv", "jsonl")
    )


def test_units_of_tokens_are_added_up_and_weights_weigh_both(folder):
    rng = np.random.default_rng(3)
    expected = []
    for name, model in (("a", A), ("b", B)):
        np.save(folder / f"{name}_sizes.npy", rng.integers(1, 5, model[1].shape))
        np.save(folder / f"{name}_weights.npy", rng.integers(0, 3, model[1].shape) / 2)
        options = ("--units", f"{name}_sizes.npy", "--sample-weight", f"{name}_weights.npy")
        save(folder, name, model, "parquet", *options)
        loss = xent_cli.sparse_softmax_cross_entropy(*model, ignore_index=-100)
        weight = np.where(np.isnan(loss), 0, np.load(folder / f"{name}_weights.npy"))
        sizes = np.load(folder / f"{name}_sizes.npy")
        expected.append((np.nan_to_num(loss) * weight).sum() / (sizes * weight).sum() / math.log(2))
    document = compared(folder, "a.parquet", "b.parquet")
    change = document["candidates"][0]["metrics"][0]
    assert [change["baseline"], change["candidate"]] == pytest.approx(expected, rel=1e-13)
    assert "other-units" in [warning["code"] for warning in document["warnings"]]


def test_documents_are_matched_by_name_in_any_order(folder):
    names = np.array([f"doc-{i}" for i in range(DOCUMENTS)])
    for name, (z, y), order in (("a", A, slice(None)), ("b", B, slice(None, None, -1))):
        frame = pd.DataFrame(z[order].reshape(-1, 7), columns=[f"logit_{k}" for k in range(7)])
        frame["label"] = y[order].reshape(-1)
        frame["doc"] = np.repeat(names[order], y.shape[1])
        frame["size"] = np.repeat(SIZES[order] / y.shape[1], y.shape[1])
        frame.to_parquet(folder / f"{name}_t.parquet", index=False)
        args = ("--units", "size", "--cluster", "doc", *IGNORE, "-o", f"{name}.parquet", "-q")
        xent("compute", f"{name}_t.parquet", *args, cwd=folder)
    named = compared(folder, "a.parquet", "b.parquet")["candidates"][0]["metrics"][0]
    assert named["n"] == DOCUMENTS
    files = [save(folder, name, model, "arrow", "--units", "sizes.npy") for name, model in (("c", A), ("d", B))]
    whole = compared(folder, *files)["candidates"][0]["metrics"][0]
    assert named["baseline"] != whole["baseline"]  # a token without a loss does not count its bytes here
    first = pd.read_parquet(folder / "a.parquet").dropna(subset=["loss"])
    assert named["baseline"] == pytest.approx(first["loss"].sum() / first["units"].sum() / math.log(2), rel=1e-13)


def test_the_same_tokens_are_compared_one_by_one_as_ever(folder):
    save(folder, "a", A, "parquet", "--units", "sizes.npy")
    save(folder, "c", (A[0] * 1.1, A[1]), "parquet", "--units", "sizes.npy")
    document = compared(folder, "a.parquet", "c.parquet")
    assert document["candidates"][0]["metrics"][0]["metric"] == "mean_loss"


def refused(folder, *args, code=3):
    error = xent("compare", *args, cwd=folder, code=code).stderr
    assert "Traceback" not in error
    return error


def test_what_cannot_be_compared_by_document_is_refused(folder):
    save(folder, "a", A, "parquet", "--units", "sizes.npy")
    save(folder, "b", (B[0][:5], B[1][:5]), "parquet", "--units", "6")
    assert "number of samples" in refused(folder, "a.parquet", "b.parquet")  # without units, by position
    np.save(folder / "five.npy", SIZES[:5])
    save(folder, "b", (B[0][:5], B[1][:5]), "parquet", "--units", "five.npy")
    assert 'no document "5"' in refused(folder, "a.parquet", "b.parquet")
    save(folder, "b", B, "parquet", "--units", "sizes.npy", "--temperature", "2")
    assert "temperature" in refused(folder, "a.parquet", "b.parquet")
    save(folder, "b", B, "parquet", "--units", "other_sizes.npy")
    document = compared(folder, "a.parquet", "b.parquet")
    assert "other-units" in [warning["code"] for warning in document["warnings"]]
    assert "--test" in refused(folder, "a.parquet", "b.parquet", "--test", "bootstrap", code=2)
    rows = pd.read_parquet(folder / "b.parquet")
    rows.loc[13, "cluster_units"] += 1
    rows.to_parquet(folder / "odd.parquet")
    assert "two numbers of units for one document" in refused(folder, "a.parquet", "odd.parquet")


def test_rows_have_units_of_documents_only_with_their_cluster(folder):
    save(folder, "a", A, "parquet", "--units", "sizes.npy")
    assert list(pd.read_parquet(folder / "a.parquet")) == ["sample", "label", "loss", "cluster", "cluster_units"]
    save(folder, "a", A, "parquet", "--units", "sizes.npy", "--cluster", "none")
    assert "cluster_units" not in pd.read_parquet(folder / "a.parquet")
    np.save(folder / "each.npy", np.ones(A[1].shape))
    save(folder, "a", A, "parquet", "--units", "each.npy", "--cluster", "none")
    assert pd.read_parquet(folder / "a.parquet")["units"].tolist() == [1.0] * A[1].size
