import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from tests.reports.documents import FAILS, INCREASE, PASSES, PLAIN, SUMMARY, checked
from tests.reports.hostile import NAMES, details, hostile_page
from xent_cli.core.confidence.calibration import Calibration, Judged
from xent_cli.core.diagnostics import Diagnostic
from xent_cli.core.input_description import InputDescription
from xent_cli.core.totals.histogram import histogram
from xent_cli.core.totals.quantiles import QuantileState
from xent_cli.errors import printable
from xent_cli.reports.details import Details
from xent_cli.reports.html_grid import Cell, cell, grid_of
from xent_cli.reports.summary.html import render
from xent_cli.reports.summary.plot import histogram_svg

VOID = {"meta", "br", "hr", "img", "input", "link"}
LIMIT = 300 * 1024
# In pixels, for the text of 12 pixels in pictures.
WIDTH_OF_A_DIGIT = 7.7


class Page(HTMLParser):
    """A strict parser: every element is closed, in order, and no attribute occurs twice."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    def all(self, tag):
        return [attrs for name, attrs, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def hostile():
    return render(hostile_page())


@pytest.fixture(scope="module")
def page(hostile):
    return Page(hostile)


def test_the_page_is_strict_with_one_heading_a_title_and_a_language(page):
    # four titles are those of pictures
    assert [len(page.all(tag)) for tag in ("html", "h1", "title", "main")] == [1, 1, 5, 1]
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))


def test_ids_are_unique_and_every_reference_to_one_resolves(page, hostile):
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([\w-]+)', hostile)) == set(ids)


def test_there_is_no_script_no_handler_and_no_address(page):
    assert {tag for tag, _, _ in page.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "a", "base"})
    for _, attrs, _ in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name not in {"src", "srcset", "action"}
            assert name != "href" or value.startswith("#")
            assert name in {"aria-label"} or "//" not in (value or "")


def test_the_style_loads_nothing(hostile):
    (style,) = re.findall(r"<style>(.*?)</style>", hostile, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert {"http-equiv": "Content-Security-Policy", "content": policy} in Page(hostile).all("meta")


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip() and len(name) < 80])
def test_a_hostile_name_is_shown_as_it_is_spelled(name, page):
    assert printable(name) in page.text


def test_no_control_character_reaches_the_page(hostile):
    assert not [c for c in hostile if c != "\n" and (not c.isprintable() or "\ud800" <= c <= "\udfff")]
    hostile.encode()


def test_a_long_name_is_cut(page):
    assert "x" * 80 + "…" in page.text
    assert "x" * 301 not in page.text


def test_every_picture_says_in_words_what_it_shows(page):
    pictures = page.all("svg")
    assert len(pictures) == 4
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 40 for attrs in pictures)
    assert page.text.count("expected calibration error") == 2


def test_every_table_has_a_caption_and_scoped_heads(page):
    assert len(page.all("caption")) == len(page.all("table")) == 10
    assert {attrs.get("scope") for attrs in page.all("th")} == {"row", "col"}
    regions = [attrs for attrs in page.all("div") if attrs.get("role") == "region"]
    assert regions
    assert all(attrs["aria-label"] for attrs in regions)


def colours(text):
    """Return the variables of the light and of the dark scheme."""
    light, dark = text.split("prefers-color-scheme: dark", 1)
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", part)) for part in (light, dark)]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_that_of_wcag_aa(hostile, scheme):
    found = colours(hostile)[scheme]
    for text in ("ink", "soft", "pass", "fail", "warn"):
        for ground in ("paper", "card"):
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    for ground in ("good", "poor", "bad"):
        assert contrast(found["ink"], found[ground]) >= 4.5
    for drawn in ("bar", "line"):
        assert contrast(found[drawn], found["paper"]) >= 3.0


def test_every_colour_of_a_picture_is_one_of_the_style_sheet(hostile):
    pictures = "".join(re.findall(r"<svg.*?</svg>", hostile, re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}\b(?!\w)(?=[;\"])", re.sub(r'"#[\w-]+"', "", pictures))
    used = set(re.findall(r"var\(--(\w+)\)", pictures))
    assert used == {"ink", "bar", "line", "grid"} <= set(colours(hostile)[0])
    assert set(colours(hostile)[0]) == set(colours(hostile)[1])


@pytest.mark.parametrize("name", ["&" * 5000, "漢" * 5000, "\U0001f642" * 5000, "\x00" * 5000, '"' * 300])
def test_no_name_and_no_number_of_rows_or_classes_makes_the_page_large(name):
    big = hostile_page(40, n=3000, k=500, names=[name])
    path = InputDescription(name, name, (None,), name)
    odd = {f"{name}{i}": path for i in range(200)}
    slices = tuple({"by": name, "value": f"{name}{i}", "summary": SUMMARY} for i in range(500))
    checks = tuple({**entry, "metric": name, "kind": name} for entry in big.checks * 3)
    text = render(
        replace(
            big, inputs=odd, slices=slices, checks=checks, diagnostics=(Diagnostic("odd", name),) * 99, signature=name
        )
    )
    assert len(text.encode()) < LIMIT
    assert "more not shown." in text


@pytest.mark.parametrize("ratio", [11, 40, 99, 150, 900, 1e4, 1e12])
@pytest.mark.parametrize("low", [1.3e-9, 0.14, 1, 7, 250])
def test_numbers_on_an_axis_never_touch(low, ratio):
    drawn = histogram_svg(histogram(QuantileState.of(np.geomspace(low, low * ratio, 999)), 40), "described")
    texts = re.findall(r'text-anchor: middle[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)</text>', drawn)
    ticks = sorted((float(x), len(text) * WIDTH_OF_A_DIGIT) for x, y, text in texts if y == texts[0][1])
    assert len(ticks) > 1
    assert all(after - before > (width + other) / 2 for (before, width), (after, other) in pairwise(ticks))


def test_thirty_slices_are_all_shown():
    slices = tuple({"by": "language", "value": f"name of language {i}", "summary": SUMMARY} for i in range(30))
    page = render(replace(PLAIN, slices=slices))
    assert all(f"name of language {i}<" in page for i in range(30))


def test_a_loss_that_all_samples_share_is_said_and_not_drawn():
    page = render(replace(PLAIN, details=Details(QuantileState.of(np.full(300, 0.25)))))
    assert "All losses are 0.25 nats." in page
    assert "<svg" not in page


def test_a_vocabulary_of_classes_is_a_table_of_the_worst_and_a_count():
    k = 128_256
    label = np.arange(k)
    found = Calibration.of(Judged(label, label, label / 1e4, np.full(k, 0.7), np.zeros(k)))
    text = render(replace(PLAIN, details=Details(QuantileState.of(label / 1e4), calibration=found)))
    assert len(text.encode()) < LIMIT
    assert "128,196 more not shown." in text
    assert "<bdi>128255</bdi></th><td><bdi>12.8255</bdi>" in text


def test_equal_documents_give_equal_bytes(hostile):
    assert render(hostile_page()) == hostile


def test_the_verdict_is_reported_in_words():
    passed, failed = render(checked(PASSES)), render(checked(PASSES, FAILS))
    assert '<h1 class="pass">xent PASS: 1 checks</h1>' in passed
    assert '<h1 class="fail">xent FAIL: 1 of 2 checks</h1>' in failed
    assert failed.index(">FAIL</bdi>") < failed.index(">PASS</bdi>")
    assert "xent report" in render(PLAIN)


def test_the_delta_to_the_baseline_is_reported():
    cells = Page(render(checked(INCREASE))).text
    assert "baseline" in cells
    assert "max-increase" in cells
    row = re.search(r"<bdi>mean_loss</bdi></th>(.*?)</tr>", render(checked(INCREASE)))[1]
    assert re.findall(r"<bdi>(.*?)</bdi>", row) == ["FAIL", "max-increase", "0.5%", "0.25", "0.125", "0.125"]


def test_a_failed_check_says_why_and_the_title_says_of_what():
    page = Page(render(checked(PASSES, FAILS)))
    assert FAILS.judge(SUMMARY.as_dict()).as_dict()["message"] in page.text
    assert "xent FAIL: 1 of 2 checks: l.npy" in page.text
    assert PASSES.judge(SUMMARY.as_dict()).as_dict()["message"] not in page.text


def test_the_figures_of_the_baseline_stand_beside_those_of_the_run():
    before = {"mean_loss": SUMMARY.mean_loss - 0.25, "n_samples": SUMMARY.n_samples, "accuracy": None}
    text = render(replace(PLAIN, baseline=before))
    assert f"<dd>was {before['mean_loss']:.6g} (+0.25)</dd>" in text
    row = re.search(r"<bdi>mean_loss</bdi></th>(.*?)</tr>", text)[1]
    assert re.findall(r"<bdi>(.*?)</bdi>", row)[1:] == [f"{before['mean_loss']:.6g}", "+0.25"]


def test_confusions_are_counted_and_drawn_for_a_few_classes():
    _, found = details(n=60, k=3, names=("cat", "dog", "cow"), ids=False)
    text = Page(render(replace(PLAIN, details=found))).text
    matrix = found.calibration.confusions.matrix(3)
    assert matrix.sum() == 60
    top = found.calibration.confusions.highest(1)[0]
    first = text[text.index("Most frequent confusions") :].split()
    names = ("cat", "dog", "cow")
    assert f"{names[top.label]}{names[top.predicted]}{top.samples}" in "".join(first)
    assert "Confusion matrix" in text
    _, many = details(k=31, ids=False)
    assert "Confusion matrix" not in render(replace(PLAIN, details=many))
    assert "Most frequent confusions" in render(replace(PLAIN, details=many))


def test_slices_stand_by_loss_with_the_interval_of_their_mean():
    low, high = replace(SUMMARY, mean_loss=0.5), replace(SUMMARY, mean_loss=2.5)
    slices = tuple({"by": "lang", "value": value, "summary": found} for value, found in (("de", low), ("en", high)))
    text = render(replace(PLAIN, slices=slices))
    assert text.index("lang = en") < text.index("lang = de")


def test_version_settings_inputs_and_warnings_are_reported():
    document = replace(PLAIN, diagnostics=(Diagnostic("logits-look-softmaxed", "4 of 4 rows"),))
    text = Page(render(document)).text
    for told in (
        "0.1.0",
        "xent|axis:-1|from:logits",
        "l.npy",
        "5 x 3",
        "float32",
        "logits-look-softmaxed",
        "4 of 4 rows",
    ):
        assert told in text


def test_every_figure_of_the_summary_is_there():
    text = Page(render(PLAIN)).text
    assert all(name in text for name in SUMMARY.as_dict())


def test_dense_labels_have_neither_classes_nor_reliability():
    losses = QuantileState.of(np.array([0.1, 2.0, 3.0]))
    text = render(replace(PLAIN, details=Details(losses)))
    assert "Losses" in text
    assert "Reliability" not in text
    assert "Loss by class" not in text


@pytest.mark.parametrize("xs", [[], [0.0, 0.0], [math.nan], [math.inf, 1.0], [0.5], [1e308, 1.7e308, 1e-308]])
def test_nan_and_infinite_losses_do_not_prevent_a_page(xs):
    text = render(replace(PLAIN, details=Details(QuantileState.of(np.array(xs, float)))))
    Page(text)
    assert ("Not drawn" in text) == (xs == [math.inf, 1.0])


def test_a_class_without_a_name_has_its_number():
    _, found = details(names=None, ids=False)
    assert '<th scope="row"><bdi>17</bdi></th>' in render(replace(PLAIN, details=found))


def test_columns_of_names_begin_at_one_line_and_columns_of_numbers_end_at_one():
    rows = [(cell("7"), cell("12"), cell("cat"), Cell("0.5")), (cell("8"), cell("nan"), cell("3"), Cell("inf"))]
    grid = grid_of("Rows", ("sample", "number", "name", "loss"), rows)
    assert (grid.left, grid.wide) == ({2}, False)


def test_a_column_that_is_empty_in_every_row_is_left_out_but_not_of_a_matrix():
    rows = [
        (Cell("a"), Cell(""), Cell("", kind="heat"), cell("x")),
        (Cell("b"), Cell(""), Cell("", kind="heat"), cell("")),
    ]
    grid = grid_of("Rows", ("label", "interval", "class", "note"), rows)
    assert (grid.heads, grid.left) == (("label", "class", "note"), {2})
    assert [[each.text for each in row] for row in grid.rows] == [["a", "", "x"], ["b", "", ""]]
    assert grid_of("Rows", ("label", "interval"), []).heads == ("label", "interval")


@pytest.mark.parametrize(("length", "wide"), [(24, False), (25, True)])
def test_a_table_of_long_names_takes_the_full_width(length, wide):
    assert grid_of("Rows", ("sample", "id"), [(Cell("0"), cell("x" * length))]).wide is wide
    assert not grid_of("Rows", ("class", "loss"), [(cell("x" * length), Cell("0.5"))]).wide


def test_losses_that_are_all_equal_are_a_sentence_and_not_half_a_row_of_pictures():
    for losses, told in (([0.5, 0.5], "All losses are 0.5 nats."), ([0.5], "The only loss is 0.5 nats.")):
        page = render(replace(PLAIN, details=Details(QuantileState.of(np.array(losses)))))
        assert f"<h2>Losses</h2>\n<p>{told}</p>" in page
        assert "<figure>" not in page


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


def chromium(tmp_path, *args):
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    run = subprocess.run([*command, *args], capture_output=True, check=True, timeout=120)
    return run.stdout.decode()


@in_chromium
def test_chromium_runs_nothing_of_it_and_shows_it_all(tmp_path, hostile):
    (tmp_path / "page.html").write_text(hostile, encoding="utf-8")
    shown = chromium(tmp_path, "--dump-dom", f"file://{tmp_path / 'page.html'}")
    page = Page(shown[shown.index("<html") :])
    assert [len(page.all(tag)) for tag in ("script", "h1", "table", "svg", "style")] == [0, 1, 10, 4, 1]
    assert not [attrs for _, attrs, _ in page.elements if any(name.startswith("on") for name in attrs)]
    assert "<script>alert(1)</script>" in page.text


@in_chromium
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    ("scheme", "ground"), [("preferredColorScheme=1", (255, 255, 255)), ("preferredColorScheme=0", (0x14, 0x17, 0x1B))]
)
def test_chromium_paints_it_light_and_dark_on_a_phone_and_a_desk(tmp_path, hostile, width, scheme, ground):
    from matplotlib.image import imread

    (tmp_path / "page.html").write_text(hostile, encoding="utf-8")
    picture = tmp_path / "shot.png"
    options = (
        f"--blink-settings={scheme}",
        f"--window-size={width},9000",
        "--hide-scrollbars",
        f"--screenshot={picture}",
    )
    chromium(tmp_path, *options, f"file://{tmp_path / 'page.html'}")
    pixels = np.rint(imread(picture)[:, :, :3] * 255).astype(int)
    assert pixels[0, 0].tolist() == list(ground)
    assert (pixels[:, -8:] == ground).mean() > 0.95  # the right margin is empty, except for tables that scroll
    assert ((pixels == ground).all(axis=2)).mean() < 0.98
