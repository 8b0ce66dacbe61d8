"""`--by`, `--macro` and `--units`: which samples form a group in every format, and the figures."""

import json
import math

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import xent_cli
from tests import forked
from xent_cli.reports.strict_json import json_schema

B, T, K = 3, 4, 5
RNG = np.random.default_rng(11)
Z, Y = RNG.normal(size=(B, T, K)), RNG.integers(0, K, (B, T))
Y[0, 1] = Y[2, 3] = -100
SIZES = RNG.integers(1, 6, (B, T))
LANGS = np.array(["de", "en", "de"])
LOSS = xent_cli.sparse_softmax_cross_entropy(Z, Y, ignore_index=-100)
NAN = np.isnan(LOSS)
IGNORE = ("--ignore-index", "-100")


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "bytes.npy", SIZES)
    np.save(tmp_path / "document_bytes.npy", SIZES.sum(axis=1))
    np.save(tmp_path / "langs.npy", LANGS)
    (tmp_path / "langs.txt").write_text("".join(f"{lang}\n" for lang in LANGS))
    np.save(tmp_path / "flat_z.npy", Z.reshape(-1, K))
    np.save(tmp_path / "flat_y.npy", Y.reshape(-1))
    np.save(tmp_path / "flat_langs.npy", np.repeat(LANGS, T))
    return tmp_path


def table(**more):
    columns = {f"logit_{k}": Z.reshape(-1, K)[:, k] for k in range(K)}
    return pd.DataFrame({**columns, "label": Y.reshape(-1), **more})


def summary(folder, *args, code=0):
    run = forked.xent("compute", *args, *IGNORE, "-f", "json", cwd=folder)
    assert run.returncode == code, run.stderr
    document = json.loads(run.stdout)
    jsonschema.validate(document, json_schema("summary/summary"))
    return document


def refused(folder, *args, code=3):
    run = forked.xent("compute", *args, *IGNORE, "-f", "json", cwd=folder)
    assert run.returncode == code, run.stderr
    return run.stderr


def slices(document):
    found = {(entry["by"], entry["value"]): entry["summary"] for entry in document["slices"]}
    return {key: (entry["n_samples"], entry["mean_loss"]) for key, entry in found.items()}


def means(groups, loss=LOSS):
    """Return the number and the mean of the losses of each group."""
    groups, loss = np.broadcast_to(groups, loss.shape).reshape(-1), loss.reshape(-1)
    found = {}
    for group in dict.fromkeys(groups.tolist()):
        some = loss[(groups == group) & ~np.isnan(loss)]
        found[str(group)] = (some.size, math.fsum(some) / some.size if some.size else None)
    return found


def near(found, expected):
    assert found.keys() == expected.keys()
    for key, (count, mean) in expected.items():
        assert found[key][0] == count
        assert found[key][1] == (None if mean is None else pytest.approx(mean, rel=1e-14))


def named(by, found):
    return {(by, value): entry for value, entry in found.items()}


def test_slices_along_an_axis_of_an_array(folder):
    found = slices(summary(folder, "z.npy", "y.npy", "--by", "axis:0", "--by", "axis:1"))
    rows, columns = np.arange(B)[:, None], np.arange(T)[None, :]
    near(found, named("axis:0", means(rows)) | named("axis:1", means(columns)))
    last = slices(summary(folder, "z.npy", "y.npy", "--by", "axis:-2"))
    near(last, named("axis:-2", means(columns)))
    moved = np.moveaxis(Z, -1, 1)
    np.save(folder / "moved.npy", moved)
    near(
        slices(summary(folder, "moved.npy", "y.npy", "--axis", "1", "--by", "axis:2")), named("axis:2", means(columns))
    )


