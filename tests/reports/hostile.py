"""A document in which everything that can come from a file is hostile, with everything that a page shows."""

from dataclasses import replace

import ml_dtypes
import numpy as np

from tests.reports.documents import HOSTILE, hostile
from xent_cli.core.block import Block
from xent_cli.core.confidence.calibration import EQUAL_WIDTH
from xent_cli.core.evaluate import evaluate_block
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.reports.details import Details

TYPES = tuple(np.dtype(d) for d in ("float16", ml_dtypes.bfloat16, "float32", "float64"))
NAMES = [
    *HOSTILE,
    "</title><style>*{display:none}</style>",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    '"\' onmouseover="alert(1)',
    "{{ 7 * 7 }}{% raise %}",
    "</svg><script>alert(2)</script>",
    "&" * 200,
]


def details(n=400, k=None, names=NAMES, ids=True, seed=0):
    k = k or len(NAMES)
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 3
    labels = np.where(rng.random(n) < 0.8, logits.argmax(axis=1), rng.integers(0, k, n))
    named = np.array([names[i % len(names)] for i in range(n)], object) if ids else None
    wanted = Outputs(calibration=EQUAL_WIDTH, by_class=True, worst=20, overflow=TYPES, top_k=(1, 5))
    totals = evaluate_block(Block(0, logits, labels, ids=named), LossOptions(), wanted).totals
    classes = None if names is None else tuple(names[i % len(names)] for i in range(k))
    return totals, Details(
        totals.losses.quantiles,
        totals.losses.worst,
        totals.calibration,
        classes,
        "id" if ids else None,
        num_classes=k,
        command=f"xent compute {names[0] if names else 'a'}",
        created="2026-11-26 12:00 UTC",
        divergence=totals.losses.quantiles,
    )


def hostile_page(times=1, **changes):
    totals, found = details(**changes)
    return replace(hostile(times), summary=totals.losses.summarize(), formulas=totals.formulas, details=found)
