"""Zip archives that are not .npz, recognised by the names of their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.foreign_formats.refuse import command

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODEL = "it holds a model, not its outputs: run the model and save its logits, as in "
_ZIPPED_ZARR = "import numpy, zarr; numpy.save('logits.npy', zarr.open(zarr.storage.ZipStore(FILE), mode='r')[:])"
# Name of the format, part of the name of a member, and words and line as in `Signature`.
_KINDS = (
    ("an Excel workbook", "xl/workbook", "", "import pandas; pandas.read_excel(FILE).to_parquet('STEM.parquet')"),
    ("a Word document", "word/document.xml", "save the numbers as CSV: ", "pandoc FILE -t plain -o STEM.txt"),
    (
        "an OpenDocument spreadsheet",
        "META-INF/manifest.xml",
        "",
        "import pandas; pandas.read_excel(FILE, engine='odf').to_parquet('STEM.parquet')",
    ),
    (
        "a Numbers spreadsheet",
        "Index/Document.iwa",
        "export it as CSV, or: ",
        "import numbers_parser, csv, sys; csv.writer(sys.stdout).writerows("
        "numbers_parser.Document(FILE).sheets[0].tables[0].rows(values_only=True))",
    ),
    (
        "a Keras model",
        "model.weights.h5",
        _MODEL,
        "import numpy, keras; numpy.save('logits.npy', keras.saving.load_model(FILE).predict("
        "numpy.load('inputs.npy')))",
    ),
    (
        "a Zarr store",
        ".zarray",
        "",
        "import numpy, zarr; numpy.save('logits.npy', zarr.open(zarr.storage.ZipStore(FILE), mode='r')[:])",
    ),
    (
        "a Zarr store",
        "zarr.json",
        "",
        "import numpy, zarr; numpy.save('logits.npy', zarr.open(zarr.storage.ZipStore(FILE), mode='r')[:])",
    ),
    ("a Java archive", "META-INF/MANIFEST.MF", "it holds a program: ", "unzip -l FILE"),
)


def refuse_archive(name: str, members: Sequence[str]) -> None:
    """Refuse a zip archive without arrays.

    Raises
    ------
    InputError
        The error says what the archive is, or what it holds.
    """
    for found, mark, words, line in _KINDS:
        if any(member == mark or member.startswith(mark) or member.endswith(f"/{mark}") for member in members):
            raise InputError("format not supported", name, found=found, hint=words + command(line, name))
    files = [member for member in members if not member.endswith("/")]
    raise InputError(
        "no arrays in zip archive",
        name,
        found=f"{listing(files)}" if files else "an empty archive",
        expected="a .npz file",
        hint="unpack it and name the file of numbers in it: " + command("unzip FILE", name) if files else "",
    )
