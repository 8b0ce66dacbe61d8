"""Files and folders to remove if the run is stopped: outputs that are not complete, and local copies of inputs.

Each is registered before it is created, so that a signal finds it at any moment. After a successful run none are left.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

# How often to try to remove a folder that threads may still write to.
_TRIES = 20
_paths: dict[str, None] = {}


def begin(path: str) -> None:
    """Register a file or folder that is about to be created."""
    _paths[path] = None


def end(path: str) -> None:
    """Unregister one that is complete or gone."""
    _paths.pop(path, None)


def remove_all() -> None:
    """Remove all that are registered, as far as possible.

    This imports nothing, because it may be called during an import.
    """
    for path in list(_paths):
        with suppress(OSError):
            _remove(path)
        end(path)


def _remove(path: str) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)  # noqa: PTH108 (no object for what is a string)
        return
    # Threads that are still running may add a file in the meantime.
    for _ in range(_TRIES):
        for entry in os.listdir(path):  # noqa: PTH208
            with suppress(OSError):
                os.unlink(os.path.join(path, entry))  # noqa: PTH108, PTH118
        with suppress(OSError):
            os.rmdir(path)  # noqa: PTH106
            return
