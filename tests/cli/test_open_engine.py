"""The address of the cluster that a command runs on."""

import pytest

from xent_cli.cli.options import RunFlags
from xent_cli.cli.runs.open_engine import cluster_address

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
def test_the_environment_says_where_a_cluster_is_unless_an_option_does(engine, variable, option, value, expected):
    environment = {"HOME": "/home/me"} | ({} if value is None else {variable: value})
    assert cluster_address(RunFlags(engine=engine, scheduler=option), environment) == expected
