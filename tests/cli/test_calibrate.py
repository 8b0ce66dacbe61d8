"""`xent calibrate`, the file that it writes, and the limit on its gain in `xent check`."""

import json

import jsonschema
import numpy as np
import pytest

import xent_cli
from tests import forked
from tests.forked import xent
from xent_cli.reports.strict_json import json_schema


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Save an overconfident model as arrays, one table and three shards, and [batch, time, classes] logits."""
    folder = tmp_path_factory.mktemp("calibrate")
    rng = np.random.default_rng(0)
    true = rng.normal(size=(600, 4)) * 2
    p = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    labels = np.minimum((p.cumsum(1) < rng.random(600)[:, None]).sum(1), 3)
    labels[::50] = -100
    logits = true * 2.5
    np.save(folder / "l.npy", logits)
    np.save(folder / "y.npy", labels)
    lines = [",".join(map(repr, [*row, int(label)])) for row, label in zip(logits.tolist(), labels, strict=True)]
    (folder / "t.csv").write_text("\n".join(["logit_0,logit_1,logit_2,logit_3,label", *lines]) + "\n")
    for i in range(3):
        np.save(folder / f"part-{i}.npy", logits[200 * i : 200 * (i + 1)])
    np.save(folder / "l3.npy", logits.reshape(20, 30, 4))
    np.save(folder / "y3.npy", labels.reshape(20, 30))
    return folder


def fitted(*args):
    run = xent("calibrate", *args, "--ignore-index", "-100", "-q", "-f", "json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    jsonschema.validate(document, json_schema("calibration/calibration"))
    return document


def test_the_document_has_the_figures_of_the_function(files):
    found = fitted(files / "l.npy", files / "y.npy", "--folds", "4")
    fit = xent_cli.calibrate(np.load(files / "l.npy"), np.load(files / "y.npy"), ignore_index=-100, folds=4)
    assert (found["temperature"], found["se_temperature"]) == (fit.temperature, fit.se_temperature)
    assert found["calibration_gain"] == fit.gain > 0
    assert found["after"] == {"mean_loss": fit.after.mean_loss, "ece": fit.after.ece, "brier": fit.after.brier}
    assert found["held_out"]["temperatures"] == list(fit.fold_temperatures)
    assert (found["n_samples"], found["n_ignored"], found["passes"]) == (588, 12, 4)


def test_every_form_of_input_and_every_engine_give_the_same_bits(files):
    whole = fitted(files / "l.npy", files / "y.npy")
    figures = ("temperature", "se_temperature", "before", "after")
    ways = [
        (files / "t.csv",),
        (f"{files}/part-*.npy", files / "y.npy"),
        (files / "l.npy", files / "y.npy", "--threads", "3"),
        (files / "l3.npy", files / "y3.npy", "--cluster", "none"),
    ]
    for way in ways:
        found = fitted(*way)
        assert [found[name] for name in figures] == [whole[name] for name in figures], way


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_gives_the_same_bits(engine, files):
    pytest.importorskip(engine)
    whole, found = (
        fitted(files / "l.npy", files / "y.npy", *more) for more in ((), ("--engine", engine, "--threads", "2"))
    )
    assert found["temperature"] == whole["temperature"]
    assert found["after"] == whole["after"]


def test_clusters_are_those_of_the_first_axis(files):
    found = fitted(files / "l3.npy", files / "y3.npy", "--folds", "2")
    alone = fitted(files / "l3.npy", files / "y3.npy", "--cluster", "none")
    assert (found["n_clusters"], alone["n_clusters"]) == (20, None)
    assert found["temperature"] == alone["temperature"]
    assert found["se_temperature"] != alone["se_temperature"]
    assert [note["code"] for note in found["notes"]] == ["clustered", "few-clusters"]


def test_the_file_serves_as_temperature_and_its_digest_is_a_setting(files, tmp_path):
    document = fitted(files / "l.npy", files / "y.npy", "-o", tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == document
    common = ("compute", files / "l.npy", files / "y.npy", "--ignore-index", "-100", "-q", "-f", "json")
    run = xent(*common, "--temperature", tmp_path / "t.json", "--calibration")
    found = json.loads(run.stdout)
    after = {name: found["summary"][name] for name in ("mean_loss", "ece", "brier")}
    assert after == document["after"]
    assert f"temperature:{document['temperature']}|" in found["signature"]
    assert "|temperature_file:" in found["signature"]
    plain = xent(*common, "--temperature", str(document["temperature"]))
    assert json.loads(plain.stdout)["summary"]["mean_loss"] == after["mean_loss"]
    assert "temperature_file" not in json.loads(plain.stdout)["signature"]


def test_a_configuration_may_name_the_file(files, tmp_path):
    fitted(files / "l.npy", files / "y.npy", "-o", tmp_path / "t.json")
    for value in ('"t.json"', "2.5", "2"):
        (tmp_path / "c.toml").write_text(f"[compute]\ntemperature = {value}\n")
        run = xent(
            *("compute", files / "l.npy", files / "y.npy", "--ignore-index", "-100", "--reduction", "mean"),
            *("--config", "c.toml"),
            cwd=tmp_path,
        )
        assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no JSON"),
        (b"[1]", "no such key"),
        (b"{}", "no such key"),
        (b'{"temperature": null}', "None"),
        (b'{"temperature": true}', "True"),
        (b'{"temperature": -1}', "-1"),
        (b'{"temperature": 1e999}', "inf"),
        (b'{"temperature": "2"}', "'2'"),
    ],
)
def test_an_invalid_temperature_file_is_refused(content, found, files, tmp_path):
    (tmp_path / "t.json").write_bytes(content)
    run = xent("compute", files / "l.npy", files / "y.npy", "--temperature", tmp_path / "t.json", "-q")
    assert run.returncode == 3
    assert f"t.json: found {found}" in run.stderr


def test_a_limit_on_the_gain_fits_a_temperature_and_is_judged(files, tmp_path):
    common = ("check", files / "l.npy", files / "y.npy", "--ignore-index", "-100", "-q", "-f", "json")
    gain = fitted(files / "l.npy", files / "y.npy", "-o", tmp_path / "t.json")["calibration_gain"]
    failed = xent(*common, "--max", "calibration_gain=0.01")
    document = json.loads(failed.stdout)
    jsonschema.validate(document, json_schema("summary/summary"))
    assert failed.returncode == 1
    assert document["summary"]["calibration_gain"] == document["checks"][0]["observed"] == gain
    cooled = xent(*common, "--max", "calibration_gain=0.01", "--temperature", tmp_path / "t.json")
    assert cooled.returncode == 0
    assert json.loads(cooled.stdout)["summary"]["calibration_gain"] == pytest.approx(0, abs=1e-12)


def test_a_pipe_is_refused_and_the_old_file_stays(files, tmp_path):
    (tmp_path / "t.json").write_text("old")
    run = forked.shell(f"cat l.npy | xent calibrate - y.npy -o {tmp_path}/t.json", files)
    assert run.returncode == 3
    assert "read only once" in run.stderr
    assert (tmp_path / "t.json").read_text() == "old"


def test_an_output_may_not_be_an_input(files, tmp_path):
    run = xent("calibrate", files / "l.npy", files / "y.npy", "-o", files / "y.npy")
    assert run.returncode == 2
    (tmp_path / "t.json").write_text('{"temperature": 2}')
    same = ("--temperature", tmp_path / "t.json", "--report", tmp_path / "t.json")
    assert xent("compute", files / "l.npy", files / "y.npy", *same).returncode == 2
