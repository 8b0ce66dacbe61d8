"""An operand of `xent compare`: results of xent, or samples of lm-evaluation-harness, whose results are computed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xent_cli.errors import InputError, listing
from xent_cli.readers.saved.saved_results import read_saved
from xent_cli.readers.storage.locate import locate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xent_cli.readers.saved.saved_results import SavedResults

# A hash is shown by its first digits, which is enough to find it.
_HASH, _SHORT = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b"), r"\1..."


def read_operand(path: str, id_column: str | None, columns: Sequence[str], version: str) -> SavedResults:
    """Read results of xent as `read_saved` does, or samples as the rows that this version of xent would write."""
    located = locate(path)
    # Empty files are skipped; only samples of the harness have numbers of documents.
    head = next((head for head in (file.peek(1 << 16) for file in located.files) if head), b"")
    if b"doc_id" in head or b"filtered_resps" in head:
        from xent_cli.readers.saved.harness_results import holds_samples, read_harness

        if holds_samples(next(file for file in located.files if file.peek(1)), head):
            return read_harness(located, id_column, columns, version)
    return read_saved(path, id_column, columns, located)


def refuse_other_prompts(baseline: SavedResults, candidate: SavedResults) -> None:
    """Refuse two runs with different prompts or targets for the same documents.

    Raises
    ------
    InputError
        With the first documents.
    """
    if not baseline.hashes or not candidate.hashes:
        return
    assert baseline.ids is not None
    assert candidate.ids is not None
    there = {name: row for row, name in enumerate(candidate.ids.tolist())}
    pairs = [(row, there[name]) for row, name in enumerate(baseline.ids.tolist()) if name in there]
    for what, ours in baseline.hashes.items():
        theirs = candidate.hashes[what]
        unlike = [baseline.ids[row] for row, other in pairs if ours[row] != theirs[other]]
        if unlike:
            shown = listing([_HASH.sub(_SHORT, name) for name in unlike])
            hint = "run both with the same version of the task, as many examples (--num_fewshot) and one chat template"
            raise InputError(
                f"another {what}",
                candidate.path,
                found=f"{len(unlike):,} of {len(pairs):,} documents: {shown}",
                expected=f"the {what} of {baseline.path}",
                hint=hint,
            )
