"""Core names no option of the command line: each interface has a table of hints, by code."""

import ast
import re
from pathlib import Path

import pytest

import xent_cli
from xent_cli.cli.display import hints as command_line
from xent_cli.core.python_api import hints as python

CORE = Path(xent_cli.__file__).parent / "core"
TEXTS = {
    path: [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for path in CORE.rglob("*.py")
}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(CORE)))
def test_no_text_of_core_names_an_option_of_the_command_line(path):
    assert [text for text in TEXTS[path] if re.search(r"(?<![\w-])--[a-z]", text)] == []


@pytest.mark.parametrize("table", [command_line._HINTS, python._HINTS], ids=["command line", "Python"])
def test_every_hint_is_for_a_code_of_core(table):
    codes = {text for path, texts in TEXTS.items() if path.name != "hints.py" for text in texts}
    assert {code.partition(" of ")[0] for code in table} <= codes


@pytest.mark.parametrize("hint", python._HINTS.values())
def test_hints_for_python_name_no_option_of_the_command_line(hint):
    assert "--" not in hint
