"""Cells that hold a whole row of numbers: vectors, maps and text, in every format of tables."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.click_runner import runner
from xent_cli.cli import cli
from xent_cli.errors import InputError, UnreadableRowError
from xent_cli.readers.columns.cells.cell_text import row_of_cell
from xent_cli.readers.tables.cells import values_of_cells

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def mean() -> Callable[..., float]:
    """Return the mean loss that the command prints."""

    def run(path: Path, *options: str) -> float:
        result = runner().invoke(cli, ["compute", str(path), "--reduction", "mean", *options])
        assert result.exit_code == 0, result.stderr
        return float(result.stdout)

    return run


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Return the message of the command when it refuses the input."""

    def run(path: Path, *options: str) -> str:
        result = runner().invoke(cli, ["compute", str(path), "--reduction", "mean", *options])
        assert isinstance(result.exception, InputError)
        assert not result.stdout
        return str(result.exception)

    return run


ROWS = [[0.1, 2.5, -1.0], [3.0, 0.0, 0.25], [0.0, 0.0, 1e-3], [-7.5, 4.0, 4.0]]
LABELS = [1, 0, 2, 2]
NAMES = ["cat", "dog", "fox"]
VECTOR = pa.struct(
    [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
)


def mean_of(rows: list[list[float]], labels: list[int]) -> float:
    """Compute the mean loss by the formula."""
    losses = [math.log(math.fsum(math.exp(x) for x in row)) - row[y] for row, y in zip(rows, labels, strict=True)]
    return math.fsum(losses) / len(losses)


def dense(row: list[float]) -> dict[str, Any]:
    """Return a dense vector of Spark."""
    return {"type": 1, "size": None, "indices": None, "values": row}


def sparse(row: list[float]) -> dict[str, Any]:
    """Return a sparse vector of Spark."""
    places = [place for place, value in enumerate(row) if value]
    return {"type": 0, "size": len(row), "indices": places, "values": [row[place] for place in places]}


def as_csv(path: Path, cells: list[str], labels: list[Any]) -> Path:
    """Write cells of text."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    lines = [f"{cell},{label}" for cell, label in zip(quoted, labels, strict=True)]
    return written(path.with_suffix(".csv"), "\n".join(["cells,label", *lines, ""]))


def as_jsonl(path: Path, cells: list[Any], labels: list[Any]) -> Path:
    """Write cells of any kind."""
    records = [{"cells": cell, "label": label} for cell, label in zip(cells, labels, strict=True)]
    return written(path.with_suffix(".jsonl"), "".join(json.dumps(record) + "\n" for record in records))


def as_parquet(path: Path, cells: list[Any], labels: list[Any], kind: pa.DataType | None = None) -> Path:
    """Write cells of a type of Arrow."""
    path = path.with_suffix(".parquet")
    pq.write_table(pa.table({"cells": pa.array(cells, kind), "label": labels}), path)
    return path


def as_arrow(path: Path, cells: list[Any], labels: list[Any], kind: pa.DataType | None = None) -> Path:
    """Write the same as an Arrow file of two record batches, of which the second begins within the arrays."""
    path = path.with_suffix(".arrow")
    table = pa.table({"cells": pa.array(cells, kind), "label": labels})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return path


def written(path: Path, text: str) -> Path:
    """Write text."""
    path.write_text(text)
    return path


def spell(kind: str) -> list[Any]:
    """Return the rows as cells of a kind."""
    maps = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    return {
        "commas": [json.dumps(row) for row in ROWS],
        "blanks": [str(np.array(row)) for row in ROWS],
        "lines": ["[" + "\n ".join(map(str, row)) + "]" for row in ROWS],
        "tuples": [str(tuple(row)) for row in ROWS],
        "bare": [" ".join(map(str, row)) for row in ROWS],
        "arrays": [f"array({row}, dtype=float32)" for row in ROWS],
        "scalars": [str([np.float64(x) for x in row]) for row in ROWS],
        "spark": [
            str(row) if all(row) else f"(3,{sparse(row)['indices']},{sparse(row)['values']})".replace(" ", "")
            for row in ROWS
        ],
        "vectors": [json.dumps(dense(row) if row[1] else sparse(row)) for row in ROWS],
        "maps": [json.dumps(each) for each in maps],
        "dictionaries": [str(each) for each in maps],
        "turned": [json.dumps(dict(reversed(each.items())) if i else each) for i, each in enumerate(maps)],
    }[kind]


TEXTS = ["commas", "blanks", "lines", "tuples", "bare", "arrays", "scalars", "spark", "vectors"]
MAPS = ["maps", "dictionaries", "turned"]
WRITERS = [as_csv, as_jsonl, as_parquet, as_arrow]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", TEXTS + MAPS)
def test_text_cells_that_are_named_are_rows_of_logits(
    kind: str, write: Callable[..., Path], tmp_path: Path, mean: Callable[..., float]
) -> None:
    labels = [NAMES[label] for label in LABELS] if kind in MAPS else LABELS
    path = write(tmp_path / "t", spell(kind), labels)
    assert mean(path, "--logits-column", "cells") == pytest.approx(mean_of(ROWS, LABELS), rel=1e-14)


@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_arrow])
@pytest.mark.parametrize("spelt", [dense, sparse, "mixed"])
def test_vectors_of_spark_are_rows_of_logits(
    spelt: Any, write: Callable[..., Path], tmp_path: Path, mean: Callable[..., float]
) -> None:
    forms = [dense, sparse, dense, sparse] if spelt == "mixed" else [spelt] * 4
    cells = [form(row) for form, row in zip(forms, ROWS, strict=True)]
    path = write(tmp_path / "t", cells, LABELS, *([] if write is as_jsonl else [VECTOR]))
    assert mean(path, "--logits-column", "cells") == pytest.approx(mean_of(ROWS, LABELS), rel=1e-14)


def kinds_of_maps(write: Callable[..., Path]) -> list[pa.DataType | None]:
    """Return the types that Arrow has for maps."""
    fields = [(name, pa.float32() if write is as_arrow else pa.float64()) for name in NAMES]
    return [None] if write is as_jsonl else [pa.map_(pa.string(), pa.float64()), pa.struct(fields)]


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_arrow])
def test_maps_are_read_by_the_names_of_their_classes(
    write: Callable[..., Path], names: list[str], tmp_path: Path, mean: Callable[..., float]
) -> None:
    rows = [[float(np.float32(x)) for x in row] for row in ROWS]
    for kind in kinds_of_maps(write):
        cells: list[Any] = [dict(zip(NAMES, row, strict=True)) for row in rows]
        cells = [{name: cell[name] for name in names} for cell in cells]
        held = [list(cell.items()) for cell in cells] if kind is not None and pa.types.is_map(kind) else cells
        path = write(tmp_path / "t", held, [NAMES[label] for label in LABELS], *([] if kind is None else [kind]))
        assert mean(path, "--logits-column", "cells") == pytest.approx(mean_of(rows, LABELS), rel=1e-14)


def test_keys_that_are_numbers_are_classes_in_the_order_of_the_numbers(
    tmp_path: Path, mean: Callable[..., float]
) -> None:
    cells = [{str(place): row[place] for place in (2, 0, 1)} for row in ROWS]
    path = as_jsonl(tmp_path / "t", cells, LABELS)
    assert mean(path, "--logits-column", "cells") == pytest.approx(mean_of(ROWS, LABELS), rel=1e-14)


GOOD = {"text": "[0.5, 1.5, 2]", "vector": dense([0.5, 1.5, 2.0]), "map": {"cat": 0.5, "dog": 1.5, "fox": 2.0}}
BAD = [
    ("text", "[0.5, 1.5]"),
    ("text", "[0.5 1.5 ... 2]"),
    ("text", "[0.5, , 2]"),
    ("text", "[0,5 1,5 2,0]"),
    ("text", "[[0.5, 1.5, 2], [1, 2, 3]]"),
    ("text", "[1_0, 1, 2]"),
    ("text", "[0.5, None, 2]"),
    ("text", "cat"),
    ("text", '{"cat": 1, "dog": 2, "fox": 3}'),
    ("text", "(3,[2,1],[0.5,0.5])"),
    ("text", "(4,[1,2],[0.5,0.5])"),
    ("vector", dense([0.5, 1.5])),
    ("vector", {"type": 0, "size": 3, "indices": [0, 3], "values": [0.5, 1.5]}),
    ("vector", {"type": 0, "size": 3, "indices": [1, 1], "values": [0.5, 1.5]}),
    ("vector", {"type": 0, "size": 3, "indices": [-1, 1], "values": [0.5, 1.5]}),
    ("vector", {"type": 0, "size": 3, "indices": [1], "values": [0.5, 1.5]}),
    ("vector", {"type": 0, "size": 4, "indices": [1], "values": [0.5]}),
    ("vector", {"type": 2, "size": 3, "indices": None, "values": [0.5, 1.5, 2.0]}),
    ("vector", {"type": 1, "size": None, "indices": None, "values": [0.5, None, 2.0]}),
    ("map", {"cat": 0.5, "dog": 1.5}),
    ("map", {"cat": 0.5, "dog": 1.5, "fox": 2.0, "cow": 0.0}),
    ("map", {"cat": 0.5, "dog": 1.5, "cow": 2.0}),
    ("map", {"cat": 0.5, "dog": 1.5, "fox": None}),
]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("kind", "cell"), BAD)
def test_a_cell_that_is_not_such_a_row_is_refused_by_its_line(
    kind: str, cell: Any, write: Callable[..., Path], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    cells = [GOOD[kind], GOOD[kind], cell, GOOD[kind]]
    types: list[pa.DataType] = []
    if write is as_csv and kind != "text":
        cells = [json.dumps(each) for each in cells]
    elif write not in (as_csv, as_jsonl) and kind == "vector":
        types = [VECTOR]
    elif write not in (as_csv, as_jsonl) and kind == "map":
        types = [pa.map_(pa.string(), pa.float64())]
        cells = [list(each.items()) for each in cells]
    path = write(tmp_path / "t", cells, LABELS, *types)
    message = refusal(path, "--logits-column", "cells")
    line = {as_csv: "line 4 (sample 2)", as_jsonl: "line 3 (sample 2)"}.get(write, "row 2 (sample 2)")
    assert "not a row of numbers" in message
    assert f'{line}, {"key" if write is as_jsonl else "column"} "cells"' in message


def test_numbers_that_numpy_left_out_are_reported(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = as_csv(tmp_path / "t", ["[0.5 1.5 ... 2.5]"] * 3, [0, 1, 0])
    assert "set_printoptions" in refusal(path, "--logits-column", "cells")


@pytest.mark.parametrize("write", WRITERS)
def test_a_cell_without_anything_is_missing(
    write: Callable[..., Path], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    cells = ["[1, 2]", "" if write is as_csv else None, "[2, 1]"]
    message = refusal(write(tmp_path / "t", cells, [0, 1, 0]), "--logits-column", "cells")
    assert "(sample 1)" in message


@pytest.mark.parametrize("write", WRITERS)
def test_columns_that_hold_no_rows_of_numbers_are_refused_by_their_type(
    write: Callable[..., Path], tmp_path: Path, refusal: Callable[..., str]
) -> None:
    message = refusal(write(tmp_path / "t", ["cat", "dog", "cat"], [0, 1, 0]), "--logits-column", "cells")
    assert message.startswith("column holds no logits")
    assert "type " in message


@pytest.mark.parametrize(
    "text",
    [
        "(999999999,[0],[1.0])",
        "{",
        "{1: }",
        "{**a}",
        "[" * 5000,
        "array([1, 2], 3)",
        "{" * 5000,
        "{1: 2 3}",
        "{'a': 1} x",
        f"[{'9' * 400}, 3]",
        "[1.5, -1e999]",
        f"{{'a': {'9' * 400}, 'b': 1}}",
    ],
)
def test_no_text_ends_the_run_or_fills_the_memory(text: str, tmp_path: Path, refusal: Callable[..., str]) -> None:
    assert "line 3" in refusal(as_csv(tmp_path / "t", ["[1, 2]", text], [0, 1]), "--logits-column", "cells")
    assert "column holds no logits" in refusal(as_csv(tmp_path / "u", [text or "x"], [0]), "--logits-column", "cells")


@pytest.mark.parametrize("empty", [None, "n/a", "[1, 2]"])
@pytest.mark.parametrize("write", WRITERS)
def test_cells_of_rows_that_do_not_count_may_be_anything(
    empty: str | None,
    write: Callable[..., Path],
    tmp_path: Path,
    mean: Callable[..., float],
    refusal: Callable[..., str],
) -> None:
    cells: list[Any] = [json.dumps(ROWS[0]), empty or ("" if write is as_csv else None), *map(json.dumps, ROWS[2:])]
    mask = written(tmp_path / "mask.csv", "mask\n1\n0\n1\n1\n")
    path = write(tmp_path / "t", cells, LABELS)
    kept = [0, 2, 3]
    right = pytest.approx(mean_of([ROWS[i] for i in kept], [LABELS[i] for i in kept]), rel=1e-14)
    assert mean(path, "--logits-column", "cells", "--mask", str(mask)) == right
    other = written(tmp_path / "other.csv", "mask\n1\n1\n0\n1\n")
    assert "(sample 1)" in refusal(path, "--logits-column", "cells", "--mask", str(other))
    table = {"cells": cells, "label": LABELS, "keep": [1, 0, 1, 1]}
    if write is as_csv:
        lines = [f'"{cell}",{label},{kept}' for cell, label, kept in zip(*table.values(), strict=True)]
        written(path, "\n".join(["cells,label,keep", *lines, ""]))
    elif write is as_jsonl:
        written(path, "".join(json.dumps(row) + "\n" for row in pa.table(table).to_pylist()))
    else:
        pq.write_table(pa.table(table), path := tmp_path / "k.parquet")
    assert mean(path, "--logits-column", "cells", "--mask", "keep") == right


@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_arrow])
def test_a_map_that_was_not_named_is_refused_with_the_line_that_names_it(
    write: Callable[..., Path], tmp_path: Path, refusal: Callable[..., str], mean: Callable[..., float]
) -> None:
    cells = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    path = write(tmp_path / "t", cells, [NAMES[label] for label in LABELS])
    line = refusal(path).rpartition("hint: ")[2]
    assert line == f"if they are the logits: xent compute {path} --logits-column cells --reduction mean"


def test_values_of_slices_are_those_of_their_rows() -> None:
    maps = pa.array([list(zip(NAMES, row, strict=True)) for row in ROWS], pa.map_(pa.string(), pa.float64()))
    vectors = pa.array([sparse(row) for row in ROWS], VECTOR)
    fields = pa.array([dict(zip(NAMES, row, strict=True)) for row in ROWS])
    for array, keys in ((maps, tuple(NAMES)), (vectors, ()), (fields, tuple(NAMES))):
        for low in range(4):
            found = values_of_cells(pa.chunked_array([array[low:]]), keys, 3, "logits", 0, missing=False)
            assert found.tolist() == ROWS[low:]


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two values"):
        row_of_cell('{"cat": 1, "cat": 2}')
    with pytest.raises(ValueError, match="two values"):
        row_of_cell("{'cat': 1, 'cat': 2}")
    maps = pa.array([[("cat", 1.0), ("cat", 2.0)]], pa.map_(pa.string(), pa.float64()))
    with pytest.raises(UnreadableRowError, match="not a row of numbers"):
        values_of_cells(pa.chunked_array([maps]), ("cat", "dog"), 2, "logits", 0, missing=False)
