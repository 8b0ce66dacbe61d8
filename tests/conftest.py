"""Settings of the whole suite."""

import compileall
import sys
from pathlib import Path

from hypothesis import settings

import xent_cli

# However pytest is started, tests find the oracles as `tests.oracles`; last, so that an installed package is tested.
sys.path.append(str(Path(__file__).parents[1]))

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("suite")


def pytest_configure(config):
    """Compile the package once where Python keeps no bytecode, as each of some hundred processes would otherwise do."""
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(xent_cli.__file__).parent, quiet=2)


def pytest_collection_modifyitems(items):
    """Begin with the slow ones: with two workers, neither is left alone with them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
