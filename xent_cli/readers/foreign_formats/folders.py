"""Folders of other programs, whose files are not shards: the error names the program and shows how to convert them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from xent_cli.errors import InputError
from xent_cli.readers.foreign_formats.refuse import command

if TYPE_CHECKING:
    from collections.abc import Collection

_MODEL = "it holds a model, not its outputs: run the model and save its logits, as in "
_SAVED = "import numpy; numpy.save('logits.npy', logits)"
# Name of the format, pattern of an entry, and words and line as in `Signature`; the first match wins.
_KINDS = (
    (
        "a Zarr folder",
        r"zarr\.json|\.zarray|\.zgroup|\.zmetadata",
        "",
        "import numpy, zarr; numpy.save('logits.npy', zarr.open(FILE, mode='r')[:])",
    ),
    (
        "a Delta table",
        r"_delta_log",
        "",
        "import deltalake; deltalake.DeltaTable(FILE).to_pandas().to_parquet('STEM.parquet')",
    ),
    (
        "a Lance dataset",
        r"_versions|_latest\.manifest|.*\.lance",
        "",
        "import lance; lance.dataset(FILE).to_table().to_pandas().to_parquet('STEM.parquet')",
    ),
    ("a Hudi table", r"\.hoodie", "", "import daft; daft.read_hudi(FILE).write_parquet('STEM')"),
    (
        "an LMDB database",
        r"data\.mdb",
        "",
        "import numpy, lmdb; numpy.save('logits.npy', numpy.stack([numpy.frombuffer(value, 'float32') "
        "for key, value in lmdb.open(FILE, readonly=True, lock=False).begin().cursor()]))",
    ),
    (
        "a model in shards",
        r".*\.(safetensors|bin)\.index\.json",
        "it holds a model, not its outputs; or name one file of it: ",
        "ls FILE",
    ),
    ("a TensorFlow SavedModel", r"saved_model\.pb(txt)?", _MODEL, _SAVED),
    ("an Orbax checkpoint", r"_CHECKPOINT_METADATA|manifest\.ocdbt", _MODEL, _SAVED),
    ("a distributed PyTorch checkpoint", r".*\.distcp", _MODEL, _SAVED),
    ("a TensorFlow checkpoint", r".*\.data-\d{5}-of-\d{5}", _MODEL, _SAVED),
    (
        "a saved TensorFlow dataset",
        r"dataset_spec\.pb",
        "",
        "import numpy, tensorflow as tf; numpy.save('logits.npy', numpy.stack(list("
        "tf.data.Dataset.load(FILE).as_numpy_iterator())))",
    ),
    ("a W&B run", r".*\.wandb|latest-run", "name the file of numbers in it: ", "ls FILE"),
    (
        "an Iceberg table",
        r"metadata/.*\.metadata\.json",
        "",
        "import pyiceberg.table, pathlib; pyiceberg.table.StaticTable.from_metadata(str(max(pathlib.Path(FILE)"
        ".glob('metadata/*.metadata.json')))).scan().to_pandas().to_parquet('STEM.parquet')",
    ),
    ("an MLflow run", r"meta\.yaml", "name the file of numbers among its artifacts: ", "ls FILE/artifacts"),
)


def refuse_folder(name: str, entries: Collection[str]) -> None:
    """Refuse a folder whose files belong to another program's format and are not shards.

    Parameters
    ----------
    entries
        Names of the files and folders in it.

    Raises
    ------
    InputError
        Naming the program.
    """
    for found, pattern, words, line in _KINDS:
        if any(re.fullmatch(pattern, entry) for entry in entries):
            raise InputError("format not supported", name, found=found, hint=words + command(line, name))


def entries_of(path: str) -> list[str]:
    """Names of the files and folders in a local folder, and of the metadata of an Iceberg table one level below."""
    folder = Path(path)
    below = folder.glob("metadata/*.metadata.json")
    return [*(entry.name for entry in folder.iterdir()), *(f"metadata/{entry.name}" for entry in below)]
