"""Draws the README's picture of a terminal from what the command prints: `python docs/make_images.py`."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 92
COMMAND = "xent compute sample_data/digits.csv --top 3 -f table"


def terminal(command: str) -> str:
    """Return a drawing of a terminal in which a command of xent has run."""
    env = {**os.environ, "COLUMNS": str(WIDTH), "LC_ALL": "C.UTF-8"}
    words = [sys.executable, "-m", "xent_cli", *command.split()[1:], "--color", "always"]
    run = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {command}\n{run.stdout}"))
    drawing = console.export_svg(title="xent", unique_id="xent")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)  # A page that shows it fetches no font.


if __name__ == "__main__":
    Path(__file__).with_name("images").joinpath("compute.svg").write_text(terminal(COMMAND), "utf-8")
