"""The compiled kernel; everything else is in pyproject.toml.

It carries the digest of its source, by which a test notices that it is out of date. Where it cannot be built, NumPy
computes: without a C compiler, and on Windows, whose compiler lacks the vector extensions of GCC and Clang.
"""

import hashlib
import sys
from pathlib import Path

from setuptools import Extension, setup

FOLDER = "xent_cli/core/kernel/c"
source = sorted((Path(__file__).parent / FOLDER).glob("*.[ch]"))
digest = hashlib.sha256(b"".join(path.read_bytes() for path in source)).hexdigest()
kernel = Extension(
    "xent_cli.core.kernel._rows",
    [f"{FOLDER}/{path.name}" for path in source if path.suffix == ".c"],
    depends=[f"{FOLDER}/{path.name}" for path in source if path.suffix == ".h"],
    define_macros=[("SOURCE_DIGEST", f'"{digest}"')],
    # Without the last, AVX2 code takes 2.7 times as long at 10 classes; contraction would change digits.
    extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
    py_limited_api=True,
    optional=True,
)
setup(ext_modules=[] if sys.platform == "win32" else [kernel])
