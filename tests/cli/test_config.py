"""Options from a file and from the environment, and which of them wins."""

import json
import os
import subprocess
import sys

import click
import numpy as np
import pytest

from tests import forked
from xent_cli.cli import _COMMANDS, cli
from xent_cli.cli.config import _options

MEAN = "1.4076059644443801\n"
SUM = "2.8152119288887603\n"


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "l.npy", np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    np.save(tmp_path / "y.npy", np.array([2, 0]))
    return tmp_path


def xent(folder, *args, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith("XENT_")} | variables
    return forked.xent(*args, cwd=folder, env=env)


def compute(folder, *args, **variables):
    return xent(folder, "compute", "l.npy", "y.npy", "-q", *args, **variables)


def test_the_command_line_overrides_the_environment_that_the_file_and_that_the_default(folder):
    assert compute(folder).stdout.startswith("sample\tlabel\tloss\n")
    (folder / "xent.toml").write_text('[compute]\nreduction = "mean"\n')
    assert compute(folder).stdout == MEAN
    assert compute(folder, XENT_COMPUTE_REDUCTION="sum").stdout == SUM
    assert compute(folder, "--reduction", "mean", XENT_COMPUTE_REDUCTION="sum").stdout == MEAN


def test_the_nearest_file_upwards_counts_and_of_two_in_a_folder_xents_own(folder):
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    for name in ("l.npy", "y.npy"):
        (inner / name).symlink_to(folder / name)
    (folder / "pyproject.toml").write_text('[tool.xent.compute]\nreduction = "sum"\n')
    (folder / "a" / "pyproject.toml").write_text('[project]\nname = "xent is not configured here"\n')
    assert compute(inner).stdout == SUM
    (folder / "xent.toml").write_text('[compute]\nreduction = "mean"\n')
    assert compute(inner).stdout == MEAN
    (folder / "a" / "pyproject.toml").write_text("[tool.xent]\n")
    assert compute(inner).stdout.startswith("sample\t")


@pytest.mark.parametrize(
    ("name", "text"),
    [("other.toml", '[compute]\nreduction = "sum"'), ("pyproject.toml", '[tool.xent.compute]\nreduction = "sum"')],
)
def test_a_file_can_be_named_on_the_command_line_or_by_environment(folder, name, text):
    (folder / "xent.toml").write_text('[compute]\nreduction = "mean"\n')
    (folder / "conf").mkdir()
    (folder / "conf" / name).write_text(text)
    assert compute(folder, "--config", f"conf/{name}").stdout == SUM
    assert compute(folder, XENT_COMPUTE_CONFIG=f"conf/{name}").stdout == SUM


def test_every_kind_of_option_can_be_set(folder):
    (folder / "xent.toml").write_text(
        '[compute]\nformat = "json"\nlabel-smoothing = 0.5\ntemperature = 2\ntop-k = [1, 2]\nprogress = false\n'
        'overflow-report = true\nreport = ["a.json", "md:b"]\nthreads = 1\n[check]\nmax = "bits=1"\n'
    )
    document = json.loads(compute(folder).stdout)
    assert "smoothing:0.5" in document["signature"]
    assert "temperature:2.0" in document["signature"]
    assert {"accuracy", "top_2_accuracy"} <= set(document["summary"])
    assert document["overflow"]
    assert (folder / "a.json").exists()
    assert (folder / "b").read_text().startswith("## xent")
    assert xent(folder, "check", "l.npy", "y.npy").returncode == 1


