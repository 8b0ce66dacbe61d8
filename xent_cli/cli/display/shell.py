"""Quoting of words for a shell, in commands that a user may copy."""

from __future__ import annotations

import os
import shlex

from xent_cli.errors import printable


def quoted(word: str) -> str:
    r"""Quote a word for a shell in printable characters; others become byte escapes that bash and zsh read.

    Examples
    --------
    >>> print(quoted("it's"), quoted(chr(27) + "'"), quoted("caf" + chr(0xDCE9)))
    'it'"'"'s' $'\x1b\x27' $'caf\xe9'
    """
    if word == printable(word):
        # zsh replaces a word that begins with = by the path of a command.
        return f"'{word}'" if word.startswith("=") and "'" not in word else shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    """Escape a character within ``$''`` as the bytes it has in file names, whatever the locale of the shell."""
    if character.isprintable() and character not in "\\'#:":
        return character
    try:
        spelt = os.fsencode(character)
    except UnicodeEncodeError:  # a lone surrogate, which JSON may hold; no file has such a name
        spelt = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in spelt)
