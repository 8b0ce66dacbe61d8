import csv
import io
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.errors import InputError
from xent_cli.readers.text.text_chunks import LONGEST_LINE, chunks_of, count_rows, row_lines


class Text:
    """Text that behaves as if it came through a pipe."""

    name = "t"
    rereadable = False

    def __init__(self, text):
        self._text = text

    def stream(self):
        return io.BytesIO(self._text)


CELLS = st.lists(st.sampled_from(["1", "a", '"x\ny"', '"q""q"', '"\n"', "", "0.5"]), min_size=2, max_size=2)
LINES = st.lists(CELLS.map(",".join) | st.just(""), max_size=30)


@given(lines=LINES, end=st.sampled_from(["\n", "\r\n"]), size=st.sampled_from([3, 7, 20, 1000]), last=st.booleans())
def test_pieces_are_the_text_cut_between_rows_and_their_rows_are_those_of_a_csv_reader(lines, end, size, last):
    text = end.join(lines) + (end if last else "")
    cut = [pickle.loads(pickle.dumps(piece)) for piece in chunks_of(Text(text.encode()), 0, size)]
    found = [bytes(piece.read()) for piece in cut]
    joined = "".join(piece.decode() for piece in found)
    assert joined.rstrip("\r\n") == text.rstrip("\r\n")
    assert [piece.offset for piece in cut] == [sum(map(len, found[:i])) for i in range(len(found))]
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    rows = [row for piece in found for row in csv.reader(io.StringIO(piece.decode(), newline="")) if row]
    assert rows == expected
    assert sum(count_rows(piece, ",", single_column=False)[0] for piece in cut) == len(expected)
    line, starts = 0, []
    for piece in cut:
        starts += [line + number for number in row_lines(piece.read(), ",", single_column=False)]
        line += count_rows(piece, ",", single_column=False)[1]
    assert len(starts) == len(expected)
    assert all(text.split("\n")[start].strip() for start in starts)


@pytest.mark.parametrize("text", [b"1", b"\n", b"1,2\n"])
def test_text_without_an_end_is_refused_in_bounded_memory(text):
    quote = b'"' if b"," in text else b""
    endless = quote + text * (2 * LONGEST_LINE // len(text))
    with pytest.raises(InputError, match=r"t after byte 0"):
        list(chunks_of(Text(endless), 0, 1 << 20))


def test_a_cell_may_be_as_long_as_a_line_and_importing_changes_nothing_for_others():
    code = """
import csv
import xent_cli.readers.text.csv
print(csv.field_size_limit())
from xent_cli.readers.text.text_chunks import csv_reader
print(*(len(cell) for row in csv_reader(["a," + 200_000 * "b"], delimiter=",") for cell in row))
csv.field_size_limit(1 << 30)
print(*(len(row) for row in csv_reader(["a,b"], delimiter=",")), csv.field_size_limit())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [str(128 << 10), "1 200000", f"2 {1 << 30}"]
