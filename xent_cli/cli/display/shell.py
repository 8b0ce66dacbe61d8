"""Words for a shell, as lines that a user may copy."""

from __future__ import annotations

import os
import shlex

from xent_cli.errors import printable


def quoted(word: str) -> str:
    r"""A word for a shell, all of it printable: other characters as the bytes that bash and zsh read.

    Examples
    --------
    >>> print(quoted("it's"), quoted(chr(27) + "'"), quoted("caf" + chr(0xDCE9)))
    'it'"'"'s' $'\x1b\x27' $'caf\xe9'
    """
    if word == printable(word):
        # zsh takes a word that begins with = for a command to be found.
        return f"'{word}'" if word.startswith("=") and "'" not in word else shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    """A character within ``$''``: by its bytes in the encoding of file names, so that the locale does not matter."""
    if character.isprintable() and character not in "\\'#:":
        return character
    try:
        spelt = os.fsencode(character)
    except UnicodeEncodeError:  # half of a character, as JSON may have it; no file has such a name
        spelt = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in spelt)
