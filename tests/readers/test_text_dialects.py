"""Delimited text as NumPy, R, Excel and spreadsheets in other languages write it, and text in other encodings."""

import lzma
import zipfile
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers import tables
from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.text.rewritten import OneBlank, ToUtf8

LOGITS = np.random.default_rng(3).normal(size=(60, 3)).round(4)
LOGITS[5] = [1234.5, -2000.25, 0.5]
LABELS = np.arange(60) % 3
FRAME = pd.DataFrame(LOGITS, columns=["logit_0", "logit_1", "logit_2"]).assign(label=LABELS)


def read(path, labels=None, needs=None):
    return tables.read(path, labels, ReadOptions(run=needs or RunNeeds()))


@pytest.fixture(params=[16, 40, 1 << 20])
def needs(request):
    """Return needs with which text is cut into chunks of a few bytes, or not at all."""
    return RunNeeds(chunk_bytes=request.param)


@given(
    lines=st.lists(st.text(alphabet='a1 \t"\u00e9', max_size=8), max_size=6),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    encoding=st.sampled_from(["utf-16", "utf-32", ""]),
)
def test_text_that_is_rewritten_does_not_depend_on_how_it_is_cut(lines, cuts, encoding):
    text = "".join(line + '"' * (line.count('"') % 2) + "\n" for line in lines)
    whole, make = (text.encode(encoding), ToUtf8) if encoding else (text.encode(), OneBlank)
    places = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    # The byte order mark and the first characters are always read together.
    places = [0, *(place for place in places if place >= 4)] if encoding else places
    parts = [whole[start:stop] for start, stop in pairwise(places)]
    rewriter = make("t")
    found = [rewriter.rewrite(part, last=i == len(parts) - 1) for i, part in enumerate(parts)]
    assert b"".join(found) == make("t").rewrite(whole, last=True)
    assert not encoding or b"".join(found).decode() == text