@pytest.mark.parametrize("file", ["langs.npy", "langs.txt", "langs.csv", "langs.jsonl", "langs.parquet"])
def test_a_file_names_the_groups_of_documents_or_of_samples(file, folder):
    frame = pd.DataFrame({"id": range(B), "lang": LANGS})
    frame.to_csv(folder / "langs.csv", index=False)
    frame.to_json(folder / "langs.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "langs.parquet", index=False)
    expected = named("lang", means(LANGS[:, None]))
    near(slices(summary(folder, "z.npy", "y.npy", "--by", f"lang={file}")), expected)
    every_one = slices(summary(folder, "flat_z.npy", "flat_y.npy", "--by", "lang=flat_langs.npy"))
    near(every_one, expected)


def test_numbers_in_a_file_are_the_texts_that_a_column_of_them_would_be(folder):
    for values in (np.arange(B * T) % 3, (np.arange(B * T) % 3) / 2, np.arange(B * T) % 2 == 0):
        np.save(folder / "g.npy", values)
        table(g=values).to_parquet(folder / "t.parquet", index=False)
        array = slices(summary(folder, "flat_z.npy", "flat_y.npy", "--by", "g=g.npy"))
        assert array == slices(summary(folder, "t.parquet", "--by", "g"))


def test_labels_make_groups_of_arrays_and_of_tables_alike(folder):
    expected = named("label", means(Y))
    near(slices(summary(folder, "z.npy", "y.npy", "--by", "label")), expected)
    table().rename(columns={"label": "target"}).to_csv(folder / "t.csv", index=False)
    near(slices(summary(folder, "t.csv", "--by", "label")), expected)
    names = np.array(["ant", "bee", "cat", "dog", "eel"])
    words = table().rename(columns={f"logit_{k}": f"logit_{name}" for k, name in enumerate(names)})
    words = words[words["label"] >= 0].assign(label=lambda t: names[t["label"]])
    words.to_csv(folder / "words.csv", index=False)
    found = slices(summary(folder, "words.csv", "--logits-column", "logit_*", "--by", "label"))
    near(found, {("label", names[int(k)]): entry for (_, k), entry in expected.items() if k != "-100"})


def test_arrays_of_an_archive_name_groups_and_units(folder):
    np.savez(folder / "all.npz", logits=Z, labels=Y, lang=LANGS, size=SIZES)
    document = summary(folder, "all.npz", "--by", "lang", "--units", "size")
    near(slices(document), named("lang", means(LANGS[:, None])))
    assert document["summary"]["n_units"] == SIZES[~NAN].sum()


def test_a_column_of_any_name_can_be_selected_and_ambiguity_is_refused(folder):
    odd = {"axis:0": ["x"] * 6 + ["y"] * 6, "a=langs.txt": ["u", "v"] * 6, "none": ["w"] * 12}
    table(**odd).to_csv(folder / "t.csv", index=False)
    for name in odd:
        found = slices(summary(folder, "t.csv", "--by", f"column:{name}"))
        near(found, named(name, means(np.array(odd[name]), LOSS.reshape(-1))))
    assert "a column and a file of one name" in refused(folder, "t.csv", "--by", "a=langs.txt")
    (folder / "langs.txt").unlink()
    near(
        slices(summary(folder, "t.csv", "--by", "a=langs.txt")),
        named("a=langs.txt", means(np.array(odd["a=langs.txt"]), LOSS.reshape(-1))),
    )
    assert "that is for --cluster" in refused(folder, "t.csv", "--by", "none", code=2)


def test_a_path_with_a_dot_is_always_a_file(folder):
    table(langs=["x"] * 12).to_csv(folder / "t.csv", index=False)
    found = slices(summary(folder, "t.csv", "--by", "./flat_langs.npy"))
    near(found, named("flat_langs", means(LANGS[:, None])))
    table(bytes=[1] * 12).to_csv(folder / "u.csv", index=False)
    np.save(folder / "bytes.npy", SIZES.reshape(-1))
    assert summary(folder, "u.csv", "--units", "bytes")["summary"]["n_units"] == 10
    assert summary(folder, "u.csv", "--units", "./bytes.npy")["summary"]["n_units"] == SIZES[~NAN].sum()


@pytest.mark.parametrize("shift", [1, -1, 2])
def test_groups_move_with_the_labels_under_a_shift_and_an_axis_does_not(shift, folder):
    np.save(folder / "parts.npy", np.array([["head", "tail", "tail", "end"]] * B))
    found = summary(
        folder, "z.npy", "y.npy", "--shift", str(shift), "--by", "part=parts.npy", "--by", "axis:1", "--by", "label"
    )
    steps = range(T)
    moved = np.full((B, T), np.nan)
    parts = np.array([["head", "tail", "tail", "end"]] * B)
    labels = np.full((B, T), -100)
    groups = parts.copy()
    for t in steps:
        if 0 <= t + shift < T:
            some = xent_cli.sparse_softmax_cross_entropy(Z[:, t], Y[:, t + shift], ignore_index=-100)
            moved[:, t], groups[:, t], labels[:, t] = some, parts[:, t + shift], Y[:, t + shift]
    by_part = {key: entry for key, entry in slices(found).items() if key[0] == "part"}
    near(by_part, named("part", means(groups, moved)))
    by_axis = {key: entry for key, entry in slices(found).items() if key[0] == "axis:1"}
    near(by_axis, named("axis:1", means(np.arange(T)[None, :], moved)))
    by_label = {key: entry for key, entry in slices(found).items() if key[0] == "label" and entry[0]}
    near(by_label, {key: e for key, e in named("label", means(labels, moved)).items() if e[0]})


@pytest.mark.parametrize(
    ("asked", "groups"),
    [("axis:0", np.arange(B)[:, None]), ("label", Y), ("lang=langs.npy", LANGS[:, None]), ("axis:1", np.arange(T))],
)
def test_the_mean_over_groups_of_their_means(asked, groups, folder):
    found = summary(folder, "z.npy", "y.npy", "--macro", asked)["summary"]
    some = [mean for count, mean in means(groups).values() if count]
    assert found["n_groups"] == len(some)
    assert found["macro_loss"] == pytest.approx(np.mean(some), rel=1e-14)
    assert found["macro_perplexity"] == pytest.approx(np.mean(np.exp(some)), rel=1e-14)
    assert "slices" not in summary(folder, "z.npy", "y.npy", "--macro", asked)


@pytest.mark.parametrize(
    ("units", "count"),
    [("bytes.npy", SIZES[~NAN].sum()), ("document_bytes.npy", SIZES.sum()), ("1234.5", 1234.5)],
)
def test_losses_per_byte(units, count, folder):
    found = summary(folder, "z.npy", "y.npy", "--units", units)["summary"]
    nats = math.fsum(LOSS[~NAN]) / count
    assert found["n_units"] == count
    assert found["bits_per_unit"] == pytest.approx(nats / math.log(2), rel=1e-14)
    assert found["unit_perplexity"] == pytest.approx(math.exp(nats), rel=1e-14)
    if units == "1234.5":
        assert "se_bits_per_unit" not in found
        return
    sums = np.where(NAN, 0, LOSS).sum(axis=1)
    lengths = SIZES.sum(axis=1) if units.startswith("document") else np.where(NAN, 0, SIZES).sum(axis=1)
    spread = sums - nats * lengths
    error = math.sqrt(B / (B - 1) * np.sum(spread**2)) / count / math.log(2)
    assert found["se_bits_per_unit"] == pytest.approx(error, rel=1e-12)


def test_a_document_counts_once_if_any_of_its_samples_does(folder):
    labels = Y.copy()
    labels[1] = -100
    np.save(folder / "y.npy", labels)
    found = summary(folder, "z.npy", "y.npy", "--units", "document_bytes.npy", "--cluster", "none")
    assert found["summary"]["n_units"] == SIZES[[0, 2]].sum()
    assert "se_bits_per_unit" not in found["summary"]
    assert "repeated" in [note["code"] for note in found["notes"]]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl", "arrow", "records.npy"])
def test_units_are_a_column_in_every_format_of_table(suffix, folder):
    frame, path = table(size=SIZES.reshape(-1), doc=np.repeat(["x", "y", "z"], T)), folder / f"t.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "parquet":
        frame.to_parquet(path, index=False)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif suffix == "arrow":
        batches = pa.Table.from_pandas(frame, preserve_index=False)
        with pa.ipc.new_file(path, batches.schema) as writer:
            writer.write_table(batches)
    else:
        np.save(path, frame.to_records(index=False, column_dtypes={"doc": "U1"}))
    found = summary(folder, path.name, "--units", "size", "--cluster", "doc", "--macro", "doc")["summary"]
    same = summary(folder, "z.npy", "y.npy", "--units", "bytes.npy", "--macro", "axis:0")["summary"]
    tolerance = 1e-12 if suffix == "jsonl" else 0  # pandas writes 15 digits
    for name in ("n_units", "bits_per_unit", "se_bits_per_unit", "n_groups", "macro_loss", "macro_perplexity"):
        assert found[name] == pytest.approx(same[name], rel=tolerance, abs=0)


def test_slices_say_the_losses_per_byte_of_each_group(folder):
    found = summary(folder, "z.npy", "y.npy", "--by", "axis:0", "--units", "bytes.npy")
    for entry, loss, sizes, lost in zip(found["slices"], LOSS, SIZES, NAN, strict=True):
        expected = loss[~lost].sum() / sizes[~lost].sum() / math.log(2)
        assert entry["summary"]["bits_per_unit"] == pytest.approx(expected, rel=1e-14)


def test_slices_say_the_losses_per_byte_of_whole_documents(folder):
    found = summary(folder, "z.npy", "y.npy", "--by", "lang=langs.npy", "--units", "document_bytes.npy")
    for entry in found["slices"]:
        some = entry["value"] == LANGS
        expected = np.nansum(LOSS[some]) / SIZES[some].sum() / math.log(2)
        assert entry["summary"]["bits_per_unit"] == pytest.approx(expected, rel=1e-14)


def test_shards_make_one_axis_of_documents_and_their_own_units(folder):
    for name, values in (("z", Z), ("y", Y), ("s", SIZES.sum(axis=1))):
        for i, part in enumerate(np.array_split(values, 2)):
            np.save(folder / f"part-{name}-{i}.npy", part)
    found = summary(
        folder, "part-z-*.npy", "part-y-*.npy", "--by", "axis:0", "--macro", "axis:0", "--units", "part-s-*.npy"
    )
    near(slices(found), named("axis:0", means(np.arange(B)[:, None])))
    assert found["summary"]["n_units"] == SIZES.sum()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_and_the_size_of_tasks_change_no_bit(threads, folder):
    rng = np.random.default_rng(2)
    np.save(folder / "big.npy", rng.normal(size=(60, 700, 40)))
    np.save(folder / "big_y.npy", rng.integers(0, 40, (60, 700)))
    np.save(folder / "big_s.npy", rng.integers(1, 9, 60))
    args = ("big.npy", "big_y.npy", "--by", "axis:0", "--macro", "label", "--units", "big_s.npy")
    found = summary(folder, *args, "--threads", threads)
    flat = np.load(folder / "big.npy").reshape(-1, 40)
    pq.write_table(
        pa.table(
            {
                "logits": pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), 40),
                "label": np.load(folder / "big_y.npy").reshape(-1),
                "axis:0": np.repeat(np.arange(60), 700),
            }
        ),
        folder / "big.parquet",
        row_group_size=999,
    )
    other = summary(folder, "big.parquet", "--by", "column:axis:0", "--macro", "label", "--cluster", "column:axis:0")
    assert [entry["summary"]["mean_loss"] for entry in found["slices"]] == [
        entry["summary"]["mean_loss"] for entry in other["slices"]
    ]
    for name in ("macro_loss", "macro_perplexity", "se_loss"):
        assert found["summary"][name] == other["summary"][name]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--by", "axis:7"), 2, "--by axis:7"),
        (("--by", "axis:-1"), 2, "class axis"),
        (("--by", "axis:x"), 2, "expected axis:N"),
        (("--macro", "every:3"), 2, "that is for --cluster"),
        (("--by", "lang=missing.npy"), 3, "missing.npy"),
        (("--by", "lang=bytes_of_two.npy"), 3, "values of --by"),
        (("--by", "lang=langs.npy", "--by", "lang=langs.txt"), 2, "two kinds of groups called lang"),
        (("--by", "split"), 2, "arrays have no columns"),
        (("--units", "0"), 2, "above 0"),
        (("--units", "nothing"), 3, "nothing"),
        (("--units", "negative.npy"), 3, "invalid units"),
        (("--units", "zero.npy"), 3, "no units"),
        (("--units", "bytes.npy", "--class-weight", "ones.npy"), 2, "--class-weight"),
        (("--units", "document_bytes.npy", "--sample-weight", "bytes.npy"), 2, "weights of samples"),
    ],
)
def test_invalid_groups_and_units_are_refused_in_one_sentence(args, code, said, folder):
    np.save(folder / "bytes_of_two.npy", np.ones(2))
    np.save(folder / "negative.npy", -SIZES)
    np.save(folder / "zero.npy", 0 * SIZES)
    np.save(folder / "ones.npy", np.ones(K))
    error = refused(folder, "z.npy", "y.npy", *args, code=code)
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("option", [("--macro", "axis:0"), ("--units", "bytes.npy")])
def test_an_option_whose_figure_is_not_shown_is_a_usage_error(option, folder):
    run = forked.xent("compute", "z.npy", "y.npy", *IGNORE, *option, "--reduction", "mean", cwd=folder)
    assert (run.returncode, "has no effect" in run.stderr) == (2, True)


