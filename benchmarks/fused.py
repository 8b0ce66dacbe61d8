"""The C program that shows what the chip allows, built when needed."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.case import Missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAGS = ("-O3", "-march=native", "-ffast-math")


class Fused:
    """`fused.c`, compiled into `work`."""

    def __init__(self, work: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Missing("no C compiler")
        library = work / "fused.so"
        source = Path(__file__).with_name("fused.c")
        subprocess.run([compiler, *FLAGS, "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
        self._losses = ctypes.CDLL(str(library)).losses

    def losses(self, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Loss of every row, computed by one thread."""
        n, k = logits.shape
        loss = np.empty(n)
        z, y, to = (ctypes.c_void_p(array.ctypes.data) for array in (logits, labels, loss))
        self._losses(z, y, ctypes.c_ssize_t(n), ctypes.c_ssize_t(k), to)
        return loss
