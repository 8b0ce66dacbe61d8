"""Private parts of other packages that we use: each still exists, and works as we use it.

If a new version changes one of these, a test fails here instead of a run.
"""

import asyncio
import atexit
import subprocess
import sys

import click
import pytest

from tests.click_runner import runner
from xent_cli.cli.display.usage import _KINDS


def test_atexit_runs_the_registered_functions_when_asked():
    code = "import atexit, os; atexit.register(print, 'done', flush=True); atexit._run_exitfuncs(); os._exit(5)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (5, "done\n")
    assert callable(atexit._run_exitfuncs)


def test_distributed_has_spans_among_the_extensions_of_a_scheduler_and_takes_others():
    scheduler = pytest.importorskip("distributed.scheduler")
    assert "spans" in scheduler.DEFAULT_EXTENSIONS
    kept = {name: kind for name, kind in scheduler.DEFAULT_EXTENSIONS.items() if name != "spans"}

    async def make():
        return scheduler.Scheduler(extensions=kept, dashboard=False)

    made = asyncio.run(make())
    assert "spans" not in made.extensions
    assert set(made.extensions) <= set(kept)


def test_an_s3_file_system_of_pyarrow_can_be_made_again_from_what_pickle_would_send():
    fs = pytest.importorskip("pyarrow.fs")
    opened, path = fs.FileSystem.from_uri("s3://key:secret@bucket/l.npy?endpoint_override=localhost:1&scheme=http")
    _, (options,) = opened.__reduce__()
    options = {name: value for name, value in options.items() if value != ""}
    assert options["endpoint_override"] == "localhost:1"
    assert options["scheme"] == "http"
    again = fs.S3FileSystem(**options)
    assert again.equals(opened)
    assert path == "bucket/l.npy"
    retry = fs.AwsStandardS3RetryStrategy(max_attempts=2)
    assert isinstance(
        fs.S3FileSystem(**{**options, "request_timeout": 2.0, "connect_timeout": 2.0, "retry_strategy": retry}),
        fs.S3FileSystem,
    )


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        (click.INT, "is not a valid integer"),
        (click.IntRange(min=1), "is not a valid integer range"),
        (click.FLOAT, "is not a valid float"),
        (click.FloatRange(min=1), "is not a valid float range"),
    ],
)
def test_click_ends_its_messages_about_numbers_as_we_look_for_them(kind, ending):
    with pytest.raises(click.BadParameter) as caught:
        kind.convert("many", None, None)
    assert caught.value.message.rstrip(".").endswith(ending)
    assert ending in _KINDS


def test_click_says_that_an_option_requires_a_value():
    @click.command
    @click.option("--top", type=int)
    def command(top):
        """Do nothing."""

    with pytest.raises(click.BadOptionUsage, match="requires") as caught, command.make_context("command", ["--top"]):
        pass
    assert caught.value.option_name == "--top"


def test_click_shows_the_help_of_a_group_without_a_command_under_the_name_we_look_for():
    @click.group
    def group():
        """Do nothing."""

    with pytest.raises((click.ClickException, click.exceptions.Exit)) as caught:
        group.make_context("group", [])
    assert caught.typename in ("NoArgsIsHelpError", "Exit")  # click 8.1 has printed the help, and exits
    assert "Usage: group" in runner().invoke(group, []).output
