"""What a run sets for its whole process, all in one place: nothing below cli changes more than its own values.

Signals and standard streams are `xent_cli.start`, which comes before any import.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress

# Imported modules live until exit and arrays form no reference cycles, so the default of a collection every 700
# allocations only costs time: 5 % of a short run.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
# glibc returns only larger pieces of memory to the system: its names for a process that starts, and its numbers for
# one that runs. Memory that is returned and asked for again comes as new pages of zeros, a fifth of the time of a run.
_GLIBC = (("MALLOC_TRIM_THRESHOLD_", -1, 1 << 28), ("MALLOC_MMAP_THRESHOLD_", -3, 1 << 25))


def set_up() -> None:
    """Settings of every run; libraries read the environment when they are imported."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    # OpenBLAS would start a thread per core, each of which looks for work for a tenth of a second; there is none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pictures are written to files: the back end of a window or a notebook may not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    # The AWS SDK would hash every range it reads, a fifth of a second per GB, and has checksums of whole objects only.
    os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")


def keep_memory() -> None:
    """Let this process keep the memory of a task for the next one; without glibc nothing is done."""
    import ctypes  # which NumPy has imported

    with suppress(OSError, TypeError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for _, number, size in _GLIBC:
            mallopt(number, size)


def set_up_workers() -> None:
    """Settings of worker processes that this process starts, which inherit its environment."""
    for name, _, size in _GLIBC:
        os.environ.setdefault(name, str(size))
    # Arrow's allocator.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "-1")
    # Ray warns about a change in how it hides GPUs from tasks, none of which uses one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
