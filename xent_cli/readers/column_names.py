"""Names of the columns of a table, or of the arrays of an archive, from the head of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xent_cli.readers.list_contents import list_arrays
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.storage.locate import locate

if TYPE_CHECKING:
    from xent_cli.readers.storage.locate import Located

# The names in a JSON document need all of it: one larger than this is not read.
_DOCUMENT_BYTES = 1 << 20


def column_names(path: str | Located) -> tuple[str, ...]:
    r"""Return the names in an input, in their order; for several files, those of the first.

    Raises
    ------
    XentError
        If the input cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "table.csv").write_text("id,cat,dog,label\n7,0.5,1,dog\n")
    ...     column_names(f"{folder}/table.csv")
    ('id', 'cat', 'dog', 'label')
    """
    located = locate(path)
    folders = tuple(folder.name for folder in located.partitions[0]) if located.partitions else ()
    located = located._replace(files=located.files[:1], partitions=())
    arrays = list_arrays(located)
    if arrays:
        return tuple(entry.name for entry in arrays)
    options = ReadOptions(run=RunNeeds(document_bytes=_DOCUMENT_BYTES))
    plan = open_source(located, "names", options).info.plan
    return folders if plan is None else (*plan.columns, *folders)
