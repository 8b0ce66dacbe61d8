"""Input files of the cases; each is made once for a work folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def arrays(folder: Path, n: int, k: int) -> tuple[str, str]:
    """Paths of logits.npy [n, k] float32 and labels.npy [n]."""
    logits, labels = folder / f"logits-{n}x{k}.npy", folder / f"labels-{n}x{k}.npy"
    if not labels.exists():
        z, y = _random(n, k)
        np.save(logits, z)
        np.save(labels, y)
    return str(logits), str(labels)


def labelled(folder: Path, n: int, k: int, kind: str) -> tuple[str, str]:
    """As `arrays`, but with "dense" rows of probabilities or a "teacher"'s logits for labels, both float32 [n, k]."""
    pair = arrays(folder, n, k)
    if kind not in ("dense", "teacher"):
        return pair
    path = folder / f"{kind}-{n}x{k}.npy"
    if not path.exists():
        rows = np.random.default_rng(1).standard_normal((n, k), dtype=np.float32) * 3
        if kind == "dense":
            np.exp(rows, out=rows)
            rows /= rows.sum(axis=1, keepdims=True)
        np.save(path, rows)
    return pair[0], str(path)


def sparse_arrays(folder: Path, n: int, k: int) -> tuple[str, str]:
    """As `arrays`, but the logits are a hole in the file: they are all 0 and take no disk space."""
    logits, labels = folder / f"hole-{n}x{k}.npy", folder / f"labels-hole-{n}x{k}.npy"
    if not labels.exists():
        np.lib.format.open_memmap(logits, mode="w+", dtype=np.float32, shape=(n, k)).flush()
        np.save(labels, np.zeros(n, np.int64))
    return str(logits), str(labels)


def csv(folder: Path, n: int, k: int) -> str:
    """Path of a table of k logits and a label, as pandas writes it."""
    path = folder / f"table-{n}x{k}.csv"
    if not path.exists():
        from pyarrow.csv import write_csv

        write_csv(_table(n, k), path)
    return str(path)


def parquet(folder: Path, n: int, k: int, *, wide: bool) -> str:
    """Path of a table of k columns of logits, or one column of lists, and a label, in ten row groups."""
    path = folder / f"{'wide' if wide else 'list'}-{n}x{k}.parquet"
    if not path.exists():
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = _table(n, k)
        if not wide:
            z, y = _random(n, k)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(z.reshape(-1)), k)
            table = pa.table({"logits": lists, "label": y})
        pq.write_table(table, path, row_group_size=max(1, n // 10), compression="none", use_dictionary=False)
    return str(path)


def _random(n: int, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, k), dtype=np.float32) * 3, rng.integers(0, k, n)


def _table(n: int, k: int):  # type: ignore[no-untyped-def]  # pyarrow has no types
    import pyarrow as pa

    z, y = _random(n, k)
    columns = {f"logit_{j}": np.ascontiguousarray(z[:, j]) for j in range(k)}
    return pa.table({**columns, "label": y})
