import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.errors import InputError
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair


def read(path, options=None):
    blocks = [task.load() for task in open_pair(str(path), None, None, options or ReadOptions()).tasks()]
    assert [block.start for block in blocks] == list(np.cumsum([0, *(len(b.logits) for b in blocks)])[:-1])
    return np.concatenate([b.logits for b in blocks]), np.concatenate([b.labels for b in blocks])


@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.floats(), st.floats()), min_size=1, max_size=30),
    mark=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    quoted=st.booleans(),
    blank=st.booleans(),
    bom=st.booleans(),
    piece=st.sampled_from([16, 33, 100, 1 << 20]),
)
def test_every_number_reads_back_however_the_file_is_laid_out_and_cut(
    rows, mark, end, last, quoted, blank, bom, piece, tmp_path_factory
):
    out = io.StringIO()
    style = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=mark, lineterminator=end, quoting=style)
    writer.writerow(["label", "name", "cat", "dog"])
    for label, *values in rows:
        writer.writerow([label, f"a{mark}\n'b", *map(repr, values)])
        if blank:
            out.write(end)
    text = out.getvalue() if last else out.getvalue().rstrip("\r\n")
    path = tmp_path_factory.getbasetemp() / "t.csv"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    logits, labels = read(path, ReadOptions(logits_column=("[cd]*",), run=RunNeeds(chunk_bytes=piece)))
    np.testing.assert_array_equal(logits, [values for _, *values in rows])
    assert labels.tolist() == [label for label, *_ in rows]


def test_without_a_header_columns_go_by_number(tmp_path):
    (tmp_path / "t.csv").write_text("1.5,2,0\n3,4,1\n")
    logits, labels = read(tmp_path / "t.csv", ReadOptions(label_column="2"))
    assert logits.tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert labels.tolist() == [0, 1]


def test_labels_may_be_whole_floats_and_turn_into_them_late(tmp_path):
    (tmp_path / "t.csv").write_text("label,a,b\n1,0,0\n0.0,0,0\n")
    assert read(tmp_path / "t.csv")[1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("line", "what", "column"),
    [
        ("0,x,2", "cell is not a number", "logit_0"),
        ("0,1", "wrong number of cells", ""),
        ("0,1,", "empty cell", "logit_1"),
        (",1,2", "empty cell", "label"),
        ('0,"1,5",2', "cell is not a number", "logit_0"),
    ],
)
@pytest.mark.parametrize("piece", [16, 1 << 20])
def test_a_bad_cell_is_found_again_with_its_line_and_column(line, what, column, piece, tmp_path):
    good = "1,0.5,0.25\n" * 50
    (tmp_path / "t.csv").write_text(f"label,logit_0,logit_1\n{good}{line}\n{good}")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "t.csv", ReadOptions(run=RunNeeds(chunk_bytes=piece)))
    assert caught.value.what == what
    assert "line 52 (sample 50)" in caught.value.where
    assert column in caught.value.where


def test_binary_files_and_repeated_columns_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\0\n")
    with pytest.raises(InputError, match="not a text file"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("a,a,label\n1,2,0\n")
    with pytest.raises(InputError, match="two columns of one name"):
        read(tmp_path / "t.csv")
