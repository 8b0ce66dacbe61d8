"""Refuse formats that are recognised but not read, and show the line that converts the file."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath

from xent_cli.errors import InputError
from xent_cli.readers.foreign_formats.signatures import SIGNATURES

# Names under which outputs are usually saved, the likeliest first; the line that converts uses the first that occurs in
# the head of the file.
_KEYS = ("logits", "logit", "log_probs", "logprobs", "probs", "probabilities", "predictions", "preds", "outputs")
_WORDS = re.compile("TABLE|KEY|STEM|UNPACKED|ENCODING")
_CREATED = re.compile(rb"CREATE TABLE (?:IF NOT EXISTS )?[\"'`\[]?(\w+)", re.IGNORECASE)


def refuse_foreign(name: str, head: bytes, *, certain: bool = False) -> None:
    """Refuse a file in a format that is recognised but not read.

    Parameters
    ----------
    head
        First bytes of the file, decompressed.
    certain
        Whether to refuse only formats whose signature raw numbers are very unlikely to begin with.

    Raises
    ------
    InputError
        Saying how to convert it.
    """
    for signature in SIGNATURES:
        if (signature.strong or not certain) and signature.fits(head):
            line = signature.line if isinstance(signature.line, str) else signature.line(head)
            line = command(line, name, head)
            raise InputError("format not supported", name, found=signature.name, hint=signature.words + line)


def command(line: str, name: str, head: bytes = b"") -> str:
    r"""Fill in a line of `Signature`, so that it can be pasted into a shell.

    Examples
    --------
    >>> command("import pandas; pandas.read_sas(FILE).to_parquet('STEM.parquet')", "a/b.sas")
    'python -c "import pandas; pandas.read_sas(\'a/b.sas\').to_parquet(\'b.parquet\')"'
    >>> command("import numpy; numpy.save('logits.npy', numpy.load(FILE))", "logits.npy")
    'python -c "import numpy; numpy.save(\'converted.npy\', numpy.load(\'logits.npy\'))"'
    >>> command("tar -xf FILE", "my files.tar")
    "tar -xf 'my files.tar'"
    """
    file, unpacked = PurePath(name).name, PurePath(name).stem
    stem = file.partition(".")[0]
    stem = stem if re.fullmatch(r"[\w-]+", stem) else "converted"
    if name.endswith((".parquet", ".csv", ".txt")) or file == stem:
        stem += "_converted"  # the line must not overwrite the file that it reads
    if file in ("logits.npy", "labels.npy"):
        line = line.replace("'logits.npy'", "'converted.npy'").replace("'labels.npy'", "'converted.npy'")
    created = _CREATED.search(head)
    words = {
        "TABLE": created[1].decode("ascii", "replace") if created else "predictions",
        "KEY": next((key for key in _KEYS if key.encode() in head), _KEYS[0]),
        "STEM": stem,
        "UNPACKED": unpacked if "." in file and re.fullmatch(r"[\w.-]+", unpacked) else "unpacked",
        "ENCODING": "UTF-16BE" if head[:1] == b"\0" else "UTF-16LE",
    }
    line = _WORDS.sub(lambda found: words[found[0]], line)
    if line.startswith(("import ", "Rscript -e ")):
        program, code = ("python -c", line) if line.startswith("import ") else ("Rscript -e", line[12:-1])
        code = code.replace("FILE", repr(name))
        return f'{program} "{code}"' if not re.search(r'["$`\\!]', code) else f"{program} {shlex.quote(code)}"
    return line.replace("FILE", shlex.quote(name))
