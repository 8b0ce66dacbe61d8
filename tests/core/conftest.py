import pytest

from tests.running_kernel import CHOSEN, KERNELS


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request):
    """Runs the tests of a file with each kernel: its laws are those of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CHOSEN, "kernel", request.param)
        yield request.param
