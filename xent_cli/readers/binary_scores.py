"""One score per sample, as a binary classifier returns it, read as the logits of two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xent_cli.errors import InputError
from xent_cli.readers.columns.lines import OneScoreError
from xent_cli.readers.interface import ARRAYS
from xent_cli.readers.open import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xent_cli.core.block import Part, Rows
    from xent_cli.readers.interface import Source, SourceInfo
    from xent_cli.readers.options import ReadOptions
    from xent_cli.readers.storage.locate import Located


def open_scores(opened: Source, located: Located, labels: Located | None, options: ReadOptions) -> Source:
    """Read one score per sample as logits of two classes, if asked for.

    A softmax over one class has a loss only for labels that are all 0, and it is 0: next to [n, 1] such labels are
    accepted.

    Parameters
    ----------
    opened
        As logits: an array [n, 1] or [n], or a table of one column.
    labels
        The second input, or None.

    Raises
    ------
    InputError
        If there is more than one score per sample; or one, and the user does not say what it is.
    """
    found = opened.info.description
    if options.binary is None:
        insisted = options.labels != "auto" and found.format in ARRAYS
        if insisted or (labels is not None and len(found.shape) > 1 and _all_zero(opened, labels, options)):
            return opened
        raise one_score(found.path, f"shape {found.shape}" if found.format in ARRAYS else "one column of numbers")
    if found.format in ARRAYS and len(found.shape) == 1:
        opened = open_source(located, "logits", options)
    elif opened.info.row_shape != (1,):
        raise InputError(
            "more than one score a sample",
            found.path,
            found=f"{opened.info.row_shape[0]} classes",
            expected="one score: an array (n,) or (n, 1), or one column",
            hint="leave --binary out, or name the column with --logits-column",
        )
    return BinaryScores(opened, options.binary == "probs")


def one_score(path: str, found: str) -> OneScoreError:
    """Error for scores that may be either logits or probabilities of a binary classifier."""
    return OneScoreError(
        "one score per sample is not a softmax",
        path,
        found=found,
        expected="a score for each class",
        hint="scores of a binary classifier: --binary; where they are probabilities, --binary --from probs",
    )


def _all_zero(logits: Source, located: Located, options: ReadOptions) -> bool:
    """Whether labels are an array of class indices that are all 0."""
    labels = open_source(located, "labels", options)
    found = labels.info.description
    if found.format not in ARRAYS or labels.info.dtype.kind not in "iu" or not labels.info.rereadable:
        return False
    if found.shape == logits.info.shape:  # they may be dense labels
        return False
    rows = (part.read() for _, _, part in labels.parts())
    return not any(some.labels is not None and some.labels.any() for some in rows)


def scores_of(source: Source) -> Source:
    """The original scores if a source presents them as two classes; otherwise the source itself."""
    return source.source if isinstance(source, BinaryScores) else source


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Scores z as the logits [0, z], or p as the probabilities [1 - p, p]; see `Source`."""

    source: Source
    probabilities: bool

    @property
    def info(self) -> SourceInfo:
        """See `Source`: the original scores, with two classes; the column name is that of the score."""
        return self.source.info._replace(row_shape=(2,), class_names=None, named_labels=False)

    def parts(self, first: int = 0) -> Iterator[tuple[int, int, Part]]:
        """See `Source`."""
        for start, size, part in self.source.parts(first):
            yield start, size, BinaryRows(part, self.probabilities)
            del part

    def rows(self, start: int, stop: int) -> Part | None:
        """See `Source`."""
        part = self.source.rows(start, stop)
        return None if part is None else BinaryRows(part, self.probabilities)

    def where(self, row: int, role: str, first: int = 0) -> str:
        """See `Source`."""
        return self.source.where(row, role, first)


@dataclass(frozen=True, slots=True)
class BinaryRows:
    """Recipe for rows of two classes made from one score each."""

    part: Part
    probabilities: bool

    def read(self) -> Rows:
        """Read the scores and put the other class beside them."""
        rows = self.part.read()
        assert rows.logits is not None
        score = rows.logits.reshape(-1)
        if self.probabilities:
            score = score.astype(np.float64)
            other = 1.0 - score
        else:
            score = score.view(np.uint8) if score.dtype.kind == "b" else score
            other = np.zeros_like(score)
        return rows._replace(logits=np.stack([other, score], axis=1))
