"""The recipes of docs/ci.md and the action: they pass with the same model, and fail with a worse one."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import forked

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()
SAMPLE = ROOT / "sample_data"


def block(heading):
    """Return the first fenced block below a heading of the page."""
    below = PAGE.partition(f"\n## {heading}\n")[2]
    return re.search(r"^```\w+\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)[1]


def github():
    (job,) = yaml.safe_load(block("GitHub Actions"))["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab():
    (job,) = yaml.safe_load(block("GitLab CI")).values()
    return job["script"]


def makefile():
    Path("Makefile").write_text(block("Makefile"))
    return ["make check"]


def dvc():
    return [stage["cmd"] for stage in yaml.safe_load(block("DVC"))["stages"].values()]


def precommit():
    (hook,) = yaml.safe_load(block("pre-commit"))["repos"][0]["hooks"]
    (defined,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == defined["id"]
    return [shlex.join([*defined["entry"].split(), *hook["args"]])]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write a model's outputs and their baseline into a folder, which is the working directory of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", forked.path())
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path / "runner"))
    shutil.copy(SAMPLE / "digits_logits.npy", "logits.npy")
    shutil.copy(SAMPLE / "digits_labels.npy", "labels.npy")
    (tmp_path / "summary").write_text("before\n")
    made = run("xent compute logits.npy labels.npy --reduction mean --report baseline.json")
    assert made.returncode == 0
    return tmp_path


def run(line):
    # GitHub and GitLab run lines like this: the first one that fails ends the job.
    return subprocess.run(["bash", "-eo", "pipefail", "-c", line], capture_output=True, text=True, check=False)


def get_worse(folder):
    shutil.copy(SAMPLE / "digits_worse_logits.npy", folder / "logits.npy")


without_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.mark.parametrize("recipe", [github, gitlab, pytest.param(makefile, marks=without_make), dvc, precommit])
def test_a_recipe_passes_with_the_same_model_and_fails_with_one_that_got_worse(recipe, folder):
    lines = [line for line in recipe() if not line.startswith("pip install")]
    assert lines
    for line in lines:
        assert run(line).returncode == 0, line
    get_worse(folder)
    runs = [run(line) for line in lines]
    assert [r.returncode for r in runs[:-1]] == [0] * (len(lines) - 1)
    # make exits with 2 whatever the exit code of the recipe.
    assert runs[-1].returncode == (2 if recipe is makefile else 1)
    assert "FAIL mean_loss went from 0.125248 to 0.383003" in runs[-1].stderr


def test_githubs_recipe_annotates_and_adds_to_the_step_summary(folder):
    get_worse(folder)
    found = run(github()[-1])
    assert "\n::error title=xent check::mean_loss went from" in found.stdout
    summary = (folder / "summary").read_text()
    assert summary.startswith("before\n## xent FAIL: 1 of 2 checks\n")


def test_gitlabs_recipe_leaves_the_report_that_it_collects(folder):
    get_worse(folder)
    run(gitlab()[-1])
    (job,) = yaml.safe_load(block("GitLab CI")).values()
    assert 'failures="1"' in (folder / job["artifacts"]["reports"]["junit"]).read_text()


@pytest.fixture
def action(folder, monkeypatch):
    """Return the action's steps, with the installed xent in place of the one that it would install."""
    (folder / "runner" / "xent" / "bin").mkdir(parents=True)
    (folder / "runner" / "xent" / "bin" / "xent").symlink_to(shutil.which("xent"))
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (check,) = [step for step in steps if step["name"] == "Check"]

    def step(**inputs):
        given = {"logits": "logits.npy", "labels": "labels.npy", "arguments": ""} | inputs
        for variable, text in check["env"].items():
            name = re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", text)[1]
            monkeypatch.setenv(variable, given[name])
        return run(check["run"])

    return step


LIMITS = "--baseline baseline.json\n--max-increase mean_loss=0.5%\n--max 'n_nan=0'\n"


def test_the_action_passes_with_the_same_model_and_fails_with_one_that_got_worse(action, folder):
    passed = action(arguments=LIMITS)
    assert (passed.returncode, passed.stdout.count("PASS")) == (0, 2)
    get_worse(folder)
    failed = action(arguments=LIMITS)
    assert failed.returncode == 1
    assert "\n::error title=xent check::mean_loss went from" in failed.stdout
    names = {path.name for path in (folder / "runner" / "xent-report").iterdir()}
    assert names == {"xent.json", "xent.md", "xent.xml"}
    assert re.findall("^## xent (PASS|FAIL)", (folder / "summary").read_text(), re.MULTILINE) == ["PASS", "FAIL"]


@pytest.mark.parametrize("arguments", ["", " \n", "--max mean_loss=9 'oops --max bits=0"])
def test_the_action_without_a_limit_or_with_half_a_quote_fails(action, arguments):
    assert action(arguments=arguments).returncode == 2


def test_the_action_runs_no_command_from_its_inputs(action, folder):
    run_ = action(logits="$(touch owned)", arguments="--max 'mean_loss=1; touch owned' --report $(touch owned).json")
    assert run_.returncode == 2
    assert not (folder / "owned").exists()


def test_the_action_takes_a_table_without_labels(action):
    shutil.copy(SAMPLE / "digits.csv", "digits.csv")
    assert action(logits="digits.csv", labels="", arguments="--max mean_loss=1").returncode == 0


def test_the_actions_reports_are_kept_whatever_the_verdict():
    document = yaml.safe_load((ROOT / "action.yml").read_text())
    last = document["runs"]["steps"][-1]
    assert (last["if"], last["with"]["path"]) == ("${{ always() }}", "${{ runner.temp }}/xent-report")
    for text in re.findall(r"\$\{\{ inputs\.(\w+) \}\}", (ROOT / "action.yml").read_text()):
        assert text in document["inputs"]
    assert all("${{" not in step.get("run", "") for step in document["runs"]["steps"])
