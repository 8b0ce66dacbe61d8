"""The result of `evaluate` as a frame and as a table in a notebook, and the losses of all samples as a frame."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import xent_cli
from tests import forked
from xent_cli.core.python_api.summary import LossSummary, Slice

RNG = np.random.default_rng(5)
Z, Y = RNG.normal(size=(40, 4)), RNG.integers(0, 4, 40)


def cells(html, tag="td"):
    tables = ET.fromstring(f"<div>{html}</div>")
    return [[cell.text or "" for cell in row.iter(tag)] for row in tables.iter("tr")]


def test_a_frame_has_a_row_and_every_figure_unrounded():
    found = xent_cli.evaluate(Z, Y)
    frame = found.to_frame()
    assert frame.shape == (1, len(found.as_dict()))
    assert frame.iloc[0].to_dict() == found.as_dict()
    assert frame["n_samples"].dtype.kind == "i"
    both = pd.concat([frame, xent_cli.evaluate(2 * Z, Y).to_frame()], keys=["a", "b"])
    assert both["mean_loss"].notna().all()


def test_slices_follow_the_row_of_all_samples():
    whole = xent_cli.evaluate(Z, Y)
    half = xent_cli.evaluate(Z[:20], Y[:20])
    found = LossSummary.of(whole, [Slice("split", "a", half), Slice("split", None, half)])
    frame = found.to_frame()
    assert frame["by"].isna().tolist() == [True, False, False]
    assert frame["value"].isna().tolist() == [True, False, True]
    assert frame["mean_loss"].tolist() == [whole.mean_loss, half.mean_loss, half.mean_loss]


def test_a_notebook_shows_every_figure_rounded_and_warnings_first():
    found = xent_cli.evaluate([[0.2, 0.8], [0.9, 0.1]], [1, 0])
    html = found._repr_html_()
    assert html.startswith("<p><b>logits-look-softmaxed</b>: ")
    rows = dict(row for row in cells(html) if row)
    assert set(rows) == set(found.as_dict())
    assert float(rows["mean_loss"]) == pytest.approx(found.mean_loss, rel=1e-5)
    assert rows["quantiles_exact"] == "true"


def test_a_notebook_never_takes_text_of_a_slice_for_markup_and_shows_a_few_slices():
    one = xent_cli.evaluate(Z, Y)
    slices = [Slice("<script>", f"<b>{i}</b>&", one) for i in range(30)]
    html = LossSummary.of(one, slices)._repr_html_()
    assert "<script>" not in html
    assert "<b>0" not in html
    shown = [row for row in cells(html) if row[:1] == ["<script>"]]
    assert [row[1] for row in shown] == [f"<b>{i}</b>&" for i in range(20)]
    assert "10 more slices" in html


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_those_that_compute_writes(weighted, tmp_path):
    labels, weight = Y.copy(), RNG.integers(1, 5, 40).astype(float)
    labels[[3, 7]] = -100
    for name, values in (("z", Z), ("y", labels), ("w", weight)):
        np.save(tmp_path / f"{name}.npy", values)
    options = ["--ignore-index", "-100", *(["--sample-weight", "w.npy"] if weighted else [])]
    run = forked.xent("compute", "z.npy", "y.npy", *options, "-o", "rows.parquet", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    written = pd.read_parquet(tmp_path / "rows.parquet")
    found = xent_cli.loss_frame(Z, labels, ignore_index=-100, sample_weight=weight if weighted else None)
    assert list(found) == list(written)
    np.testing.assert_array_equal(found["loss"].isna(), labels == -100)
    # The command computes with the compiled kernel if there is one.
    pd.testing.assert_frame_equal(found.fillna({"label": -100}), written, check_dtype=False, rtol=1e-14)


def test_rows_of_a_frame_can_be_compared(tmp_path):
    xent_cli.loss_frame(Z, Y).to_parquet(tmp_path / "a.parquet")
    xent_cli.loss_frame(2 * Z, Y).to_parquet(tmp_path / "b.parquet")
    run = forked.xent("compare", "a.parquet", "b.parquet", "-f", "tsv", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    row = next(line.split("\t") for line in run.stdout.splitlines() if "mean_loss" in line)
    assert xent_cli.evaluate(Z, Y).mean_loss in [float(cell) for cell in row if cell[:1].isdigit()]


def test_rows_have_the_index_of_a_frame_of_logits_and_the_order_of_an_array():
    frame = pd.DataFrame(Z[:3], columns=list("abcd"), index=["x", "y", "z"])
    found = xent_cli.loss_frame(frame, pd.Series(["a", "d", "b"], index=frame.index))
    assert found.index.tolist() == ["x", "y", "z"]
    assert found["label"].tolist() == [0, 3, 1]
    cube = RNG.normal(size=(2, 3, 5))
    labels = RNG.integers(0, 3, (2, 5))
    losses = xent_cli.sparse_softmax_cross_entropy(cube, labels, axis=1)
    assert xent_cli.loss_frame(cube, labels, axis=1)["loss"].tolist() == losses.reshape(-1).tolist()


def test_dense_labels_have_no_column_and_a_missing_label_is_none():
    dense = np.eye(4)[Y] * 0.9 + 0.025
    assert list(xent_cli.loss_frame(Z, dense)) == ["sample", "loss"]
    masked = xent_cli.loss_frame(Z[:2], [0, 1], mask=[True, False])
    assert masked["loss"].isna().tolist() == [False, True]
