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
    """`fused.c`, compiled into `work`; `losses` runs it in one thread."""

    def __init__(self, work: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Missing("no C compiler")
        library = work / "fused.so"
        source = Path(__file__).with_name("fused.c")
        subprocess.run([compiler, *FLAGS, "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
        self._library = ctypes.CDLL(str(library))

    def losses(self, logits: NDArray[np.float32], labels: NDArray[np.int64], precision: str) -> NDArray[np.float64]:
        """Loss of every row, in "float64" or "float32" arithmetic."""
        n, k = logits.shape
        loss = np.empty(n)
        function = self._library.xent_double if precision == "float64" else self._library.xent_single
        sides = ctypes.c_ssize_t(n), ctypes.c_ssize_t(k)
        function(
            logits.ctypes.data_as(ctypes.c_void_p),
            labels.ctypes.data_as(ctypes.c_void_p),
            *sides,
            loss.ctypes.data_as(ctypes.c_void_p),
        )
        return loss
