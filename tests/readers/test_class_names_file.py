"""Lists of class names in common forms, recognised by their content."""

import json
import lzma
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xent_cli.errors import InputError
from xent_cli.readers.pair.class_names_file import read_class_names

NAMES = ("cat", "dog", "red fox")
PLAIN = {
    "one a line": "cat\ndog\nred fox\n",
    "with blanks around": " cat\ndog \nred fox\n",
    "quoted": '"cat"\n"dog"\n"red fox"\n',
    "array": json.dumps(NAMES),
    "id2label": '{"0": "cat", "1": "dog", "2": "red fox"}',
    "id2label in another order": '{"2": "red fox", "0": "cat", "1": "dog"}',
    "id2label of text in lines": '{\n  "0": "cat",\n  "1": "dog",\n  "2": "red fox"\n}\n',
    "label2id": '{"red fox": 2, "cat": 0, "dog": 1}',
    "a whole configuration": json.dumps(
        {
            "model_type": "vit",
            "hidden_size": 768,
            "id2label": {"0": "cat", "1": "dog", "2": "red fox"},
            "label2id": {"cat": 0, "dog": 1, "red fox": 2},
        }
    ),
    "a configuration with numbers of text": '{"id2label": {"0": "cat", "1": "dog", "2": "red fox"}, "x": 1}',
    "categories": '[{"id": 2, "name": "red fox"}, {"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]',
    "JSON Lines": '{"id": 2, "name": "red fox"}\n{"id": 0, "name": "cat"}\n{"id": 1, "name": "dog"}\n',
    "a class map": "index,name\n0,cat\n2,red fox\n1,dog\n",
    "a class map, names first": "class,index\ncat,0\ndog,1\nred fox,2\n",
}
SAID = {
    "blanks": "0 cat\n1 dog\n2 red fox\n",
    "commas": "0,cat\n1,dog\n2,red fox\n",
    "semicolons": "0;cat\n1;dog\n2;red fox\n",
    "tabs": "0\tcat\n1\tdog\n2\tred fox\n",
    "colons": "0: cat\n1: dog\n2: red fox\n",
    "another order": "2 red fox\n0 cat\n1 dog\n",
    "padded": "000 cat\n001 dog\n002 red fox\n",
    "quoted cells": '0,"cat"\n1,"dog"\n2,"red fox"\n',
    "names first": "cat,0\ndog,1\nred fox,2\n",
    "AudioSet": "index,mid,display_name\n0,/m/09x0r,cat\n1,/m/05zppz,dog\n2,/m/02zsn,red fox\n",
    "pandas": ",0\n0,cat\n1,dog\n2,red fox\n",
}


def read(tmp_path, content, first=0):
    path = tmp_path / "names.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_class_names(str(path), first)


@pytest.mark.parametrize("form", PLAIN)
def test_every_form_gives_the_names_in_the_order_of_the_classes(tmp_path, form):
    found = read(tmp_path, PLAIN[form])
    assert (found.names, found.said) == (NAMES, "")


