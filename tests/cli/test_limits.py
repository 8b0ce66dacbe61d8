import math

import pytest

from xent_cli.cli.runs.limits import parse_limit
from xent_cli.core.metrics import METRICS, more_is_better
from xent_cli.core.thresholds import Threshold
from xent_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "observed", "passed"),
    [
        ("mean_loss=0.5%", 0.2009, True),
        ("mean_loss=0.5%", 0.2011, False),
        ("mean_loss=1%", 0.2019, True),
        ("mean_loss=1e-3", 0.2009, True),
        ("mean_loss=0.001", 0.2011, False),
        ("mean_loss=0", 0.1, True),
        ("mean_loss=100%", math.inf, False),
    ],
)
def test_an_increase_is_absolute_or_a_share_of_the_baseline(text, observed, passed):
    limit = parse_limit("max-increase", text)
    verdict = Threshold(limit.metric, limit.kind, limit.limit, limit.percent, 0.2).judge({"mean_loss": observed})
    assert verdict.passed == passed
    assert verdict.delta == observed - 0.2


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("mean_loss=0.35", "mean_loss", 0.35),
        ("overflow.bfloat16=0", "overflow.bfloat16", 0.0),
        ("top_17_accuracy=1e-1", "top_17_accuracy", 0.1),
        ("slice:split=test:p99_loss=2", "slice:split=test:p99_loss", 2.0),
        ("slice:when=12:30:accuracy=.5", "slice:when=12:30:accuracy", 0.5),
        ("slice:a=:bits=1", "slice:a=:bits", 1.0),
    ],
)
def test_a_limit_is_read(text, metric, limit):
    found = parse_limit("max", text)
    assert (found.metric, found.limit, found.kind) == (metric, limit, "max")


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("max", "mean_los=1", "did you mean mean_loss"),
        ("max", "overflow.float15=1", "overflow.float16"),
        ("max", "slice:a=b:accurcy=1", "accuracy"),
        ("max", "slice:a=1", "slice:COLUMN=VALUE:METRIC"),
        ("max", "slice:a=b:overflow.float16=1", "no metric"),
        ("max", "top_0_accuracy=1", "top_5_accuracy"),
        ("max", "zzz=1", "one of n_samples"),
        ("max", "mean_loss", "METRIC=LIMIT"),
        ("max", "=1", "METRIC=LIMIT"),
        ("max", "mean_loss=", "invalid limit"),
        ("max", "mean_loss=nan", "finite"),
        ("min", "mean_loss=inf", "finite"),
        ("max", "mean_loss=1%", "finite"),
        ("max-increase", "mean_loss=-1%", "from 0 on"),
        ("max-increase", "mean_loss=%", "from 0 on"),
        ("max-decrease", "accuracy=-1%", "from 0 on"),
        ("max-decrease", "accuracy", "--max-decrease accuracy=0.01"),
        ("min", "accuracy=97%", "write 0.97"),
        ("max", "slice:a=b:accuracy=99.5%", "write 0.995"),
        ("max-increase", "accuracy=0.01", "--max-decrease accuracy=0.01"),
        ("max-increase", "top_3_accuracy=1%", "--max-decrease top_3_accuracy=1%"),
        ("max-increase", "slice:a=b:accuracy=0", "--max-decrease slice:a=b:accuracy=0"),
        ("max-decrease", "mean_loss=0.01", "--max-increase mean_loss=0.01"),
        ("max-decrease", "overflow.float16.nan=0", "--max-increase overflow.float16.nan=0"),
        ("max", "loss=1", "did you mean mean_loss?"),
        ("min", "acc=0.9", "did you mean accuracy?"),
        ("max", "ppl=3", "did you mean perplexity?"),
        ("max", "slice:a=b:Top-5=3", "did you mean top_5_accuracy?"),
        ("max", "zzz=1", "top_K_accuracy, overflow.DTYPE[.imprecise|.inf|.nan]"),
    ],
)
def test_an_invalid_limit_is_refused_with_the_valid_ones(kind, text, told):
    with pytest.raises(UsageError) as raised:
        parse_limit(kind, text)
    assert told in str(raised.value)
    assert raised.value.exit_code == 2


def test_every_loss_may_not_increase_and_every_accuracy_may_not_decrease():
    for metric in (*METRICS, "top_2_accuracy"):
        better = more_is_better(metric)
        assert better is True or not metric.endswith("accuracy")
        assert better is False or metric not in ("mean_loss", "p99_loss", "ece", "kl_divergence")
        for kind, refused in (("max-increase", better is True), ("max-decrease", better is False)):
            if refused:
                with pytest.raises(UsageError, match="is a better one"):
                    parse_limit(kind, f"{metric}=0")
            else:
                assert parse_limit(kind, f"{metric}=0").kind == kind


@pytest.mark.parametrize(
    ("text", "observed", "passed"),
    [
        ("accuracy=0.01", 0.7901, True),
        ("accuracy=0.01", 0.78, False),
        ("accuracy=5%", 0.7601, True),
        ("accuracy=5%", 0.7599, False),
        ("accuracy=0", 0.8, True),
        ("accuracy=0", 0.9, True),
    ],
)
def test_a_decrease_is_absolute_or_a_share_of_the_baseline(text, observed, passed):
    limit = parse_limit("max-decrease", text)
    verdict = Threshold(limit.metric, limit.kind, limit.limit, limit.percent, 0.8).judge({"accuracy": observed})
    assert verdict.passed == passed
    assert verdict.delta == observed - 0.8
    assert not verdict.message.startswith("-")
