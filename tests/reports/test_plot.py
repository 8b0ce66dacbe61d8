import io
import math
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from xent_cli.core.totals.histogram import histogram
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.reports.summary.plot import histogram_svg, save_histogram

ODD = [
    [],
    [0.0],
    [math.nan, math.inf],
    [0.5],
    [1e-80, 1e80],
    [1e308, 1.0],
    [2.3, 2.3000001],
    list(np.arange(1.0, 9999.0)),
]


def drawn(xs, form="svg"):
    stream = io.BytesIO()
    save_histogram(histogram(QuantileState.of(np.array(xs, float)), 40), stream, form)
    return stream.getvalue()


def lognormal(sigma):
    return np.random.default_rng(0).lognormal(0, sigma, 1000)


def texts(svg):
    return ["".join(e.itertext()) for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("xs", ODD, ids=range(len(ODD)))
def test_any_losses_can_be_drawn(xs):
    assert texts(drawn(xs))
    assert imread(io.BytesIO(drawn(xs, "png"))).shape[2] == 4


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_same_losses_give_the_same_bytes_in_any_order_and_whatever_style_is_set(form):
    xs = lognormal(2)
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.facecolor": "red"}):
        assert drawn(xs, form) == drawn(xs[::-1], form)
    assert drawn(xs, form) == drawn(xs, form)
    with mpl.rc_context({"font.size": 30}):
        odd = drawn(xs, form)
    assert odd == drawn(xs, form)


def test_the_axis_is_logarithmic_where_losses_span_decades():
    assert "loss in nats (log scale)" in texts(drawn(lognormal(3)))
    assert "loss in nats" in texts(drawn(lognormal(0.1)))


def test_counts_that_would_hide_others_are_drawn_on_a_logarithmic_axis():
    assert "samples (log scale)" in texts(drawn([1.05] * 1000 + [1.95]))
    assert "samples" in texts(drawn([1.05] * 10 + [1.95]))


def test_what_has_no_place_on_the_axis_is_named():
    (title,) = (text for text in texts(drawn([0.0, 1.0, math.inf, math.nan, math.nan])) if "drawn" in text)
    assert title.startswith("5 samples, 1 below")
    assert "1 above 2e+90 or infinite not drawn, 2 NaN not drawn" in title


def test_there_is_one_bar_for_each_bar_of_the_histogram():
    found = histogram(QuantileState.of(lognormal(3)), 40)
    element = ET.fromstring(histogram_svg(found, "words"))
    bars = [e for e in element.iter("path") if "var(--bar)" in e.get("style", "")]
    assert len(bars) == len(found.bars)


def test_words_in_an_element_are_escaped():
    element = ET.fromstring(histogram_svg(histogram(QuantileState.of(np.ones(3)), 40), '"<b>&'))
    assert element.get("aria-label") == element.find("title").text == '"<b>&'
