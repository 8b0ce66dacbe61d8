"""The compiled kernel that is imported is the one whose source is here, and its absence has a reason."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from xent_cli.core.kernel import variants as module
from xent_cli.core.kernel.variants import compiled_module, variants, why_not_compiled

SOURCE = sorted(Path(module.__file__).parent.glob("*.[ch]"))


@pytest.mark.skipif(not variants() or not SOURCE, reason="the compiled kernel, or its source, is not here")
def test_the_compiled_kernel_is_not_older_than_its_source():
    digest = compiled_module().source_digest()
    if not digest:
        pytest.skip("compiled by hand: nothing is known of its source")
    expected = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCE)).hexdigest()
    assert digest == expected, "out of date: pip install -e . compiles it anew"


# What an interpreter says that finds no compiled module, or one that cannot be loaded.
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


def test_a_processor_without_fused_multiply_add_leaves_it_to_numpy(monkeypatch):
    monkeypatch.setattr(module, "variants", lambda: ("baseline",))
    assert why_not_compiled() == "no AVX2 with FMA in this processor"
