import pytest

from tests.running_kernel import CHOSEN, KERNELS


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request):
    """Run the tests of a file with each kernel, because the same laws hold for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CHOSEN, "kernel", request.param)
        yield request.param
