"""Losses and gradients have the stored bits on every machine."""

import pytest

from tests.oracles.kernel_bits import differences
from xent_cli.core.kernel.variants import variants


@pytest.mark.parametrize("variant", variants())
def test_every_instruction_set_gives_the_bits_that_are_stored(variant):
    assert differences(f"c-{variant}") == []
