"""Complete names of columns in a shell, from the files on the command line."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from xent_cli.errors import XentError
from xent_cli.readers.column_names import column_names
from xent_cli.readers.storage.reading import is_url, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

# Words that options accept besides names.
_WORDS = {"by": ("label",), "macro": ("label",), "cluster": ("none",)}
_OTHER_FILES = {"loss_column": "loss", "gradient_column": "gradient"}
_OPERANDS = ("logits", "labels", "files", "baseline", "candidates")
# Options that accept several names with commas between them; and those that also accept a file.
_LISTS, _OR_FILES = ("logits_column",), ("mask", "units")


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names that begin with the word; a file that cannot be read has none."""
    option = str(parameter.name)
    before, comma, begun = incomplete.rpartition(",") if option in _LISTS else ("", "", incomplete)
    names: dict[str, None] = {}
    with suppress(OSError, ValueError):  # a word that is too long for a file name
        for path in _typed(context, option):
            names |= dict.fromkeys(_names(path))
    names |= dict.fromkeys(_WORDS.get(option, ()))
    found = [name for name in names if name.startswith(begun) and name.isprintable()]
    # Bash shows only files if one completion is a file; it also shows files if there are no completions at all.
    files = [CompletionItem(incomplete, type="file")] if option in _OR_FILES else []
    return files + [CompletionItem(_quoted(f"{before}{comma}{name}")) for name in found]


def _typed(context: click.Context, option: str) -> Iterator[str]:
    """The inputs typed so far; those of compare may have a label before them.

    click leaves the operands in `args` if the line ends in an option without its value.
    """
    other = _OTHER_FILES.get(option)
    given = [context.params.get(name) or () for name in (_OPERANDS if other is None else (other,))]
    for some in (*given, context.args if other is None else ()):
        for word in (some,) if isinstance(some, str) else some:
            path = word if Path(word).exists() else word.partition("=")[2] or word
            yield path


def _names(path: str) -> tuple[str, ...]:
    """Names in a file or in the first of several, of which only the beginning is read."""
    local = Path(local_path(path)).expanduser()
    if is_url(str(local)) or path == "-" or local.is_fifo():
        return ()
    # Errors in the file are reported when the command runs: a completion that prints would spoil the line.
    with suppress(XentError, OSError, ValueError):
        return column_names(str(local))
    return ()


def _quoted(word: str) -> str:
    """Put backslashes where bash would split a word: bash inserts the word unchanged, while other shells quote it.

    Each backslash is written twice, because click's function for bash unescapes what it reads.
    """
    bash = os.environ.get("_XENT_COMPLETE", "").startswith("bash")
    return re.sub(r"([^\w@%+=:,./-])", r"\\\\\1", word) if bash else word