def holds(path, labels=None, needs=None):
    logits, found = read(path, labels, needs)
    np.testing.assert_array_equal(logits, LOGITS)
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("form", ["%.18e", "%10.4f", "%-9.4f", "%.4f"])
@pytest.mark.parametrize("mark", [" ", "\t", "  ", ",", ";"])
@pytest.mark.parametrize("header", ["", "logit_0 logit_1 logit_2"])
def test_what_numpy_savetxt_writes_reads_back(form, mark, header, needs, tmp_path):
    header = header.replace(" ", mark)
    np.savetxt(tmp_path / "l.txt", LOGITS, fmt=form, delimiter=mark, header=header)
    np.save(tmp_path / "y.npy", LABELS)
    holds(tmp_path / "l.txt", tmp_path / "y.npy", needs=needs)


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
@pytest.mark.parametrize("names", [range(1, 61), [f"s {i}" for i in range(60)]])
def test_row_names_of_r_have_no_name_for_their_column(separator, names, needs, tmp_path):
    # write.table(df, "t.txt", sep = separator) in R: text in quotes, and the header has one cell fewer than the rows.
    lines = [separator.join(f'"{name}"' for name in FRAME)]
    for name, row in zip(names, FRAME.itertuples(index=False), strict=True):
        lines.append(separator.join([f'"{name}"', *map(str, row)]))
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n")
    holds(tmp_path / "t.txt", needs=needs)


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), ("\t", ","), ("|", "."), (" ", ","), (" ", ".")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_pandas_writes_reads_back(separator, decimal, encoding, index, needs, tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", sep=separator, decimal=decimal, encoding=encoding, index=index)
    holds(tmp_path / "t.csv", needs=needs)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_either_order_of_bytes_is_recognised_by_its_mark(encoding, tmp_path):
    (tmp_path / "t.csv").write_bytes(("\ufeff" + FRAME.to_csv(index=False)).encode(encoding))
    holds(tmp_path / "t.csv")


@pytest.mark.parametrize("mark", [";", ",", "\t", "|"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_line_that_tells_excel_the_delimiter_is_not_a_row(mark, quoted, encoding, needs, tmp_path):
    first = f'"sep={mark}"' if quoted else f"sep={mark}"
    text = f"{first}\r\n{FRAME.to_csv(index=False, sep=mark, lineterminator=chr(13) + chr(10))}"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    holds(tmp_path / "t.csv", needs=needs)


@pytest.mark.parametrize(("grouping", "point"), [(",", "."), (".", ",")])
def test_marks_between_thousands_are_left_out_where_the_numbers_are_certain(grouping, point, needs, tmp_path):
    def spell(value):
        return f"{value:,.4f}".translate(str.maketrans({",": grouping, ".": point}))

    spelt = FRAME.copy()
    spelt[["logit_0", "logit_1", "logit_2"]] = FRAME[["logit_0", "logit_1", "logit_2"]].map(spell)
    spelt.to_csv(tmp_path / "t.csv", sep=";", index=False)
    holds(tmp_path / "t.csv", needs=needs)


@pytest.mark.parametrize("cells", ["1,234;2,500", "1,5;1,234,567", "0.5;0,25"])
def test_ambiguous_numbers_are_refused_with_their_line(cells, tmp_path):
    (tmp_path / "t.csv").write_text(f"label;logit_0;logit_1\n1;{cells}\n0;{cells}\n")
    with pytest.raises(InputError, match="cell is not a number") as caught:
        read(tmp_path / "t.csv")
    assert "line 2 (sample 0)" in caught.value.where
    assert "decimal points" in caught.value.hint


def test_a_late_cell_is_found_by_its_line_behind_comments_and_blanks(needs, tmp_path):
    good = "  1   0.5   0.25\n" * 50
    (tmp_path / "t.txt").write_text(f"# made by hand\n# label logit_0 logit_1\n{good} 1  x  2\n{good}")
    with pytest.raises(InputError, match="cell is not a number") as caught:
        read(tmp_path / "t.txt", needs=needs)
    assert "line 53 (sample 50)" in caught.value.where
    assert "logit_0" in caught.value.where


def test_comments_that_name_no_columns_are_refused_before_rows_without_names(tmp_path):
    (tmp_path / "t.txt").write_text("# three scores\n0.5 1 2\n1 2 3\n")
    (tmp_path / "y.txt").write_text("0\n1\n")
    with pytest.raises(InputError, match="comment line"):
        read(tmp_path / "t.txt", tmp_path / "y.txt")


def test_labels_of_two_words_are_one_column(tmp_path):
    pd.DataFrame(LOGITS, columns=["Iris setosa", "Iris versicolor", "Iris virginica"]).to_csv(
        tmp_path / "l.csv", index=False
    )
    names = ["Iris setosa", "Iris versicolor", "Iris virginica"]
    (tmp_path / "y.txt").write_text("\n".join(["species", *(names[y] for y in LABELS)]))
    holds(tmp_path / "l.csv", tmp_path / "y.txt")


@pytest.mark.parametrize("parts", [1, 3])
def test_xz_is_unpacked_stream_after_stream(parts, needs, tmp_path):
    text = FRAME.to_csv(index=False).encode()
    cuts = np.linspace(0, len(text), parts + 1).astype(int)
    packed = b"".join(lzma.compress(text[a:b]) + b"\0" * 4 for a, b in pairwise(cuts))
    (tmp_path / "t.csv.xz").write_bytes(packed)
    holds(tmp_path / "t.csv.xz", needs=needs)
    (tmp_path / "t.csv.xz").write_bytes(packed[:-20])
    with pytest.raises(InputError, match=r"damaged \.xz file"):
        read(tmp_path / "t.csv.xz", needs=needs)


def test_text_of_half_a_character_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(FRAME.to_csv(index=False).encode("utf-16")[:-1])
    with pytest.raises(InputError, match="not a text file"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("beside", [(), ("README.md", "__MACOSX/._t.csv", ".DS_Store", "folder/")])
def test_the_one_table_of_a_zip_archive_is_read(suffix, beside, tmp_path):
    data = {
        "csv": lambda: FRAME.to_csv(index=False).encode(),
        "tsv": lambda: FRAME.to_csv(index=False, sep="\t").encode("utf-16"),
        "jsonl": lambda: FRAME.to_json(orient="records", lines=True).encode(),
        "parquet": lambda: FRAME.to_parquet(),
    }[suffix]()
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"folder/t.{suffix}", data)
        for name in beside:
            archive.writestr(name, b"")
    holds(tmp_path / "t.zip")


def test_what_pandas_zips_reads_back(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv.zip", index=False)
    holds(tmp_path / "t.csv.zip")


def test_several_tables_of_a_zip_archive_are_listed(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("train.csv", FRAME.to_csv(index=False))
        archive.writestr("test.csv", FRAME.to_csv(index=False))
    with pytest.raises(InputError, match="several tables in a zip archive") as caught:
        read(tmp_path / "t.zip")
    assert "train.csv" in caught.value.found
    assert "test.csv" in caught.value.found


def test_a_damaged_table_in_a_zip_archive_is_named(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv.zip", index=False)
    data = bytearray((tmp_path / "t.csv.zip").read_bytes())
    data[100] ^= 0xFF
    (tmp_path / "t.csv.zip").write_bytes(data)
    with pytest.raises(InputError, match="damaged zip archive"):
        read(tmp_path / "t.csv.zip")
