"""Run a command and print its wall clock and peak memory, from a process that is itself too small to matter.

The peak that the system reports for a child begins at what its parent held when it was started: the harness, with
frameworks and arrays in memory, cannot measure it.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run ``sys.argv[2:]`` with standard output into the file ``sys.argv[1]``."""
    begun = time.perf_counter()
    child = os.posix_spawnp(
        sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, sys.argv[1], os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begun
    scale = 1 if sys.platform == "darwin" else 1024
    exit_code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"seconds": seconds, "peak": usage.ru_maxrss * scale, "exit": exit_code}))


if __name__ == "__main__":
    main()
