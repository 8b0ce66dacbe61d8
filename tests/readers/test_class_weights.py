"""Class weights: matched with the classes by name if a file has names, and each one checked."""

import json
import lzma
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.torch_writer import save as save_torch
from xent_cli.errors import InputError
from xent_cli.readers.pair.class_weights import read_class_weight

NAMES = ("cat", "dog", "fox")
WANTED = [1.0, 2.0, 0.5]
TURNED = {"fox": 0.5, "cat": 1.0, "dog": 2.0}


def by_name(path):
    """Write weights in a different order than the classes, in the form that the name of the file says."""
    form, _, _ = path.name.partition(".")
    table = pa.table({"class": list(TURNED), "weight": list(TURNED.values())})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        path.write_text(
            {
                "table": "class,weight\nfox,0.5\ncat,1.0\ndog,2\n",
                "turned": "Weight;Class Name\n0.5;fox\n1.0;cat\n2;dog\n",
                "nameless": "fox,0.5\ncat,1.0\ndog,2\n",
                "blanks": "fox 0.5\ncat 1.0\ndog 2\n",
                "colons": "fox: 0.5\ncat: 1.0\ndog: 2\n",
                "pandas": ",0\nfox,0.5\ncat,1.0\ndog,2\n",
                "counted": "class,count,weight\nfox,7,0.5\ncat,8,1.0\ndog,9,2\n",
                "numbered": "index,class,weight\n2,fox,0.5\n0,cat,1.0\n1,dog,2\n",
                "wide": "fox,cat,dog\n0.5,1.0,2\n",
                "spelt": "class,weight\nprob_fox,0.5\nprob_cat,1.0\nprob_dog,2\n",
                "cased": "class,weight\nFox,0.5\nCat,1.0\nDog,2\n",
                "indices": "class,weight\n2,0.5\n0,1.0\n1,2\n",
                "object": json.dumps(TURNED),
                "pretty": json.dumps(TURNED, indent=2),
                "records": json.dumps(table.to_pylist()),
                "columns": json.dumps(table.to_pydict()),
                "pairs": json.dumps(list(TURNED.items())),
                "frame": json.dumps({name: dict(enumerate(table[name].to_pylist())) for name in table.column_names}),
            }[form]
        )
    return str(path)


FORMS = [
    *(f"{form}.csv" for form in ("table", "turned", "nameless", "pandas", "counted", "numbered", "wide")),
    *(f"{form}.csv" for form in ("spelt", "cased", "indices", "blanks", "colons")),
    *(f"{form}.json" for form in ("object", "pretty", "records", "columns", "pairs", "frame")),
    *("w.parquet", "w.arrow", "w.jsonl"),
]


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_those_of_the_classes_they_name(tmp_path, form):
    assert read_class_weight(by_name(tmp_path / form), 3, NAMES).tolist() == WANTED


@pytest.mark.parametrize(
    "content",
    [
        "1\n2\n0.5\n",
        "weight\n1\n2\n0.5\n",
        "0\n1\n2\n0.5\n",
        "1,2,0.5\n",
        "1 2 0.5\n",
        "[1, 2, 0.5]",
        "1.0\r\n2\r\n0.5",
    ],
)
@pytest.mark.parametrize("names", [NAMES, None])
def test_a_list_of_weights_is_in_the_order_of_the_classes(tmp_path, content, names):
    (tmp_path / "w.txt").write_text(content)
    assert read_class_weight(str(tmp_path / "w.txt"), 3, names).tolist() == WANTED


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1)])
def test_an_array_of_weights_may_have_any_shape_of_one_row(tmp_path, shape):
    np.save(tmp_path / "w.npy", np.reshape(WANTED, shape))
    np.savez(tmp_path / "w.npz", weights=np.reshape(WANTED, shape))
    save_torch(tmp_path / "w.pt", {"weight": np.reshape(WANTED, shape)})
    save_torch(tmp_path / "bare.pt", np.reshape(WANTED, shape))
    for name in ("w.npy", "w.npz", "w.pt", "bare.pt"):
        assert read_class_weight(str(tmp_path / name), 3, NAMES).tolist() == WANTED


def test_classes_without_names_are_called_by_their_numbers(tmp_path):
    assert read_class_weight(by_name(tmp_path / "indices.csv"), 3).tolist() == WANTED
    (tmp_path / "w.json").write_text('{"2": 0.5, "1": 2, "0": 1}')
    assert read_class_weight(str(tmp_path / "w.json"), 3).tolist() == WANTED


def test_numbers_of_classes_begin_at_the_first_class(tmp_path):
    (tmp_path / "w.json").write_text('{"3": 0.5, "2": 2, "1": 1}')
    assert read_class_weight(str(tmp_path / "w.json"), 3, first=1).tolist() == WANTED
    with pytest.raises(InputError):
        read_class_weight(str(tmp_path / "w.json"), 3)


