"""What must not outlive a run that is stopped: files and folders that are not in their places yet, and copies to read.

Known here before they are there, so that a signal at any moment finds them; what a run ends well it takes off itself.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

# Of removing a folder into which threads may still write.
_TRIES = 20
_paths: dict[str, None] = {}


def begin(path: str) -> None:
    """Note a file or folder that is about to be made."""
    _paths[path] = None


def end(path: str) -> None:
    """Note that it is gone, or is where it belongs."""
    _paths.pop(path, None)


def remove_all() -> None:
    """Remove whatever is left; what cannot be removed stays. Imports nothing: it may be called in mid-import."""
    for path in list(_paths):
        with suppress(OSError):
            _remove(path)
        end(path)


def _remove(path: str) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)  # noqa: PTH108 (no object for what is a string)
        return
    # Threads that still run may add a part meanwhile.
    for _ in range(_TRIES):
        for entry in os.listdir(path):  # noqa: PTH208
            with suppress(OSError):
                os.unlink(os.path.join(path, entry))  # noqa: PTH108, PTH118
        with suppress(OSError):
            os.rmdir(path)  # noqa: PTH106
            return
