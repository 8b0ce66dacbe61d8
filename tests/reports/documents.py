"""Documents for reports, made without a run."""

from dataclasses import replace

from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.input_description import InputDescription
from xent_cli.core.thresholds import Threshold
from xent_cli.core.totals.summary import LossSummary
from xent_cli.reports.interface import Document

HOSTILE = [
    "a|b",
    "`code` *bold* _x_ ~no~",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[link](javascript:x)",
    "![image](https://example.org/x.png)",
    "https://example.org www.example.org a@example.org @somebody #1",
    "line\nend\r\n\n# heading",
    "\x00\x01\x1b[31mred\x7f",
    "]]> & &amp; <![CDATA[",
    "::error::owned",
    "100% \\| sure",
    "\udcff\ufffe\uffff",
    "é漢🙂\u202e",
    "",
    " ",
    "---",
    "1. one",
    "x" * 5000,
]
SUMMARY = LossSummary(4, 1, 0, 0, 0.25, 1.0, 0.5, 0.0, 1.0, 3, (("p50_loss", 0.125),), True, ((1, 0.75),))
PLAIN = Document(
    "0.1.0",
    "xent|axis:-1|from:logits",
    {"logits": InputDescription("l.npy", "npy", (5, 3), "float32")},
    SUMMARY,
)


def checked(*limits, summary=SUMMARY, **changes):
    figures = summary.as_dict()
    checks = tuple(limit.judge(figures).as_dict() for limit in limits)
    return replace(PLAIN, summary=summary, checks=checks, **changes)


PASSES, FAILS = Threshold("mean_loss", "max", 0.5), Threshold("accuracy", "min", 0.9)
INCREASE = Threshold("mean_loss", "max-increase", 0.5, percent=True, baseline=0.125)


def hostile(times=1):
    """Return a document in which everything that can come from a file is hostile."""
    entries = HOSTILE * times
    checks = tuple(
        {"metric": f"slice:{text}={text}:bits", "kind": "max", "limit": 1.0, "observed": 2.0, "passed": i % 2 == 0}
        | {"message": f"slice:{text}={text}:bits is 2"}
        for i, text in enumerate(entries)
    )
    return replace(
        PLAIN,
        inputs={f"{text}{i}": InputDescription(text, text, (None,), text) for i, text in enumerate(entries)},
        diagnostics=tuple(Diagnostic("odd", text) for text in entries),
        slices=tuple({"by": text, "value": text, "summary": SUMMARY} for text in entries),
        checks=checks,
    )