def test_limits_may_be_on_figures_over_groups_and_per_unit(folder):
    def check(*args):
        run = forked.xent("check", "z.npy", "y.npy", *IGNORE, "-q", *args, cwd=folder)
        return run.returncode, run.stdout + run.stderr

    groups = ("--macro", "axis:0", "--units", "bytes.npy", "--by", "lang=langs.npy", "--by", "axis:0")
    assert check(*groups, "--max", "macro_loss=9", "--max", "bits_per_unit=9", "--max", "macro_perplexity=999")[0] == 0
    assert check(*groups, "--max", "bits_per_unit=0.01")[0] == 1
    assert check(*groups, "--max", "slice:lang=de:bits_per_unit=0.01")[0] == 1
    assert check(*groups, "--max", "slice:axis:0=1:mean_loss=99")[0] == 0
    code, said = check("--max", "bits_per_unit=1")
    assert (code, "--units" in said) == (3, True)
    code, said = check("--max", "macro_loss=1")
    assert (code, "--macro" in said) == (3, True)
    assert check("--max", "slice:axis:0=1:mean_loss=99")[0] == 2


def test_rows_have_their_index_along_an_axis_and_the_values_of_a_file(folder):
    args = ("--by", "axis:1", "--by", "lang=langs.npy", "--by", "label", "-o", "rows.parquet", "-q")
    run = forked.xent("compute", "z.npy", "y.npy", *IGNORE, *args, cwd=folder)
    assert run.returncode == 0, run.stderr
    rows = pd.read_parquet(folder / "rows.parquet")
    assert rows["lang"].tolist() == np.repeat(LANGS, T).tolist()
    assert rows["axis:1"].tolist() == [str(t) for t in np.tile(np.arange(T), B)]
    assert list(rows) == ["sample", "label", "loss", "axis:1", "lang", "cluster"]
    run = forked.xent("compare", "rows.parquet", "rows.parquet", "--by", "lang", "-f", "json", "-q", cwd=folder)
    assert run.returncode == 0, run.stderr