@pytest.mark.parametrize(
    ("content", "what", "told"),
    [
        ("", "empty file", "no first line"),
        ("\n\n", "empty file", "no first line"),
        ("{}", "empty file", "no rows"),
        ("class,weight\ncat,1\ndog,2\n", "class without a weight", '"fox"'),
        ("class,weight\ncat,1\ndog,2\nwolf,3\n", "weight of no class", 'line 4: found "wolf"'),
        ("class,weight\ncat,1\ndog,2\nfox,3\ncow,1\n", "weight of no class", 'line 5: found "cow"'),
        ("class,weight\ncat,1\ndog,2\ncat,3\n", "class given twice", 'line 4: found "cat", as at line 2'),
        ('{"cat": 1, "dog": 2, "cat": 3}', "class given twice", 'key "cat"'),
        ("class,weight\ncat,1\ndog,nan\nfox,3\n", "invalid class weight", 'line 3, class "dog": found nan'),
        ("class,weight\ncat,1\ndog,-2\nfox,3\n", "invalid class weight", 'line 3, class "dog": found -2'),
        ("class,weight\ncat,1\ndog,inf\nfox,3\n", "invalid class weight", 'line 3, class "dog": found inf'),
        ("class,weight\ncat,1\ndog,\nfox,3\n", "class weight missing", 'line 3, class "dog": found nothing'),
        ("class,weight\ncat,1\ndog,low\nfox,3\n", "class weight is not a number", 'line 3, class "dog": found "low"'),
        ('{"cat": 1, "dog": null, "fox": 3}', "class weight missing", 'key "dog"'),
        ("class,weight\ncat,1\n,2\nfox,3\n", "no class", "line 3"),
        ("a,b,c\ncat,1,2\ndog,2,3\nfox,3,4\n", "no column of weights", '"weight"'),
        ("weight,b,c\n1,2,3\n2,3,4\n3,4,5\n", "no column of classes", '"class"'),
        ("1\n2\n", "wrong number of class weights", "found 2 weights, expected 3, one a class"),
        ("0,1\n1,0\n2,2\n", "no column of weights", "columns"),
        ("1\n-2\n3\n", "invalid class weight", "line 2: found -2"),
        ("1\n\n3\nx\n", "class weight is not a number", 'line 4: found "x"'),
        ('{"cat": 1,', "not JSON", "line 1"),
        ("[[1, 2], [3]]", "wrong number of cells", "item 1"),
    ],
)
def test_invalid_weights_are_reported_with_their_place(tmp_path, content, what, told):
    (tmp_path / "w.txt").write_text(content)
    with pytest.raises(InputError) as caught:
        read_class_weight(str(tmp_path / "w.txt"), 3, NAMES)
    assert caught.value.what == what
    assert told in str(caught.value)
    assert "label" not in str(caught.value)
    assert "logit" not in str(caught.value)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], np.ones((2, 3))])
def test_an_array_of_another_number_of_weights_is_refused(tmp_path, values):
    np.save(tmp_path / "w.npy", np.array(values, float))
    with pytest.raises(InputError, match="wrong number of class weights"):
        read_class_weight(str(tmp_path / "w.npy"), 3, NAMES)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_an_array_with_an_invalid_weight_is_refused_with_its_class(tmp_path, bad):
    np.save(tmp_path / "w.npy", [1.0, bad, 1.0])
    with pytest.raises(InputError, match="invalid class weight") as caught:
        read_class_weight(str(tmp_path / "w.npy"), 3, NAMES)
    assert caught.value.where.endswith('w.npy class 1 ("dog")')


def test_names_need_logits_that_name_their_classes(tmp_path):
    with pytest.raises(InputError, match="nothing says which class a name is") as caught:
        read_class_weight(by_name(tmp_path / "table.csv"), 3)
    assert "--class-names" in caught.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe1\n", b"1\0\n2\n3\n", b"PAR1 and no more", b"ARROW1 and no more"])
def test_damaged_files_are_named_as_such(tmp_path, content):
    (tmp_path / "w.csv").write_bytes(content)
    with pytest.raises(InputError):
        read_class_weight(str(tmp_path / "w.csv"), 3, NAMES)


@pytest.mark.parametrize("packed", ["", "xz", "zip"])
def test_weights_in_utf_16_or_packed_are_read_as_tables_are(tmp_path, packed):
    data, path = "class,weight\nfox,0.5\ncat,1.0\ndog,2\n".encode("utf-16"), tmp_path / "w.csv"
    if packed == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w.csv", data)
    else:
        path.write_bytes(lzma.compress(data) if packed else data)
    assert read_class_weight(str(path), 3, NAMES).tolist() == WANTED
