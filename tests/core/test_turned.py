import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from xent_cli.core.kernel.turned import turn


@given(
    lead=st.sampled_from([(), (1,), (3,)]),
    k=st.integers(1, 140),
    n=st.integers(1, 140),
    dtype=st.sampled_from(["i1", "<f2", ">f4", "<f4", "<f8", "V2", "?"]),
    room=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    seed=st.integers(0, 2**32 - 1),
)
@example(lead=(), k=64, n=64, dtype="<f4", room=(0, 0), seed=0)
@example(lead=(2,), k=100, n=100, dtype="<f2", room=(1, 3), seed=0)
def test_axes_are_swapped_and_nothing_beside_them_is_written(lead, k, n, dtype, room, seed):
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    bits = rng.integers(0, 2 if dtype.kind == "?" else 256, (*lead, k, n + room[0], dtype.itemsize), np.uint8)
    source = bits.view(dtype)[..., :n, 0]
    memory = np.full((*lead, n, k + room[1], dtype.itemsize), 1, np.uint8)
    target = memory.view(dtype)[..., :k, 0]
    turn(source, target.swapaxes(-1, -2))
    assert target.tobytes() == source.swapaxes(-1, -2).tobytes()
    assert (memory[..., k:, :] == 1).all()
