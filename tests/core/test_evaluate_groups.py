"""`evaluate` with groups, clusters and units returns the figures of `xent compute` for the same arrays in files."""

import json

import numpy as np
import pandas as pd
import pytest

import xent_cli
from tests import forked
from xent_cli.errors import InputError, UsageError, XentError

RNG = np.random.default_rng(4)
Z, Y = RNG.normal(size=(4, 5, 6)), RNG.integers(0, 6, (4, 5))
Y[1, 2] = -100
LANGS, PARTS = np.array(["de", "en", "de", "fr"]), RNG.integers(0, 3, (4, 5))
SIZES, WEIGHTS = RNG.integers(1, 9, (4, 5)), RNG.integers(1, 4, (4, 5)) / 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    arrays = {"z": Z, "y": Y, "lang": LANGS, "part": PARTS, "size": SIZES, "all": SIZES.sum(axis=1), "w": WEIGHTS}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return folder


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, []),
        ({"cluster": "none"}, ["--cluster", "none"]),
        ({"cluster": 1}, ["--cluster", "axis:1"]),
        ({"by": 0}, ["--by", "axis:0"]),
        ({"by": ["label", {"lang": LANGS}, 1]}, ["--by", "label", "--by", "lang=lang.npy", "--by", "axis:1"]),
        ({"by": {"part": PARTS}, "units": SIZES}, ["--by", "part=part.npy", "--units", "size.npy"]),
        ({"macro": 0, "units": SIZES.sum(axis=1)}, ["--macro", "axis:0", "--units", "all.npy"]),
        ({"macro": "label", "units": 77}, ["--macro", "label", "--units", "77"]),
        (
            {"macro": LANGS, "units": SIZES, "sample_weight": WEIGHTS},
            ["--macro", "lang=lang.npy", "--units", "size.npy"],
        ),
        ({"units": SIZES.sum(axis=1), "cluster": "none"}, ["--units", "all.npy", "--cluster", "none"]),
    ],
)
def test_figures_are_those_of_the_command(arguments, options, folder):
    found = xent_cli.evaluate(Z, Y, ignore_index=-100, top_k=(1, 5), **arguments)
    if "sample_weight" in arguments:
        options = [*options, "--sample-weight", "w.npy"]
    command = ("compute", "z.npy", "y.npy", "--ignore-index", "-100", "-f", "json", *options)
    run = forked.xent(*command, cwd=folder)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)

    def plain(summary):
        return {name: None if value != value else value for name, value in summary.as_dict().items()}

    assert plain(found) == document["summary"]
    slices = [{"by": one.by, "value": one.value, "summary": plain(one.summary)} for one in found.slices]
    assert slices == sorted(document.get("slices", []), key=lambda entry: [s["by"] for s in slices].index(entry["by"]))


def test_blocks_change_no_bit_of_groups():
    from xent_cli.core.python_api.arguments import called_with
    from xent_cli.core.python_api.evaluation import summary_of
    from xent_cli.core.python_api.groups import grouped

    arguments = {"by": {"part": PARTS}, "macro": PARTS, "units": SIZES, "cluster": LANGS}
    whole = xent_cli.evaluate(Z, Y, ignore_index=-100, **arguments)
    for values in (6, 24, 66):
        call = called_with(Z, Y, ignore_index=-100, block_values=values)
        groups = grouped(call, Z, -1, **arguments)
        assert summary_of(groups.call, (1,), groups) == whole


def test_slices_are_rows_of_the_frame():
    frame = xent_cli.evaluate(Z, Y, ignore_index=-100, by={"lang": LANGS}).to_frame()
    assert frame["value"].tolist()[1:] == ["de", "en", "fr"]
    assert frame["n_samples"].tolist() == [19, 10, 4, 5]


def test_a_series_names_its_groups_and_must_have_the_order_of_the_logits():
    logits = pd.DataFrame(Z[0], columns=list("abcdef"), index=list("vwxyz"))
    labels = pd.Series(Y[0], index=logits.index)
    lang = pd.Series(["de", None, "de", "en", "en"], index=logits.index, name="lang")
    found = xent_cli.evaluate(logits.to_numpy(), Y[0], by=lang)
    assert [(one.by, one.value, one.summary.n_samples) for one in found.slices] == [
        ("lang", "de", 2),
        ("lang", "en", 2),
        ("lang", None, 1),
    ]
    for arguments in ({"by": lang[::-1]}, {"macro": lang[::-1]}, {"units": pd.Series(range(5), lang.index)[::-1]}):
        with pytest.raises(InputError, match="different order"):
            xent_cli.evaluate(logits, labels.map(dict(enumerate("abcdef"))), **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"by": "lang"}, UsageError, "by does not name groups"),
        ({"by": LANGS}, UsageError, "groups without a name"),
        ({"by": 2}, UsageError, "class axis"),
        ({"by": 3}, UsageError, "out of range"),
        ({"by": {"lang": LANGS[:2]}}, InputError, "wrong number of groups"),
        ({"macro": "lang"}, UsageError, "macro does not name groups"),
        ({"cluster": "label"}, UsageError, "cluster does not name groups"),
        ({"units": -1}, UsageError, "units is out of range"),
        ({"units": SIZES[:2]}, InputError, "wrong number of units"),
        ({"units": 0 * SIZES}, InputError, "no units"),
        ({"units": -SIZES}, XentError, "invalid units"),
        ({"units": LANGS}, InputError, "units are not numbers"),
        ({"units": SIZES.sum(axis=1), "sample_weight": WEIGHTS}, UsageError, "cannot be combined"),
        ({"units": SIZES, "class_weight": np.ones(6)}, UsageError, "class_weight"),
    ],
)
def test_invalid_groups_and_units_are_refused_in_terms_of_arguments(arguments, error, said):
    with pytest.raises(error, match=said) as caught:
        xent_cli.evaluate(Z, Y, ignore_index=-100, **arguments)
    assert "--" not in str(caught.value)
