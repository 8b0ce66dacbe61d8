"""Options of a command, resolved to what the layers below take."""

from contextlib import contextmanager

import pytest

from xent_cli import start
from xent_cli.cli.options import RunFlags
from xent_cli.cli.runs.resolve_options import open_engine


@pytest.fixture
def addresses(monkeypatch):
    """Addresses at which clusters are opened; none is started, and this process stays as it is."""
    opened = []

    @contextmanager
    def noted(address, workers):
        opened.append(address)
        yield

    monkeypatch.setattr("xent_cli.engines.dask.open_dask", noted)
    monkeypatch.setattr("xent_cli.engines.ray.open_ray", noted)
    for name in ("handle_signals", "set_up_workers"):
        monkeypatch.setattr(start, name, lambda: None)
    for name in ("DASK_SCHEDULER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return opened


VARIABLES = [("dask", "DASK_SCHEDULER_ADDRESS"), ("ray", "RAY_ADDRESS")]


@pytest.mark.parametrize(("engine", "variable"), VARIABLES)
@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (None, None, None),
        (None, "", None),
        (None, "tcp://there:1", "tcp://there:1"),
        ("tcp://here:2", "tcp://there:1", "tcp://here:2"),
    ],
)
def test_the_environment_says_where_a_cluster_is_unless_an_option_does(
    engine, variable, option, value, expected, addresses, monkeypatch
):
    if value is not None:
        monkeypatch.setenv(variable, value)
    with open_engine(RunFlags(engine=engine, scheduler=option)):
        pass
    assert addresses == [expected]