def test_an_output_is_never_a_file_of_groups_or_units(folder):
    for option in (("--by", "lang=rows.parquet"), ("--units", "rows.parquet"), ("--macro", "lang=rows.parquet")):
        pd.DataFrame({"lang": np.ones(B)}).to_parquet(folder / "rows.parquet")
        run = forked.xent("compute", "z.npy", "y.npy", *IGNORE, *option, "-o", "rows.parquet", cwd=folder)
        assert (run.returncode, "an output would" in run.stderr) == (2, True)


def test_a_file_of_groups_does_not_separate_documents_of_a_table(folder):
    frame = table()
    for i in range(2):
        frame[i * 6 : i * 6 + 6].to_csv(folder / f"t-{i}.csv", index=False)
    args = ("t-*.csv", "--shift", "1", "--by", "lang=flat_langs.npy")
    assert "shards of a table may be one document" in refused(folder, *args)
    frame.to_csv(folder / "t.csv", index=False)
    notes = summary(folder, "t.csv", "--shift", "1", "--by", "lang=flat_langs.npy")["notes"]
    assert any("for one document" in note["message"] for note in notes)


def test_units_of_a_table_with_ids_are_joined_by_these_and_groups_are_not(folder):
    table(id=[f"s{i}" for i in range(12)]).to_csv(folder / "t.csv", index=False)
    ids = [f"s{i}" for i in range(12)][::-1]
    units = pd.DataFrame({"id": ids, "bytes": SIZES.reshape(-1)[::-1]})
    units.to_csv(folder / "u.csv", index=False)
    found = summary(folder, "t.csv", "--units", "./u.csv", "--join", "id")["summary"]
    assert found["n_units"] == SIZES[~NAN].sum()
    assert found["bits_per_unit"] == pytest.approx(LOSS[~NAN].sum() / SIZES[~NAN].sum() / math.log(2), rel=1e-13)
    assert "one by one" in refused(folder, "t.csv", "--by", "lang=flat_langs.npy", "--join", "id", code=2)


