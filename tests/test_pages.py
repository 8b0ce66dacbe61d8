"""The README and docs show what happens: `XENT_UPDATE_PAGES=1 pytest tests/test_pages.py` rewrites the outputs."""

import doctest
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).parents[1]
UPDATE = "XENT_UPDATE_PAGES" in os.environ
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {}
for page in PAGES:
    for command, output in re.findall(r"```console\n\$ (.*)\n((?:.*\n)*?)```", page.read_text("utf-8")):
        EXAMPLES.setdefault((command, output), []).append(page)


@pytest.mark.parametrize(
    ("example", "pages"),
    EXAMPLES.items(),
    ids=[f"{pages[0].stem}-{command[:60]}" for (command, _), pages in EXAMPLES.items()],
)
def test_an_example_prints_what_the_page_shows(example, pages, tmp_path):
    command, output = example
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XENT_") and k not in ("COLUMNS", "FORCE_COLOR")}
    both = {"capture_output": False, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    run = forked.shell(command, tmp_path, {**clean, "LC_ALL": "C.UTF-8"}, **both)
    found = "".join(f"{line.rstrip()}\n" for line in run.stdout.splitlines())
    if UPDATE:
        for page in pages:
            text = page.read_text("utf-8")
            page.write_text(text.replace(f"$ {command}\n{output}```", f"$ {command}\n{found}```"), "utf-8")
    assert "Traceback" not in found
    assert "error: " not in found or "exit code" in command  # an error is shown on purpose, and with its exit code
    assert found == output or UPDATE


def test_every_console_block_is_an_example_that_is_run():
    blocks = sum(page.read_text("utf-8").count("```console") for page in PAGES)
    assert sum(len(pages) for pages in EXAMPLES.values()) == blocks > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page):
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
    assert tried > 0 or ">>>" not in page.read_text("utf-8")


OTHERS = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "sample_data/README.md", "benchmarks/NOTES.md"]


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / name for name in OTHERS)], ids=lambda page: page.stem)
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert page.parent.joinpath(target).exists(), target
    for target in re.findall(r"(?<![\w/])(?:sample_data|tests|\.ci)/[\w./]*\w", text):
        assert (ROOT / target).exists(), target


def test_every_option_that_a_page_shows_exists():
    helps = ""
    commands = forked.xent("--help").stdout.split("Commands:")[1]
    for command in ["--help", *re.findall(r"^  (\w+)  ", commands, re.MULTILINE)]:
        helps += forked.xent(command, "--help").stdout
    for page in PAGES:
        # Commands in backticks or in an example; lines of pip and pytest are the set-up.
        shown = re.findall(
            r"`([^`\n]+)`|^\$ (.*)$", re.sub(r"```bash\n.*\n```", "", page.read_text("utf-8")), re.MULTILINE
        )
        for text in ("".join(either) for either in shown):
            if "xent" in text or text.startswith("--"):
                for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", text):
                    assert re.search(rf"(?<![\w-]){option}(?![\w-])", helps), (page.name, option)


def test_pages_install_from_the_repository_that_the_package_names():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    found = [url for page in PAGES for url in re.findall(r"git\+(https://[^\s'`@]+)", page.read_text("utf-8"))]
    assert set(found) == {urls["Repository"]}
