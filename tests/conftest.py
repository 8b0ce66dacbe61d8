"""Settings of the whole suite."""

import atexit
import compileall
import os
import shutil
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

import xent_cli

# However pytest is started, tests find the oracles as `tests.oracles`; last, so that an installed package is tested.
sys.path.append(str(Path(__file__).parents[1]))

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("suite")


def pytest_configure(config):
    """Prepare, once for all test processes, a folder for temporary files, and bytecode."""
    if hasattr(config, "workerinput"):
        # This runs last at exit. Threads of tests may still wait in Arrow's S3 library, which aborts the process when
        # it is unloaded.
        atexit.register(os._exit, 0)
        return
    _keep_temporary_files_together()
    # If Python does not write bytecode, each of some hundred processes would compile the package.
    if sys.dont_write_bytecode:
        compileall.compile_dir(Path(xent_cli.__file__).parent, quiet=2)


def _keep_temporary_files_together():
    """Set a temporary folder for the suite, which is removed at the end.

    A command removes its copies of piped input when Python exits, but test workers that run it in their own process do
    not exit then. The name is short, because paths of sockets are; `tmp_path` stays where pytest keeps it.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="xent-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # workers and commands inherit the variable
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # runs after everything that the tests register


def pytest_collection_modifyitems(items):
    """Run slow tests first, so that the last worker is not left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