@pytest.mark.parametrize("lines", ["de\nen\nde\nen\n", "fr\nde\nfr\nen\n"])
def test_an_extra_line_is_not_silently_read_as_a_name(folder, lines):
    """Four lines for three documents: if the first were a value, every language would be off by one document."""
    (folder / "more.txt").write_text(lines)
    said = refused(folder, "z.npy", "y.npy", "--by", "lang=more.txt")
    assert "a first line that may be a name or a value" in said
    assert 'more.txt: found 4 lines that begin with "' in said
    assert "shapes do not fit" in refused(folder, "z.npy", "y.npy", "--by", "lang=more.txt", "--no-header")


@pytest.mark.parametrize("header", ["lang", "language"])
def test_a_name_above_the_values_is_a_name(folder, header):
    (folder / "named.txt").write_text("\n".join([header, *LANGS, ""]))
    named = summary(folder, "z.npy", "y.npy", "--by", "lang=named.txt")
    assert named["slices"] == summary(folder, "z.npy", "y.npy", "--by", "lang=langs.txt")["slices"]


def test_two_lines_beside_one_document_of_two_tokens_leave_two_readings(tmp_path):
    np.save(tmp_path / "z.npy", Z[:1, :2])
    np.save(tmp_path / "y.npy", np.zeros((1, 2), np.int64))
    (tmp_path / "two.txt").write_text("de\nen\n")
    assert "a first line that may be" in refused(tmp_path, "z.npy", "y.npy", "--by", "lang=two.txt")
    found = summary(tmp_path, "z.npy", "y.npy", "--by", "lang=two.txt", "--no-header")["slices"]
    assert [(entry["value"], entry["summary"]["n_samples"]) for entry in found] == [("de", 1), ("en", 1)]


