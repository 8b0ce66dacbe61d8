"""Every form of text passes `SourceTests`."""

import json
import lzma
import zipfile

import numpy as np

from tests.readers.source_tests import FifoTests, K, SourceTests
from xent_cli.readers.options import ReadOptions

NAMES = [f"logit_{i}" for i in range(K)]


class TextTests(SourceTests):
    format = "csv"
    knows_num_rows = False
    whole = False
    large = 8 << 20

    def write(self, folder, values):
        """Write the values as `text` formats them."""
        (folder / "t.txt").write_bytes(self.text(values))
        return str(folder / "t.txt")

    def text(self, values):
        """Return the content of the file."""
        return "\n".join(self.lines(values)).encode() + b"\n"

    def lines(self, values):
        """Return its lines."""
        raise NotImplementedError


class TestAlignedColumns(TextTests):
    def lines(self, values):
        yield "# " + "  ".join(NAMES)
        for row in values.tolist():
            yield "".join(f"{value!r:>26}" for value in row)


class TestAlignedColumnsPipe(FifoTests, TestAlignedColumns):
    pass


class TestUtf16(TextTests):
    def text(self, values):
        return super().text(values).decode().encode("utf-16")

    def lines(self, values):
        yield "sep=,"
        yield ",".join(NAMES)
        for row in values.tolist():
            yield ",".join(map(repr, row))


class TestXz(TestUtf16):
    whole = True

    def text(self, values):
        return lzma.compress(TextTests.text(self, values), preset=0)


class TestXzPipe(FifoTests, TestXz):
    pass


class TestZip(TestUtf16):
    whole = True

    def write(self, folder, values):
        with zipfile.ZipFile(folder / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", TextTests.text(self, values))
        return str(folder / "t.zip")


class ParsedTests(TextTests):
    """Formats parsed in Python, 20 times as slow while memory is traced: smaller inputs, and lower limits."""

    large = 2 << 20
    memory = 2 << 20


class TestArraysInCells(ParsedTests):
    def lines(self, values):
        yield "id,logits"
        for number, row in enumerate(values):
            text = np.array2string(row, threshold=10**9, max_line_width=40, formatter={"float_kind": repr_of})
            yield f'{number},"{text}"'


class TestNestedLines(ParsedTests):
    format = "jsonl"

    def lines(self, values):
        for number, row in enumerate(values.tolist()):
            yield json.dumps({"id": number, "prediction": {"model": "m", "logits": [row]}})


class TestNestedLinesPipe(FifoTests, TestNestedLines):
    memory = 3 << 20


class TestMaps(ParsedTests):
    format = "jsonl"

    def lines(self, values):
        for number, row in enumerate(values.tolist()):
            yield json.dumps({"id": number, "logits": dict(zip(NAMES, row, strict=True))})


class TestDocument(TextTests):
    format = "json"
    whole = True
    # A document is parsed whole, up to the limit on its size.
    large = 1 << 20
    memory = 24 << 20

    def text(self, values):
        return json.dumps({"logits": values.tolist()}, indent=1).encode()


class TestDocumentOfRecords(TestDocument):
    def text(self, values):
        return json.dumps([dict(zip(NAMES, row, strict=True)) for row in values.tolist()]).encode()


class TestListedLabels(TextTests):
    format = "jsonl"
    role = "labels"
    dtype = np.int64
    options = ReadOptions(label_column="label")

    def lines(self, values):
        for value in values.tolist():
            yield json.dumps({"label": [value]})


def repr_of(value):
    """Return the shortest text of this number."""
    return repr(float(value))
