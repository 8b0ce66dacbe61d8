"""Waiting for another process: for as long as a busy machine may need, and with an error if it never happens."""

import os
import time

import numpy as np

# A guard against waiting forever, not a measurement: even the slowest machine needs less than this.
PATIENCE_SECONDS = 300


def until(found, expected, seen=lambda: "nothing"):
    """Return what `found()` gives as soon as it is true; fail with what was `seen` in place of what was expected."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_SECONDS} s for {expected}; there is {seen()!r}")
        time.sleep(0.01)
    return value


def names(folder):
    """Names of the files in a folder, including hidden ones."""
    return sorted(path.name for path in folder.iterdir())


def endless(folder, rows, classes):
    """Logits and labels that take minutes to compute and no disk space: the test ends the run it waits for."""
    found = []
    for name, dtype, shape in (("l.npy", "<f4", (rows, classes)), ("y.npy", "|i1", (rows,))):
        with (folder / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
            os.truncate(file.fileno(), file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        found.append(folder / name)
    return tuple(found)