def test_lines_of_a_file_belong_to_the_rows_of_a_table(folder):
    table().to_parquet(folder / "t.parquet")
    langs = np.repeat(LANGS, T)
    (folder / "lines.txt").write_text("\n".join([*langs, ""]))
    found = summary(folder, "t.parquet", "--by", "lang=lines.txt")["slices"]
    assert {entry["value"]: entry["summary"]["n_samples"] for entry in found} == {
        lang: int((~NAN.ravel())[langs == lang].sum()) for lang in ("de", "en")
    }


def test_a_total_number_of_units_gives_no_figures_of_slices(folder):
    gate = ("check", "z.npy", "y.npy", *IGNORE, "--by", "axis:0", "--max", "slice:axis:0=1:bits_per_unit=9")
    whole = forked.xent(*gate, "--units", "99", cwd=folder)
    assert whole.returncode == 3
    assert "hint: bits_per_unit is a figure of all samples in this run, not of slices" in whole.stderr
    assert "hint: ask for --units" in forked.xent(*gate, cwd=folder).stderr
    assert forked.xent(*gate, "--units", "bytes.npy", cwd=folder).returncode == 0


def test_too_many_groups_of_a_mean_are_called_groups(folder):
    values = np.random.default_rng(0).permutation(10_001)
    np.save(folder / "many_z.npy", np.zeros((10_001, 2)))
    np.save(folder / "many_y.npy", np.zeros(10_001, np.int64))
    np.save(folder / "many.npy", values)
    said = refused(folder, "many_z.npy", "many_y.npy", "--macro", "g=many.npy")
    assert "error: too many unordered groups" in said
    assert "cluster" not in said.split("hint")[0]
