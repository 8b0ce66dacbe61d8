"""Wait for another process: as long as a busy machine may need, and with an error if it never happens."""

import os
import time

import numpy as np

# A guard against waiting forever, not a measurement: even the slowest machine needs less than this.
PATIENCE_SECONDS = 300


def until(found, expected, seen=lambda: "nothing"):
    """Return the result of `found()` as soon as it is true; otherwise fail with what was `expected` and `seen`."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_SECONDS} s for {expected}; there is {seen()!r}")
        time.sleep(0.01)
    return value


def names(folder):
    """Return the names of the files in a folder, including hidden ones."""
    return sorted(path.name for path in folder.iterdir())


def endless(folder, rows, classes):
    """Write logits and labels that take minutes to compute and no disk space, for a run that the test ends."""
    found = []
    for name, dtype, shape in (("l.npy", "<f4", (rows, classes)), ("y.npy", "|i1", (rows,))):
        with (folder / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
            os.truncate(file.fileno(), file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        found.append(folder / name)
    return tuple(found)
