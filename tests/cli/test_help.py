"""The text of `--help`: each option once, in a sentence that makes sense by itself, and examples that parse."""

import re
import shlex

import click
import pytest

from xent_cli.cli import _COMMANDS, cli
from xent_cli.cli import options as typed
from xent_cli.cli.commands.help import Command
from xent_cli.cli.runs.calibrate import FitFlags
from xent_cli.cli.runs.check import LimitFlags
from xent_cli.cli.runs.compare import CompareOptions
from xent_cli.cli.runs.inspect import InspectOptions
from xent_cli.cli.runs.verify import CandidateFlags

GROUPS = {
    "compute": (),
    "check": (LimitFlags,),
    "compare": (CompareOptions,),
    "verify": (CandidateFlags,),
    "calibrate": (FitFlags,),
    "inspect": (InspectOptions,),
}
# Words that only make sense after the name of the option.
DEPENDENT = ("Of", "In", "For", "The same", "Default")


def command(name):
    found = cli.get_command(click.Context(cli), name)
    assert isinstance(found, Command)
    return found


def options(name):
    return [entry for entry in command(name).params if isinstance(entry, click.Option)]


@pytest.fixture(params=_COMMANDS)
def name(request):
    return request.param


def test_every_help_line_makes_sense_without_its_left_column(name):
    for option in options(name):
        assert re.match(r"[A-Z(].*[.]$", option.help, re.DOTALL), option.name
        assert not option.help.startswith(tuple(f"{word} " for word in DEPENDENT)), option.name


def test_the_examples_come_first_then_the_most_used_options_and_each_option_occurs_once(name):
    context = click.Context(command(name), info_name=f"xent {name}")
    page = command(name).get_help(context)
    titles = re.findall(r"^(\w.*):$", page, re.MULTILINE)
    assert titles[:2] == ["Examples", "Most used"]
    assert titles[-1] == "General"
    first = page.split("Most used:")[1].split("\n\n")[0]
    assert len(command(name).most_used) == 5
    for option in options(name):
        long = max(option.opts, key=len)
        listed = re.findall(rf"^  (?:-\w, )?{long}(?![\w-])", page, re.MULTILINE)
        assert len(listed) == 1, long
        assert (option.name in command(name).most_used) == bool(re.search(rf"{long}(?![\w-])", first)), long


def test_every_example_parses(name):
    examples = command(name).examples
    assert examples
    for example in examples:
        (line,) = re.findall(r"xent .*?(?= [|] |$)", example.replace("$GITHUB_STEP_SUMMARY", "summary"))
        _, called, *words = shlex.split(line)
        command(called).make_context(called, words, resilient_parsing=True)
        parser = command(called).make_parser(click.Context(command(called)))
        _, rest, _ = parser.parse_args(list(words))
        assert not rest, example


def test_every_option_becomes_a_typed_field(name):
    groups = (typed.InputFlags, typed.LayoutFlags, typed.LossFlags, typed.OutputFlags, typed.RunFlags, *GROUPS[name])
    fields = {field for group in groups for field in group._fields}
    # --timeout is handled by its callback, and --config before all other options.
    taken = {"timeout", "config"}
    assert {entry.name for entry in command(name).params} - taken <= fields
