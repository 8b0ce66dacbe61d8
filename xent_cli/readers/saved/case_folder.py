"""A folder of hard cases from `xent verify --write-cases`, with a kernel's outputs next to the inputs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xent_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANIFEST = "manifest.json"
_FORMAT = 1
# A name must not lead out of the folder.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class SavedCase(NamedTuple):
    """One case: the paths of its files, and the options of the loss.

    Fields
    ------
    loss, gradient
        The kernel's outputs, or None if there is no such file.
    class_weight
        None if classes have no weights.
    """

    name: str
    about: str
    logits: str
    labels: str
    class_weight: str | None
    axis: int
    ignore_index: int
    label_smoothing: float
    loss: str | None
    gradient: str | None


def read_cases(path: str) -> tuple[SavedCase, ...]:
    """Read the manifest of a folder, and check that the inputs are unchanged.

    Raises
    ------
    InputError
        If there is no manifest, xent did not write it, or an input is missing or has changed.
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        if manifest["written_by"] != "xent":
            raise KeyError("written_by")
        if manifest["format"] != _FORMAT:
            raise InputError(
                "cases of another version", path, f"format {manifest['format']}", str(_FORMAT), "write them again"
            )
        return tuple(_case(folder, entry) for entry in manifest["cases"])
    except OSError as error:
        raise InputError(
            "not a folder of cases",
            path,
            found=f"{_MANIFEST}: {error.strerror}",
            expected="what xent verify --write-cases writes",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            "not a manifest of cases", str(folder / _MANIFEST), expected="what xent verify --write-cases writes"
        ) from None


def _case(folder: Path, entry: Mapping[str, Any]) -> SavedCase:
    name = str(entry["name"])
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    place = folder / name
    for file in ("logits.npy", "labels.npy", *(["class_weight.npy"] if entry["class_weight"] else [])):
        _refuse_changed(place / file, str(entry["sha256"][file]))
    loss, gradient = ((place / f"{kind}.npy") for kind in ("loss", "gradient"))
    return SavedCase(
        name,
        str(entry["about"]),
        str(place / "logits.npy"),
        str(place / "labels.npy"),
        str(place / "class_weight.npy") if entry["class_weight"] else None,
        int(entry["axis"]),
        int(entry["ignore_index"]),
        float(entry["label_smoothing"]),
        str(loss) if loss.exists() else None,
        str(gradient) if gradient.exists() else None,
    )


def _refuse_changed(file: Path, digest: str) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        found = error.strerror or "unreadable"
        raise InputError("missing input of a case", str(file), found=found, hint="write the cases again") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            "an input of a case has changed",
            str(file),
            found="contents that differ from the manifest",
            hint="a kernel's outputs are loss.npy and gradient.npy; write the cases again",
        )
