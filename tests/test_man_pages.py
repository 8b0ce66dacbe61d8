"""Man pages say the same as `--help`: `python docs/man_pages.py` rewrites them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "man").glob("*.1"))


def generated():
    """Return the pages made by a new process, because click caches options of earlier contexts."""
    code = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['pages']()))"
    run = subprocess.run(
        [sys.executable, "-c", code, ROOT / "docs" / "man_pages.py"], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_the_pages_are_those_of_the_commands_today():
    assert {page.name: page.read_text("utf-8") for page in PAGES} == generated()


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_formatted_without_a_warning(page):
    run = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert "xent" in run.stdout
