"""The imported compiled kernel was built from the current source, and its absence has a reason."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xent_cli.core.kernel import variants as module
from xent_cli.core.kernel.variants import INTERFACE, why_not_compiled

FOLDER = Path(module.__file__).parent / "c"
SOURCE = sorted(FOLDER.glob("*.[ch]"))


@pytest.mark.skipif(not SOURCE, reason="the source of the compiled kernel is not here")
def test_the_compiled_kernel_is_not_older_than_its_source():
    # Imported directly, because `variants` treats an outdated module as not built.
    digest = pytest.importorskip("xent_cli.core.kernel._rows").source_digest()
    if not digest:
        pytest.skip("compiled by hand: nothing is known of its source")
    expected = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCE)).hexdigest()
    assert digest == expected, "out of date: pip install -e . compiles it anew"


# Prints the reason in an interpreter without a compiled module, or with one that cannot be loaded.
WITHOUT = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.endswith("._rows"):
            raise {error}
sys.meta_path.insert(0, Finder())
from xent_cli.core.kernel.variants import described, kernel_for, variants, why_not_compiled
print(kernel_for("float64"), variants(), why_not_compiled(), described(), sep="|")
"""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ModuleNotFoundError('no')", "it was not built when xent was installed"),
        ("ImportError('undefined symbol: fma')", "undefined symbol: fma"),
    ],
)
def test_numpy_computes_where_there_is_no_compiled_kernel_and_the_reason_is_known(error, reason):
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(error=error)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == f"numpy|()|{reason}|numpy (no compiled kernel: {reason})"


# The interface with this number: the arguments that each function of the compiled module parses, and the numbers of
# dtypes and the like.
PARSED = {
    3: [
        "O&O&iiOiiiidddO&O&O&O&O&O&O&i", "L", "O&O&O&O&iLLdii", "O&O&O&O&iLdO&O&O&O&O&O&", "O&O&iO&i", "O&O&iO&",
        "O&O&", "O&O&i",
        "FLOAT64, FLOAT32, FLOAT16, BFLOAT16", "LOGITS, LOG_PROBS, PROBS", "SPARSE, DENSE, TEACHER",
    ]
}  # fmt: skip


@pytest.mark.skipif(not SOURCE, reason="the source of the compiled kernel is not here")
def test_another_interface_has_another_number_in_python_and_in_c():
    rows, shared = ((FOLDER / name).read_text() for name in ("module.c", "kernel.h"))
    assert re.findall(r"enum \{ INTERFACE = (\d+) \}", rows) == [str(INTERFACE)]
    formats = re.findall(r'PyArg_ParseTuple\(args, "([\w&]+)"', rows)
    numbers = re.findall(r"^enum \{ ((?:FLOAT64|LOGITS|SPARSE),.*) \};", shared, re.MULTILINE)
    assert formats + numbers == PARSED[INTERFACE]


# A compiled module from before a pull: without an interface number or with a different one, and with functions that
# take other arguments.
OUTDATED = """
import sys, types
import numpy as np
old = sys.modules["xent_cli.core.kernel._rows"] = types.ModuleType("_rows")
old.variants = lambda: ["baseline"]
old.__dict__.update({numbers})
import xent_cli
from xent_cli.cli import cli
print(xent_cli.evaluate(np.zeros((3, 4)), np.array([0, 1, 2])).mean_loss == np.log(4))
cli(["--version"])
"""


@pytest.mark.parametrize("numbers", [{}, {"INTERFACE": INTERFACE - 1}, {"INTERFACE": INTERFACE + 1}])
def test_a_compiled_kernel_that_is_out_of_date_is_left_alone_and_the_version_says_how_to_rebuild_it(numbers):
    code = OUTDATED.format(numbers=numbers)
    env = {name: value for name, value in os.environ.items() if not name.startswith("XENT_")}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    same, _, kernel = run.stdout.splitlines()
    assert (run.returncode, run.stderr, same) == (0, "", "True")
    assert kernel == (
        "kernel: numpy (no compiled kernel: the one here is out of date; "
        "to rebuild it, run pip install -e . in the source folder of xent)"
    )


def test_a_processor_without_fused_multiply_add_leaves_it_to_numpy(monkeypatch):
    monkeypatch.setattr(module, "variants", lambda: ("baseline",))
    assert why_not_compiled() == "no AVX2 with FMA in this processor"
