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
    """Do once what is for all processes of the tests: a folder for what they leave, and bytecode."""
    if hasattr(config, "workerinput"):
        # The last thing at exit. Threads of tests may still wait in Arrow's S3 library, which aborts as it is unloaded.
        atexit.register(os._exit, 0)
        return
    _keep_temporary_files_together()
    # Where Python keeps no bytecode, each of some hundred processes would otherwise compile the package.
    if sys.dont_write_bytecode:
        compileall.compile_dir(Path(xent_cli.__file__).parent, quiet=2)


def _keep_temporary_files_together():
    """Set a temporary folder for the suite, which is removed at the end.

    A command removes its copies of what is piped in as Python exits, which workers that run it in their own process do
    not. The name is short, because paths of sockets are; `tmp_path` stays where pytest keeps it.
    """
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="xent-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # workers and commands inherit the former
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after all that the tests register


def pytest_collection_modifyitems(items):
    """Begin with the slow ones: with two workers, neither is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
