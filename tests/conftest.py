"""Settings of the whole suite."""

import sys
from pathlib import Path

from hypothesis import settings

# However pytest is started, tests find the oracles as `tests.oracles`; last, so that an installed package is tested.
sys.path.append(str(Path(__file__).parents[1]))

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("suite")
