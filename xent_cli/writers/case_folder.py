"""A folder of difficult cases for a kernel: inputs, correct results, a manifest and a page about each case."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xent_cli import temporary_files
from xent_cli.core.verify.hard_cases import IGNORED, reference_of
from xent_cli.errors import OutputError
from xent_cli.writers.file_output import path_beside, sync, sync_folder
from xent_cli.writers.parts import errors_name_folder
from xent_cli.writers.place import on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xent_cli.core.array_types import AnyArray
    from xent_cli.core.verify.hard_cases import HardCase


def write_case_folder(path: str, cases: Iterable[HardCase], version: str) -> None:
    """Write a folder with a folder for each case; it appears when it is whole.

    Parameters
    ----------
    version
        Version of xent, for the manifest and the page.

    Raises
    ------
    OutputError
        If there is something at `path`, perhaps with the outputs of a kernel, or it cannot be written to.
    """
    files: dict[str, bytes] = {}
    entries, rows = [], []
    for case in cases:
        written = {f"{name}.npy": _npy(values) for name, values in _arrays(case).items()}
        files |= {f"{case.name}/{name}": content for name, content in written.items()}
        entries.append(_entry(case, written))
        rows.append(f"| `{case.name}` | {case.about} |")
    manifest = {"written_by": "xent", "format": 1, "xent_version": version, "cases": entries}
    files["manifest.json"] = (json.dumps(manifest, indent=1) + "\n").encode()
    page = resources.files("xent_cli.writers").joinpath("cases.md").read_text(encoding="utf-8")
    page = page.replace("{version}", version).replace("{cases}", "\n".join(rows))
    files["README.md"] = page.encode()
    _place(on_disk(path), files)


def _arrays(case: HardCase) -> dict[str, AnyArray]:
    reference = reference_of(case)
    arrays = {
        "logits": case.logits,
        "labels": case.labels,
        "class_weight": case.class_weight,
        "storage": case.storage,
        "expected_loss": reference.loss,
        "expected_gradient": reference.gradient,
    }
    return {name: values for name, values in arrays.items() if values is not None}


def _entry(case: HardCase, written: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "name": case.name,
        "about": case.about,
        "axis": 1,
        "ignore_index": IGNORED,
        "label_smoothing": case.label_smoothing,
        "class_weight": case.class_weight is not None,
        "columns": None if case.columns is None else list(case.columns),
        "divisor": reference_of(case).divisor,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in written.items()},
    }


def _npy(values: AnyArray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, allow_pickle=False)
    return stream.getvalue()


def _place(path: str, files: Mapping[str, bytes]) -> None:
    """Write all files into a folder next to the target, and rename it."""
    target = Path(os.path.realpath(path))
    with errors_name_folder(path):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise OutputError(
                "will not replace folder",
                path,
                found="a folder that is not empty" if target.is_dir() else "a file",
                expected="nothing, or an empty folder",
                hint="name another folder, or move this one away",
            )
        beside = path_beside(target, "tmp")
        folders = [*dict.fromkeys(str((beside / name).parent) for name in files if "/" in name), str(beside)]
        for folder in folders:
            temporary_files.begin(folder)
        try:
            for name, content in files.items():
                file = beside / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    sync(stream.fileno())
            beside.rename(target)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        finally:
            for folder in folders:
                temporary_files.end(folder)
        sync_folder(target.parent)
