"""Folders that programs write tables into: partitions, empty parts, and folders of the datasets library."""

import json

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import xent_cli
from tests.click_runner import runner
from tests.readers.source_tests import SourceTests
from xent_cli.cli import cli
from xent_cli.errors import InputError
from xent_cli.readers.interface import Classes
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions

RANDOM = np.random.default_rng(21)
N, K = 90, 3
LOGITS = RANDOM.normal(0, 2, (N, K))
LABELS = RANDOM.integers(0, K, N)
# better than a guess, which is required of columns whose names do not say that they are scores
LOGITS[np.arange(N), LABELS] += 2
NAMES = np.array(["ant", "bee", "cat"])
SPLITS = np.array(["test", "train"])[np.arange(N) % 2]
LOSSES = xent_cli.sparse_softmax_cross_entropy(LOGITS, LABELS)
TABLE = pd.DataFrame({f"logit_{i}": LOGITS[:, i] for i in range(K)} | {"label": LABELS, "split": SPLITS})


def run(*args):
    found = runner().invoke(cli, list(map(str, args)), standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return found.stdout


def summary(*args):
    return json.loads(run("compute", *args, "-f", "json", "-q"))


def parquet(table, path):
    table.to_parquet(path.with_suffix(".parquet"), index=False)


def arrow(table, path):
    held = pa.Table.from_pandas(table, preserve_index=False)
    with pa.OSFile(f"{path}.arrow", "wb") as file, pa.ipc.new_file(file, held.schema) as writer:
        writer.write_table(held)


def records(table, path):
    np.save(f"{path}.npy", table.to_records(index=False))


WRITERS = {
    "parquet": parquet,
    "csv": lambda table, path: table.to_csv(f"{path}.csv", index=False),
    "tsv.gz": lambda table, path: table.to_csv(f"{path}.tsv.gz", index=False, sep="\t"),
    "jsonl": lambda table, path: table.to_json(f"{path}.jsonl", orient="records", lines=True, double_precision=15),
    "arrow": arrow,
    "records": records,
}


def hive(folder, writer, *keys, table=TABLE):
    """Write a folder of partitions, in which each file has the other columns."""
    for values, part in table.groupby(list(keys)):
        inner = folder.joinpath(*(f"{key}={value}" for key, value in zip(keys, values, strict=True)))
        inner.mkdir(parents=True)
        WRITERS[writer](part.drop(columns=list(keys)), inner / "part-0")
    return folder


@pytest.mark.parametrize("writer", WRITERS)
def test_values_of_folders_can_be_slices(writer, tmp_path):
    found = summary(hive(tmp_path / "d", writer, "split"), "--by", "split")
    assert found["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)
    means = {each["value"]: each["summary"]["mean_loss"] for each in found["slices"]}
    assert means == pytest.approx({name: LOSSES[name == SPLITS].mean() for name in ("test", "train")}, rel=1e-12)


@pytest.mark.parametrize("writer", WRITERS)
def test_values_of_folders_can_be_labels_of_text(writer, tmp_path):
    table = TABLE.rename(columns={f"logit_{i}": name for i, name in enumerate(NAMES)}).assign(label=NAMES[LABELS])
    folder = hive(tmp_path / "d", writer, "label", table=table.drop(columns="split"))
    assert summary(folder)["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)


@pytest.mark.parametrize("writer", WRITERS)
def test_values_of_folders_can_be_labels_of_whole_numbers(writer, tmp_path):
    folder = hive(tmp_path / "d", writer, "label", table=TABLE.drop(columns="split"))
    assert summary(folder)["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)


def test_labels_of_folders_begin_where_all_of_them_do_not_where_the_first_does(tmp_path):
    table = TABLE.rename(columns={f"logit_{i}": f"logit_{i + 1}" for i in range(K)}).assign(label=LABELS + 1)
    folder = hive(tmp_path / "d", "parquet", "label", table=table.drop(columns="split"))
    assert summary(folder)["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)


@pytest.mark.parametrize("writer", ["parquet", "csv"])
def test_labels_in_a_folder_of_their_own_may_be_in_partitions(writer, tmp_path):
    np.save(tmp_path / "l.npy", LOGITS[np.argsort(LABELS, kind="stable")])
    folder = hive(tmp_path / "y", writer, "label", table=TABLE[["label"]].assign(row=np.arange(N)))
    found = summary(tmp_path / "l.npy", folder)
    assert found["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)


def test_partitions_within_partitions_are_all_columns(tmp_path):
    table = TABLE.assign(year=np.where(np.arange(N) % 3 == 0, 2023, 2024))
    found = summary(hive(tmp_path / "d", "parquet", "year", "split", table=table), "--by", "year", "--by", "split")
    assert {(each["by"], each["value"]) for each in found["slices"]} == {
        ("year", "2023"), ("year", "2024"), ("split", "test"), ("split", "train"),
    }  # fmt: skip


def duck(folder):
    with duckdb.connect() as connection:
        connection.register("held", pa.Table.from_pandas(TABLE, preserve_index=False))
        connection.execute(f"COPY held TO '{folder}' (FORMAT parquet, PARTITION_BY (split))")


def arrow_dataset(folder):
    held = pa.Table.from_pandas(TABLE, preserve_index=False)
    pa.dataset.write_dataset(
        held, folder, format="parquet", partitioning=["split"], partitioning_flavor="hive", max_rows_per_group=20
    )


LIBRARIES = {
    "pandas": lambda folder: TABLE.to_parquet(folder, partition_cols=["split"], index=False),
    "pyarrow": arrow_dataset,
    "duckdb": duck,
    "polars": lambda folder: pl.from_pandas(TABLE).write_parquet(folder, use_pyarrow=True, pyarrow_options={
        "partition_cols": ["split"]}),
}  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES)
def test_folders_of_the_libraries_that_write_them_are_read(library, tmp_path):
    LIBRARIES[library](str(tmp_path / "d"))
    found = summary(tmp_path / "d", "--by", "split")
    means = {each["value"]: each["summary"]["mean_loss"] for each in found["slices"]}
    assert means == pytest.approx({name: LOSSES[name == SPLITS].mean() for name in ("test", "train")}, rel=1e-12)


def test_a_pattern_over_partitions_gives_their_columns_too(tmp_path):
    hive(tmp_path / "d", "parquet", "split")
    found = summary(f"{tmp_path}/d/split=*/*.parquet", "--by", "split")
    assert {each["value"] for each in found["slices"]} == {"test", "train"}


def test_a_missing_value_is_none_and_names_are_unquoted(tmp_path):
    table = TABLE.assign(**{"my split": np.where(SPLITS == "test", "a%2Fb%20c", "__HIVE_DEFAULT_PARTITION__")})
    for value, part in table.groupby("my split"):
        (tmp_path / "d" / f"my%20split={value}").mkdir(parents=True)
        parquet(part.drop(columns=["my split"]), tmp_path / "d" / f"my%20split={value}" / "p")
    found = summary(tmp_path / "d", "--by", "my split")
    assert {each["value"] for each in found["slices"]} == {"a/b c", None}


def test_a_column_of_the_file_counts_before_the_folder(tmp_path):
    (tmp_path / "d" / "split=other").mkdir(parents=True)
    parquet(TABLE, tmp_path / "d" / "split=other" / "p")
    assert {each["value"] for each in summary(tmp_path / "d", "--by", "split")["slices"]} == {"test", "train"}


def test_hidden_and_temporary_folders_hold_no_rows(tmp_path):
    folder = hive(tmp_path / "d", "parquet", "split")
    (folder / "_SUCCESS").touch()
    for hidden in ("_temporary/0", ".ipynb_checkpoints", "split=test/_started"):
        (folder / hidden).mkdir(parents=True)
        parquet(TABLE, folder / hidden / "p")
    assert summary(folder)["summary"]["n_samples"] == N


def test_files_in_different_partitions_are_refused(tmp_path):
    folder = hive(tmp_path / "d", "parquet", "split")
    parquet(TABLE, folder / "beside")
    with pytest.raises(InputError, match="files in different partitions"):
        summary(folder)


@pytest.mark.parametrize("name", ["logit_3", "3", "run", "bird"])
@pytest.mark.parametrize("names", [["logit_0", "logit_1", "logit_2"], ["0", "1", "2"], ["ant", "bee", "cat"]])
def test_the_value_of_a_folder_is_never_a_class(names, name, tmp_path):
    table = pd.DataFrame(LOGITS, columns=names).assign(label=LABELS, **{name: np.arange(N) % 2})
    folder = hive(tmp_path / "d", "parquet", name, table=table)
    order = np.argsort(np.arange(N) % 2, kind="stable")
    assert summary(folder)["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)
    rows = [float(line.split("\t")[-1]) for line in run("compute", folder, "-f", "tsv", "-q").splitlines()[1:]]
    assert rows == pytest.approx(LOSSES[order], rel=1e-12)
    with pytest.raises(InputError, match="a folder name cannot give logits"):
        summary(folder, "--logits-column", ",".join([*names, name]))


def test_a_folder_gives_no_mask_and_no_weight(tmp_path):
    folder = hive(tmp_path / "d", "parquet", "w", table=TABLE.drop(columns="split").assign(w=np.arange(N) % 2))
    for option in ("--sample-weight-column", "--mask"):
        with pytest.raises(InputError, match="a folder name cannot give logits, a mask, weights or units"):
            summary(folder, option, "w")


def test_inspect_lists_the_columns_of_folders(tmp_path):
    found = run("inspect", hive(tmp_path / "d", "parquet", "split"), "-q")
    assert "split from folders" in found


def test_files_below_a_folder_are_mentioned_in_the_error(tmp_path):
    (tmp_path / "d" / "run1").mkdir(parents=True)
    parquet(TABLE, tmp_path / "d" / "run1" / "p")
    with pytest.raises(InputError, match="no files") as caught:
        summary(tmp_path / "d")
    line = caught.value.hint.split("'")[1]
    assert summary(line)["summary"]["n_samples"] == N


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("place", ["part-0", "part-1", "part-9"])
def test_parts_without_rows_are_passed_over_wherever_they_stand(place, writer, tmp_path):
    bare = TABLE.drop(columns="split").rename(columns={f"logit_{i}": name for i, name in enumerate(NAMES)})
    for number, part in (("part-1", bare[:40]), ("part-5", bare[40:])):
        WRITERS[writer](part, tmp_path / f"{number}-x")
    WRITERS[writer](bare[:0], tmp_path / place)
    found = summary(tmp_path)
    assert (found["summary"]["n_samples"], found["summary"]["mean_loss"]) == (
        N,
        pytest.approx(LOSSES.mean(), rel=1e-12),
    )


class TestHiveParquet(SourceTests):
    format = "parquet"
    options = ReadOptions(by=("split",))

    def write(self, folder, values):
        wide = {f"logit_{i}": column for i, column in enumerate(values.T)}
        for name, part in (("test", slice(None, 40)), ("train", slice(40, None))):
            (folder / "d" / f"split={name}").mkdir(parents=True)
            held = pa.table({column: found[part] for column, found in wide.items()})
            pq.write_table(held, folder / "d" / f"split={name}" / "p.parquet", row_group_size=1000)
        return str(folder / "d")

    def read(self, part):
        rows = part.read()
        assert {*rows.groups[:, 0]} <= {"test", "train"}
        return np.array(rows.logits)


@pytest.mark.parametrize("size", [100, 1000, 1 << 20])
def test_groups_of_partitions_are_the_same_however_they_are_cut(size, tmp_path):
    folder = hive(tmp_path / "d", "parquet", "split")
    limits = dict.fromkeys(("task_bytes", "group_bytes", "step_bytes", "list_group_bytes"), size)
    options = ReadOptions(by=("split",))
    source = open_source(str(folder), "logits", options._replace(run=options.run._replace(**limits)), Classes(-1))
    groups = [part.read().groups[:, 0] for _, _, part in source.parts()]
    assert np.concatenate(groups).tolist() == ["test"] * 45 + ["train"] * 45


# A folder of the datasets library: state.json lists the files, and cache-*.arrow is not one of them.
def saved_dataset(folder, parts):
    folder.mkdir(parents=True)
    files = []
    for number, part in enumerate(parts):
        held = pa.Table.from_pandas(part, preserve_index=False)
        files.append(f"data-{number:05}-of-{len(parts):05}.arrow")
        with pa.OSFile(str(folder / files[-1]), "wb") as file, pa.ipc.new_stream(file, held.schema) as writer:
            writer.write_table(held)
    state = {"_data_files": [{"filename": file} for file in files], "_fingerprint": "a1", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_dataset_is_the_files_that_its_state_lists_in_their_order(tmp_path):
    folder = saved_dataset(tmp_path / "d", [TABLE[:50], TABLE[50:]])
    (folder / "cache-1a2b3c4d.arrow").write_bytes((folder / "data-00000-of-00002.arrow").read_bytes())
    assert summary(folder)["summary"]["n_samples"] == N
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"].reverse()
    (folder / "state.json").write_text(json.dumps(state))
    rows = [float(line.split("\t")[-1]) for line in run("compute", folder, "-f", "tsv", "-q").splitlines()[1:]]
    assert rows == pytest.approx(np.roll(LOSSES, -50), rel=1e-12)


def test_a_dataset_of_which_a_file_or_the_rows_are_missing_is_refused(tmp_path):
    folder = saved_dataset(tmp_path / "d", [TABLE[:50], TABLE[50:]])
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002\.arrow"):
        summary(folder)
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"_indices_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(InputError, match="flatten_indices"):
        summary(folder)


def dataset_dict(folder):
    for split in ("train", "validation"):
        saved_dataset(folder / split, [TABLE[TABLE.split == {"validation": "test"}.get(split, split)]])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    return folder


def test_a_dict_of_datasets_is_named_with_its_splits_and_the_line_that_chooses(tmp_path, monkeypatch):
    dataset_dict(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        summary("d")
    assert '"train", "validation"' in str(caught.value)
    line = caught.value.hint.partition("name one: xent compute ")[2]
    assert summary(line)["summary"]["mean_loss"] == pytest.approx(LOSSES[SPLITS == "test"].mean(), rel=1e-12)


def test_shards_of_a_model_are_named(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    (tmp_path / "model-00001-of-00001.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="a model in shards"):
        summary(tmp_path)


@pytest.fixture
def bucket(tmp_path):
    """Return a function that copies a folder into memory, from which URLs read it."""
    memory = fsspec.filesystem("memory")

    def put(folder):
        for path in folder.rglob("*"):
            if path.is_file():
                memory.pipe(f"/{folder.name}/{path.relative_to(folder)}", path.read_bytes())
        return f"memory://{folder.name}"

    yield put
    memory.rm("/", recursive=True)


def test_partitions_of_a_bucket_are_read(bucket, tmp_path):
    found = summary(bucket(hive(tmp_path / "hive", "parquet", "split")), "--by", "split")
    means = {each["value"]: each["summary"]["mean_loss"] for each in found["slices"]}
    assert means == pytest.approx({name: LOSSES[name == SPLITS].mean() for name in ("test", "train")}, rel=1e-12)
    found = summary("memory://hive/split=*/*", "--by", "split")
    assert {each["value"] for each in found["slices"]} == {"test", "train"}


def test_datasets_of_a_bucket_are_read_and_dicts_of_them_named(bucket, tmp_path):
    url = bucket(dataset_dict(tmp_path / "dict"))
    with pytest.raises(InputError, match="several splits") as caught:
        summary(url)
    assert caught.value.hint == "name one: xent compute memory://dict/validation"
    assert summary("memory://dict/train")["summary"]["n_samples"] == N // 2


def test_a_folder_of_another_program_in_a_bucket_is_named(bucket, tmp_path):
    (tmp_path / "z" / "c").mkdir(parents=True)
    (tmp_path / "z" / "zarr.json").write_text("{}")
    with pytest.raises(InputError, match="a Zarr folder"):
        summary(bucket(tmp_path / "z"))


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITERS if suffix != "records"])  # text has dtype object there
@pytest.mark.parametrize("stem", ["", "logit_"])
def test_classes_named_by_the_labels_of_all_files_need_not_occur_in_the_first(suffix, stem, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    order = np.argsort(LABELS == 2, kind="stable")  # the last class comes last
    table = pd.DataFrame({f"{stem}{name}": LOGITS[order, i] for i, name in enumerate(NAMES)})
    table["label"] = NAMES[LABELS[order]]
    for i, part in enumerate((table[:40], table[40:])):
        WRITERS[suffix](part, folder / f"part-{i}")
    assert "cat" not in set(table["label"][:40])
    assert summary(folder)["summary"]["mean_loss"] == pytest.approx(LOSSES.mean(), rel=1e-12)