@pytest.mark.parametrize("form", [form for form in SAID if form != "pandas"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_numbers_that_could_be_part_of_a_name_are_taken_for_classes_and_that_is_said(tmp_path, form, end):
    found = read(tmp_path, SAID[form].replace("\n", end))
    assert found.names == NAMES
    assert 'class 0 is "cat"' in found.said


def test_a_series_that_pandas_wrote_is_a_numbered_list(tmp_path):
    assert read(tmp_path, SAID["pandas"]).names == NAMES


@pytest.mark.parametrize(
    "lines",
    [
        ["Paris, France", "Rome, Italy", "Bern, Switzerland"],
        ["class 0", "class 1", "class 2"],
        ["3 toed sloth", "cat", "dog"],
        ["0", "1", "2"],
        ["-1", "0", "1"],
        ["1.5 V", "3 V", "9 V battery of 2"],
        ["a: b", "c: d"],
    ],
)
def test_names_that_hold_numbers_and_marks_stay_as_they_are(tmp_path, lines):
    assert read(tmp_path, "".join(f"{line}\n" for line in lines)).names == tuple(lines)


def test_a_json_array_says_names_that_begin_with_numbers(tmp_path):
    names = ["1 star", "2 stars", "3 stars"]
    with pytest.raises(InputError, match="class numbers missing") as caught:
        read(tmp_path, "".join(f"{name}\n" for name in names))
    assert "a JSON array" in caught.value.hint
    assert read(tmp_path, json.dumps(names)).names == tuple(names)


@pytest.mark.parametrize("content", ["1 cat\n2 dog\n3 red fox\n", '{"1": "cat", "2": "dog", "3": "red fox"}'])
def test_numbers_begin_at_the_first_class(tmp_path, content):
    with pytest.raises(InputError, match="class numbers missing") as caught:
        read(tmp_path, content)
    assert "--first-class 1" in caught.value.hint
    assert read(tmp_path, content, first=1).names == NAMES


@pytest.mark.parametrize(
    ("content", "what", "told"),
    [
        ("0 cat\n2 dog\n", "class numbers missing", "without 1"),
        ("0,cat\n1,dog\n3,fox\n", "class numbers missing", "without 2"),
        ("0 cat\n1 dog\n1 fox\n", "class number given twice", "line 3: found 1, as in line 2"),
        ('{"0": "cat", "2": "dog"}', "class numbers missing", "without 1"),
        ('{"0": "cat", "0": "dog"}', "class number given twice", 'key "0"'),
        ('{"0": "cat", "1": "cat"}', "class name given twice", 'key "1": found "cat"'),
        ('{"id2label": {"0": "cat", "3": "dog"}}', "class numbers missing", "without 1"),
        (
            '{"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 1, "dog": 0}}',
            "names that contradict each other",
            "label2id",
        ),
        ('{"0": 1, "1": 2, "2": 0}', "two readings of class names", "numbers"),
        ('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', "no class names", "id2label"),
        ('{"hidden_size": 768, "model_type": "vit"}', "no class names", "id2label"),
        ('{"0": null}', "no class names", "id2label"),
        ("{}", "no class names", "an empty object"),
        ("[]", "no class names", "an empty array"),
        ('["cat", null]', "no class name", "item 1: found null"),
        ('["cat", "cat"]', "class name given twice", "item 1"),
        (r'["cat", "\ud800og"]', "half of a character in a class name", r'item 1: found "\ud800og"'),
        ('["cat", ""]', "no class name", "item 1"),
        ('["cat", 1.5]', "no class name", "float"),
        ('{"0": "cat"', "not JSON", "line 1"),
        ("0 cat\n1 dog\nfox\n", "class name without a number", 'line 3: found "fox"'),
        ("names:\n0: cat\n1: dog\n", "class name without a number", 'line 1: found "names:"'),
        ("index,name\n0,cat\n1,\n", "no class name", "line 3"),
        ("index,a,b\n0,cat,x\n1,dog,y\n", "which column holds the class names?", '"a"'),
        ("0,7\n1,3\n1,4\n", "which column holds the class names?", "2 columns"),
    ],
)
def test_a_file_without_names_is_refused_with_the_place(tmp_path, content, what, told):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    assert caught.value.what == what
    assert told in str(caught.value)


def test_arrays_and_tables_list_names_too(tmp_path):
    np.save(tmp_path / "n.npy", np.array(NAMES))
    pq.write_table(pa.table({"name": ["dog", "red fox", "cat"], "index": [1, 2, 0]}), tmp_path / "n.parquet")
    for name in ("n.npy", "n.parquet"):
        assert read_class_names(str(tmp_path / name)).names == NAMES


@pytest.mark.parametrize("array", [np.arange(3), np.array([["cat"]]), np.array(["cat", None], object)])
def test_an_array_of_anything_else_lists_no_names(tmp_path, array):
    np.save(tmp_path / "n.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match="no class names"):
        read_class_names(str(tmp_path / "n.npy"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("packed", ["", "xz", "zip"])
def test_names_in_another_encoding_or_packed_are_read_as_tables_are(tmp_path, encoding, packed):
    data, path = "\ufeffcat\nd\u00f6g\nred fox\n".encode(f"{encoding}-le"), tmp_path / "names.txt"
    if packed == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("names.txt", data)
    else:
        path.write_bytes(lzma.compress(data) if packed else data)
    assert read_class_names(str(path)).names == ("cat", "d\u00f6g", "red fox")


def test_an_archive_of_several_lists_is_refused(tmp_path):
    path = tmp_path / "names.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "cat\ndog\n")
        archive.writestr("b.txt", "dog\ncat\n")
    with pytest.raises(InputError, match="several tables in a zip archive"):
        read_class_names(str(path))


def test_a_name_of_any_length_is_read(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(f"0,{'x' * 200_000}\n1,b\n")
    assert read_class_names(str(path)).names == ("x" * 200_000, "b")