def test_limits_on_the_command_line_stand_in_for_those_of_the_file(folder):
    (folder / "xent.toml").write_text('[check]\nmax = ["bits=1", "mean_loss=1"]\n')
    assert xent(folder, "check", "l.npy", "y.npy", "-q").stdout.count("FAIL") == 2
    assert xent(folder, "check", "l.npy", "y.npy", "-q", "--max", "bits=9").returncode == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[comput]\nthreads = 1", "did you mean compute"),
        ("[zzz]\nthreads = 1", "tables are named after commands: compute, check"),
        ("threads = 1", "unknown table or key threads"),
        ("compute = 1", "expected a table [compute]"),
        ("[compute]\nthread = 1", "did you mean threads"),
        ("[check]\nmaxx = []", "did you mean max"),
        ("[compute]\noutput_format = 'json'", "[compute] has no key output_format"),
        ("[compute]\nlogits = 'l.npy'", "has no key logits"),
        ("[compute]\nconfig = 'x'", "has no key config"),
        ("[compute]\nthreads = '1'", "found '1', expected a whole number"),
        ("[compute]\nthreads = true", "expected a whole number"),
        ("[compute]\nthreads = 0", "not in the range"),
        ("[compute]\nthreads = [1]", "expected a whole number"),
        ("[compute]\ntop-k = ['1']", "expected a whole number"),
        ("[compute]\nlabel-smoothing = 'much'", "expected a number"),
        ("[compute]\nquiet = 1", "expected true or false"),
        ("[compute]\nheader = 'no'", "expected true or false"),
        ("[compute]\nreduction = 'median'", "'median' is not one of"),
        ("[check]\nmax = [0.5]", "expected a text"),
        ("[compute", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_unknown_options_and_wrong_types_are_refused_with_the_valid_ones(folder, text, told):
    (folder / "xent.toml").write_bytes(text.encode("latin-1"))
    run = compute(folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert told in run.stderr
    assert "xent.toml" in run.stderr


def test_unknown_options_in_pyproject_are_refused_too(folder):
    (folder / "pyproject.toml").write_text("[tool.xent.compute]\nthread = 1")
    run = compute(folder)
    assert (run.returncode, run.stdout) == (2, "")
    assert "pyproject.toml: [compute] has no key thread" in run.stderr


@pytest.mark.parametrize(("name", "text"), [("no.toml", None), ("pyproject.toml", "[project]\nname = 'x'\n")])
def test_a_named_file_must_be_there_and_be_about_xent(folder, name, text):
    if text is not None:
        (folder / name).write_text(text)
    assert compute(folder, "--config", name).returncode == 2


def test_help_is_given_whatever_the_file_says(folder):
    (folder / "xent.toml").write_text("[compute")
    assert xent(folder, "compute", "--help").returncode == 0
    assert xent(folder, "--help").returncode == 0


def test_every_option_of_every_command_has_its_own_name_as_variable():
    context = click.Context(cli)
    for name in _COMMANDS:
        for key, option in _options(cli.get_command(context, name)).items():
            own = f"XENT_{name}_{key}".upper().replace("-", "_")
            assert option.envvar == ([own, "XENT_KERNEL"] if key == "kernel" else own)
            assert f"--{key}" in option.opts


def test_variables_repeat_an_option_by_spaces_and_switch_flags_on_and_off(folder):
    run = compute(
        folder,
        XENT_COMPUTE_FORMAT="json",
        XENT_COMPUTE_TOP_K="1 3",
        XENT_COMPUTE_REPORT="a.json md:b",
        XENT_COMPUTE_LABELS="sparse",
        XENT_COMPUTE_FROM="logits",
        XENT_COMPUTE_OVERFLOW_REPORT="1",
    )
    document = json.loads(run.stdout)
    assert {"accuracy", "top_3_accuracy"} <= set(document["summary"])
    assert {"a.json", "b"} <= {path.name for path in folder.iterdir()}
    assert "overflow" in document
    off = compute(folder, XENT_COMPUTE_FORMAT="json", XENT_COMPUTE_OVERFLOW_REPORT="0")
    assert "overflow" not in json.loads(off.stdout)
    limits = xent(folder, "check", "l.npy", "y.npy", "-q", XENT_CHECK_MAX="bits=1 mean_loss=9")
    assert limits.returncode == 1
    assert limits.stdout.count("\tmax\t") == 2


def test_a_variable_that_is_not_a_number_is_named(folder):
    run = compute(folder, XENT_COMPUTE_THREADS="many")
    assert run.returncode == 2
    assert "--threads" in run.stderr


def test_files_about_something_else_cost_no_parser(folder):
    (folder / "pyproject.toml").write_text('[project]\nname = "other"\n')
    script = (
        "import sys\nfrom xent_cli.cli import main\ntry:\n    main()\nfinally:\n    print('tomllib' in sys.modules)\n"
    )
    args = [sys.executable, "-c", script, "compute", "l.npy", "y.npy", "--reduction", "mean"]
    run = subprocess.run(args, cwd=folder, capture_output=True, text=True, check=True)
    assert run.stdout == f"{MEAN}False\n"


NOTE = "note: options are taken from {}; --config names another file [config-found]\n"


def test_a_file_that_was_found_is_named_unless_it_changes_nothing_or_xent_is_quiet(folder):
    path = folder / "xent.toml"
    path.write_text('[compute]\nreduction = "mean"\n')
    assert xent(folder, "compute", "l.npy", "y.npy").stderr == NOTE.format(path)
    assert compute(folder).stderr == ""
    assert xent(folder, "compute", "l.npy", "y.npy", "--config", "xent.toml").stderr == ""
    assert "note" not in xent(folder, "inspect", "l.npy", "y.npy").stderr


FOUND = {
    "compute": ['threads = 1\nplot = "p.svg"', "l.npy", "y.npy", "-f", "json"],
    "check": ["threads = 1\nexit-zero = true", "l.npy", "y.npy", "--max", "mean_loss=99", "-f", "json"],
    "verify": ['threads = 1\nscheduler = "x:1"', "l.npy", "y.npy", "--loss", "rows.tsv", "-f", "json"],
    "inspect": ['threads = 1\nclass-names = "s3://b/x"', "l.npy", "y.npy", "-f", "json"],
}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_found_file_changed_is_on_stderr_once_and_in_the_document(folder, name):
    assert compute(folder, "-o", "rows.tsv").returncode == 0
    table, *arguments = FOUND[name]
    (folder / "xent.toml").write_text(f"[{name}]\n{table}\n")
    run = xent(folder, name, *arguments)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert "config-found" in [entry["code"] for entry in document["notes"]]
    assert "config-ignored" in [entry["code"] for entry in document["warnings"]]
    assert run.stderr.count("[config-found]") == run.stderr.count("[config-ignored]") == 1


def test_a_comparison_lists_which_file_its_options_came_from(folder):
    assert compute(folder, "-o", "rows.tsv").returncode == 0
    (folder / "xent.toml").write_text("[compare]\nconfidence = 0.9\n")
    run = xent(folder, "compare", "rows.tsv", "rows.tsv", "-f", "json")
    assert run.returncode == 0, run.stderr
    assert "config-found" in [entry["code"] for entry in json.loads(run.stdout)["notes"]]
    assert run.stderr.count("[config-found]") == 1


@pytest.mark.parametrize("suffix", ["md", "html", "xml", "json"])
def test_every_report_lists_what_of_a_file_that_was_found_is_ignored(folder, suffix):
    (folder / "xent.toml").write_text('[compute]\nthreads = 1\nplot = "p.svg"\n')
    assert compute(folder, "--report", f"r.{suffix}").returncode == 0
    text = (folder / f"r.{suffix}").read_text()
    assert "config-found" in text
    assert "config-ignored" in text


@pytest.mark.parametrize("name", FOUND)
def test_a_variable_that_is_no_option_is_warned_of_in_every_command(folder, name):
    assert compute(folder, "-o", "rows.tsv").returncode == 0
    _, *arguments = FOUND[name]
    wrong = f"XENT_{name.upper()}_THREDS"
    run = xent(folder, name, *arguments, **{wrong: "2", "XENT_OTHER_THREDS": "2"})
    assert run.returncode == 0, run.stderr
    (warning,) = [each for each in json.loads(run.stdout)["warnings"] if each["code"] == "unknown-variable"]
    assert warning["message"].startswith(f"the environment variable {wrong} is no option of xent {name}")
    assert run.stderr.count("[unknown-variable]") == 1


def test_a_variable_that_is_no_option_is_an_error_where_warnings_are(folder):
    run = compute(folder, "--strict", XENT_COMPUTE_REDUCTON="mean")
    assert (run.returncode, run.stdout) == (3, "")
    assert "did you mean XENT_COMPUTE_REDUCTION?" in run.stderr


def test_every_option_has_a_variable_that_is_known(folder):
    (folder / "empty.toml").touch()
    run = compute(folder, "--strict", XENT_COMPUTE_CONFIG="empty.toml", XENT_COMPUTE_FROM="logits", XENT_KERNEL="numpy")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["compute", "check", "verify"])
def test_an_option_that_is_ignored_is_an_error_where_warnings_are(folder, name):
    assert compute(folder, "-o", "rows.tsv").returncode == 0
    table, *arguments = FOUND[name]
    (folder / "xent.toml").write_text(f"[{name}]\n{table}\n")
    run = xent(folder, name, *arguments, "--strict")
    assert run.returncode == 3
    assert "[config-ignored]" in run.stderr
    (folder / "xent.toml").write_text(f"[{name}]\nthreads = 1\n")
    assert xent(folder, name, *arguments, "--strict").returncode == 0


def test_nothing_above_the_root_of_a_repository_is_looked_at(folder):
    (folder / "xent.toml").write_text('[compute]\nreduction = "sum"\n')
    inner = folder / "repository" / "inner"
    inner.mkdir(parents=True)
    for name in ("l.npy", "y.npy"):
        (inner / name).symlink_to(folder / name)
    assert compute(inner).stdout == SUM
    (folder / "repository" / ".git").mkdir()
    assert compute(inner).stdout.startswith("sample")
    (folder / "repository" / "xent.toml").write_text('[compute]\nreduction = "mean"\n')
    assert compute(inner).stdout == MEAN


IGNORED = {
    "output": ('output = "out.tsv"', "out.tsv"),
    "gradients": ('gradients = "g.npy"', "g.npy"),
    "plot": ('plot = "p.svg"', "p.svg"),
    "scheduler": ('scheduler = "tcp://192.0.2.1:8786"', None),
    "class-weight": ('class-weight = "http://192.0.2.1/w.npy"', None),
    "sample-weight": ('sample-weight = "s3://bucket/w.npy"', None),
}


@pytest.mark.parametrize("key", IGNORED)
@pytest.mark.parametrize("where", [".", "inner"])
def test_options_that_write_or_fetch_are_ignored_in_a_file_that_was_not_named(folder, key, where):
    line, written = IGNORED[key]
    (folder / "inner").mkdir()
    for name in ("l.npy", "y.npy"):
        (folder / "inner" / name).symlink_to(folder / name)
    (folder / "xent.toml").write_text(f"[compute]\n{line}\n")
    run = xent(folder / where, "compute", "l.npy", "y.npy", "--reduction", "mean")
    assert (run.returncode, run.stdout) == (0, MEAN)
    assert f'warning: {folder / "xent.toml"}: "{key}" of [compute] is ignored' in run.stderr
    assert written is None or not list(folder.rglob(written))


def test_a_named_file_may_write(folder):
    (folder / "xent.toml").write_text('[compute]\noutput = "out.tsv"\n')
    assert compute(folder, "--config", "xent.toml").returncode == 0
    assert (folder / "out.tsv").exists()


def test_reports_and_a_baseline_are_taken_from_the_working_directory_and_not_from_above(folder):
    assert compute(folder, "--report", "base.json").returncode == 0
    text = '[check]\nreport = "seen.md"\nbaseline = "base.json"\nmax-increase = "mean_loss=0"\n'
    (folder / "xent.toml").write_text(text)
    run = xent(folder, "check", "l.npy", "y.npy")
    assert run.returncode == 0
    assert "config-ignored" not in run.stderr
    assert (folder / "seen.md").exists()
    inner = folder / "inner"
    inner.mkdir()
    for name in ("l.npy", "y.npy", "base.json"):
        (inner / name).symlink_to(folder / name)
    run = xent(inner, "check", "l.npy", "y.npy")
    assert run.returncode == 2
    assert '"report", "baseline" of [check] are ignored' in run.stderr
    assert not (inner / "seen.md").exists()


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_a_file_that_was_found_never_turns_a_red_gate_green(folder, quiet):
    (folder / "xent.toml").write_text("[check]\nexit-zero = true\n")
    run = xent(folder, "check", "l.npy", "y.npy", "--max", "mean_loss=0.001", *quiet)
    assert run.returncode == 1
    assert '"exit-zero" of [check] is ignored' in run.stderr


def _huge(path):
    path.write_text("[tool.xent.compute]\n" + "# more\n" * 200_000)


def _endless(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _huge, _endless])
@pytest.mark.parametrize("name", ["xent.toml", "pyproject.toml"])
def test_a_configuration_that_is_a_pipe_or_huge_is_never_waited_for(folder, make, name):
    make(folder / name)
    run = compute(folder, "--reduction", "mean")
    passed_over = name == "pyproject.toml" and make is not _huge
    assert run.returncode == (0 if passed_over else 3)
    assert passed_over or f"cannot read the configuration\n  {folder / name}: found " in run.stderr
    assert compute(folder, "--config", name).returncode == 3
