import io

import numpy as np
import pytest

from xent_cli.readers.storage.held_ends import HeldEnds

RNG = np.random.default_rng(11)


class Counted(io.BytesIO):
    reads = 0

    def read(self, size=-1):
        self.reads += 1
        return super().read(size)

    def readinto(self, target):
        self.reads += 1
        return super().readinto(target)


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 100_000, 131_072, 400_000])
def test_reads_at_any_offset_return_the_bytes_there(size):
    content = RNG.bytes(size)
    with HeldEnds(Counted(content)) as held:
        for _ in range(200):
            place, length = (int(number) for number in RNG.integers(0, [size + 10, 3000]))
            assert held.seek(place) == place == held.tell()
            found = held.read(length)
            assert content[place : place + len(found)] == found
            assert found or length == 0 or place >= size
        assert held.seek(0, io.SEEK_END) == size
        assert held.seek(-size, io.SEEK_CUR) == 0
        assert held.readall() == content
        with pytest.raises(ValueError, match="before the beginning"):
            held.seek(-1)


def test_each_end_is_requested_once():
    file = Counted(bytes(1_000_000))
    with HeldEnds(file) as held:
        for _ in range(50):
            for place in RNG.integers(0, 60_000, 3):
                held.seek(int(place))
                held.read(100)
                held.seek(-int(place), io.SEEK_END)
                held.read(100)
        assert file.reads == 2
    assert file.closed
