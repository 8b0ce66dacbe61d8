"""Blocks of rows for writers, made without an evaluation."""

import io

import numpy as np

from xent_cli.core.evaluate import BlockLoss
from xent_cli.core.labels.check_labels import NO_LABEL
from xent_cli.core.run_totals import RunTotals
from xent_cli.core.totals.loss_totals import LossTotals
from xent_cli.writers import open_writer

HOSTILE = [
    "plain",
    "tab\there",
    'quo"te',
    "a,b",
    "line\nend",
    "return\r",
    "\x1b[31mred",
    "[bold]x[/]",
    "é漢🙂",
    "",
    "\\",
    "\x00",
]
NAMES = ("cat", "d,og", 'e"l\tk')


def block(n=24, *, start=0, ids=True, ignored=False, special=False, predicted=False):
    rng = np.random.default_rng(n)
    loss = rng.exponential(size=n) * 10.0 ** rng.integers(-12, 13, n)
    if special and n > 3:
        loss[:4] = [np.nan, np.inf, 0.0, 5e-324]
    mask = None
    if ignored:
        mask = rng.random(n) < 0.3
        mask[4:5] = True
        loss[mask] = np.nan
    names = np.array([HOSTILE[i % len(HOSTILE)] for i in range(n)], object) if ids else None
    labels = rng.integers(0, 3, n)
    lost = np.isnan(loss)
    predictions = {
        "predicted": np.where(lost, NO_LABEL, rng.integers(0, 3, n)),
        "margin": np.where(lost, np.nan, np.where(rng.random(n) < 0.1, -np.inf, rng.normal(size=n))),
        "rank": np.where(lost, 0, rng.integers(1, 4, n)),
    }
    return BlockLoss(
        start, n, RunTotals(LossTotals("")), loss, mask, labels, names, predictions=predictions if predicted else None
    )


def cut(rows, sizes):
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        pick = {name: getattr(rows, name) for name in ("loss", "ignored", "labels", "ids", "kl")}
        pick = {name: None if value is None else value[part] for name, value in pick.items()}
        if rows.predictions is not None:
            pick["predictions"] = {name: values[part] for name, values in rows.predictions.items()}
        yield rows._replace(start=rows.start + first, size=size, **pick)
        first += size


def written(name, columns, *blocks):
    stream = io.BytesIO()
    writer = open_writer(name, stream, columns)
    for rows in blocks:
        writer.write(rows)
    writer.finish()
    return stream.getvalue()
