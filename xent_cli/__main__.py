"""The entry point of `xent` and of `python -m xent_cli`."""

from __future__ import annotations

import sys

try:
    from xent_cli import start
except KeyboardInterrupt:
    sys.stderr.write("interrupted\n")
    sys.exit(130)


def main() -> None:
    """Run the command line and exit."""
    start.handle_signals()
    start.set_up_process()  # before the imports, which create most of the objects of a short run
    try:
        from xent_cli.cli import main as run
    except Exception as error:
        sys.exit(_cannot_start(error))
    try:
        run()
    except SystemExit as end:
        start.exit_now(end.code if isinstance(end.code, int) else 4)


def _cannot_start(error: Exception) -> int:
    """Say so if standard error is open, and return the exit code."""
    if sys.stderr is not None:
        sys.stderr.write(f"error: xent cannot start: {error}\n")
    return 4


if __name__ == "__main__":
    main()
