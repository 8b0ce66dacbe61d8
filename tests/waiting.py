"""Waiting for what another process does: for as long as a busy machine may need, and never in vain without a word."""

import os
import time

import numpy as np

# A guard against waiting for ever, not a measure: nothing that is right takes as long on the slowest machine.
PATIENCE_SECONDS = 120


def until(found, expected, seen=lambda: "nothing"):
    """Return what `found()` gives as soon as it is true; fail with what was `seen` in place of what was expected."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_SECONDS} s for {expected}; there is {seen()!r}")
        time.sleep(0.01)
    return value


def names(folder):
    """What lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def endless(folder, rows, classes):
    """Logits and labels that take minutes to compute, and no room on the disk: whoever waits for a run ends it."""
    found = []
    for name, dtype, shape in (("l.npy", "<f4", (rows, classes)), ("y.npy", "|i1", (rows,))):
        with (folder / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
            os.truncate(file.fileno(), file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        found.append(folder / name)
    return tuple(found)
