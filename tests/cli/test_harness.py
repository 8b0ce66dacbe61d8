"""Samples of lm-evaluation-harness: both versions of the format, tasks without choices, and two runs compared."""

import json
import math
import random

import numpy as np
import pytest
from scipy.special import logsumexp

from tests.forked import xent
from tests.harness_writer import as_text, documents, sample, write_new, write_old

NAME = "samples_arc_easy_2024-06-01T12-30-00.123456.jsonl"


def made(widths=(4,), **options):
    return [sample(i, *one) for i, one in enumerate(documents(widths=widths, **options))]


def losses(samples):
    """Compute the losses by the definition, one document at a time."""
    found = []
    for one in samples:
        scores = [score for score, _ in one["filtered_resps"]]
        found.append(float(logsumexp(scores)) - scores[one["target"]])
    return found


def write(folder, samples, age):
    path = folder / NAME
    {"new": write_new, "old": write_old}[age](path, samples)
    return path.name


def summary(folder, *args):
    run = xent("compute", *args, "-f", "json", cwd=folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("age", ["new", "old"])
@pytest.mark.parametrize("widths", [(4,), (2, 3, 5)])
def test_the_loss_is_that_of_a_softmax_over_the_choices(tmp_path, age, widths):
    samples = made(widths)
    name = write(tmp_path, samples, age)
    run = xent("compute", name, "-o", "rows.jsonl", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [one["target"] for one in samples]
    np.testing.assert_allclose([row["loss"] for row in rows], losses(samples), rtol=1e-12, atol=1e-15)
    found = summary(tmp_path, name)
    assert found["inputs"]["logits"]["format"] == "lm-eval"
    assert found["summary"]["accuracy"] == sum(one["acc"] for one in samples) / len(samples)
    assert found["summary"]["mean_loss"] == pytest.approx(sum(losses(samples)) / len(samples), rel=1e-13)


@pytest.mark.parametrize("age", ["new", "old"])
def test_fields_of_the_document_define_groups_and_clusters(tmp_path, age):
    samples = made()
    name = write(tmp_path, samples, age)
    found = summary(tmp_path, name, "--by", "doc.subject", "--cluster", "doc.subject", "--by", "task")
    assert found["summary"]["n_clusters"] == 3
    by = {(entry["by"], entry["value"]): entry["summary"]["accuracy"] for entry in found["slices"]}
    for subject in ("law", "maths", "art"):
        own = [one["acc"] for one in samples if one["doc"]["subject"] == subject]
        assert by["doc.subject", subject] == sum(own) / len(own)
    assert ("task", "arc_easy") in by
    run = xent("compute", name, "--by", "doc.topic", cwd=tmp_path)
    assert (run.returncode, "doc.subject" in run.stderr) == (3, True)


def test_of_choices_that_are_equally_likely_the_first_counts_as_theirs(tmp_path):
    doc = documents(1)[0][0]
    samples = [sample(i, doc, [-2.0, -1.0, -1.0, -3.0], gold) for i, gold in enumerate((1, 2))]
    assert [one["acc"] for one in samples] == [1.0, 0.0]
    write(tmp_path, samples, "new")
    assert summary(tmp_path, NAME)["summary"]["accuracy"] == 0.5


def test_the_right_choice_may_be_named_by_its_text(tmp_path):
    samples = []
    for i, (doc, scores, gold) in enumerate(documents()):
        samples.append(sample(i, doc, scores, gold, target=doc["choices"]["text"][gold]))
    write(tmp_path, samples, "new")
    numbers = made()
    assert summary(tmp_path, NAME)["summary"]["mean_loss"] == pytest.approx(sum(losses(numbers)) / len(numbers))


@pytest.mark.parametrize("age", ["new", "old"])
def test_a_list_of_one_right_choice_and_numbers_for_truth_values_are_read(tmp_path, age):
    samples = []
    for i, one in enumerate(documents()):
        held = sample(i, *one, target=[one[2]])
        pairs = [(score, float(greedy)) for score, greedy in held["filtered_resps"]]
        samples.append(held | {"acc": bool(held["acc"])} | ({"filtered_resps": pairs} if age == "old" else {}))
    name = write(tmp_path, samples, age)
    assert summary(tmp_path, name)["summary"]["mean_loss"] == pytest.approx(sum(losses(made())) / 40)


def test_two_operands_are_not_two_inputs(tmp_path):
    for task in ("law", "art"):
        write_new(tmp_path / NAME.replace("arc_easy", task), made())
    run = xent("compute", *sorted(path.name for path in tmp_path.iterdir()), cwd=tmp_path)
    assert (run.returncode, "in quotes" in run.stderr) == (3, True)


def test_accuracy_says_which_choice_in_the_prompts_is_right(tmp_path):
    """As in winogrande, where the target is the text after each of two prompts."""
    samples, truth = [], []
    for i, (doc, scores, gold) in enumerate(documents(widths=(2,))):
        follows = " was a better surgeon."
        samples.append(sample(i, doc, scores, gold, follows, [follows] * 2, ["Sarah", "Maria"]))
        truth.append(gold)
    write(tmp_path, samples, "new")
    run = xent("compute", NAME, "-o", "rows.jsonl", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert [json.loads(line)["label"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == truth


def test_choices_without_their_question_are_left_out(tmp_path):
    """The metric acc_mutual_info adds them."""
    samples = made()
    whole = []
    for one in samples:
        more = [(score - 3, False) for score, _ in one["filtered_resps"]]
        arguments = [*one["arguments"], *(("", text) for _, text in one["arguments"])]
        whole.append(one | {"filtered_resps": [*one["filtered_resps"], *more], "arguments": arguments})
        whole[-1]["acc_mutual_info"] = 1.0
    write(tmp_path, whole, "new")
    assert summary(tmp_path, NAME)["summary"]["mean_loss"] == pytest.approx(sum(losses(samples)) / len(samples))


def changed(**keys):
    return lambda one: one | keys


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(filtered_resps=["The answer is 18."]), "generate_until"),
        (changed(filtered_resps=[["The answer", "is 18."]]), "generate_until"),
        (changed(filtered_resps=[["-31.5", "False"]]), "loglikelihood"),
        (changed(filtered_resps=["-31.5"]), "generate_until"),
        (changed(filtered_resps=[["x", "True"], ["-1.0", "False"]]), "a log-likelihood 'x'"),
        (changed(filtered_resps=[[True, "True"], ["-1.0", "False"]]), "a log-likelihood True"),
        (changed(filtered_resps=[["3.5", "True"], ["-1.0", "False"]]), "0 or less"),
        (changed(filtered_resps=None), "a list"),
        (changed(target="7"), "target '7' of 4 choices"),
        (changed(target="[0, 2]"), "index or the text of one choice"),
        (changed(target=None), "index or the text of one choice"),
        (changed(acc=0.37), "a measure of its own"),
        (
            changed(acc=1.0, target="2", filtered_resps=as_text([[-1, 1 > 0], [-2, 1 < 0], [-3, 1 < 0]])),
            "rule of its own",
        ),
        (lambda one: {name: value for name, value in one.items() if name != "filtered_resps"}, "filtered_resps"),
        (lambda _: [1, 2], "an object"),
    ],
)
def test_samples_without_choices_or_a_right_one_are_refused_in_a_sentence(tmp_path, change, said):
    samples = made(n=3)
    write_new(tmp_path / NAME, samples)
    lines = (tmp_path / NAME).read_text().splitlines()
    one = json.loads(lines[1])
    if not isinstance(change(one), list):
        one["acc"] = None
    lines[1] = json.dumps(change(one))
    (tmp_path / NAME).write_text("\n".join(lines))
    for command in (("compute", NAME), ("compare", NAME, NAME)):
        run = xent(*command, cwd=tmp_path)
        assert run.returncode == 3, run.stderr
        assert f"{NAME} line 2" in run.stderr
        assert said in run.stderr


def test_samples_of_two_filters_are_not_averaged_unless_asked_for_by_filter(tmp_path):
    samples = made(n=5)
    write_new(tmp_path / NAME, samples)
    write_new(tmp_path / NAME, samples, "second")
    run = xent("compute", NAME, cwd=tmp_path)
    assert (run.returncode, "--by filter" in run.stderr) == (3, True)
    found = summary(tmp_path, NAME, "--by", "filter")
    assert [entry["summary"]["n_samples"] for entry in found["slices"]] == [5, 5]
    run = xent("compare", NAME, NAME, "-f", "json", cwd=tmp_path)
    assert json.loads(run.stdout)["joined_on"] == "doc_hash, filter"


def test_options_about_what_the_format_defines_are_refused(tmp_path):
    write(tmp_path, made(), "new")
    for options in (
        ["--from", "log-probs"], ["--axis", "0"], ["--label-column", "target"], ["--logits-column", "resps"],
        ["--shift", "1"], ["--labels", "dense"], ["--binary"],
    ):  # fmt: skip
        run = xent("compute", NAME, *options, cwd=tmp_path)
        assert run.returncode == 2, (options, run.stderr)
    np.save(tmp_path / "y.npy", np.zeros(40, int))
    for operands in ([NAME, "y.npy"], ["y.npy", NAME]):
        run = xent("compute", *operands, cwd=tmp_path)
        assert (run.returncode, "Traceback" in run.stderr) == (3, False), run.stderr


def runs(folder, age=("new", "new"), tasks=("arc_easy", "law"), change=None):
    """Write two runs of some tasks, the second in a different order; return the samples of each task."""
    found = {}
    for task in tasks:
        pair = [made((3, 4), seed=seed, noise=noise) for seed, noise in ((1, 0.0), (2, 1.0))]
        for one in (*pair[0], *pair[1]):
            one["doc"] = one["doc"] | {"of": task}
        found[task] = [pair[0], list(pair[1])]
        if change is not None:
            pair[1][4] = change(pair[1][4])
        random.Random(9).shuffle(pair[1])
        for name, samples, how in zip("ab", pair, age, strict=True):
            (folder / name).mkdir(exist_ok=True)
            path = folder / name / f"samples_{task}_2024-0{'ab'.index(name) + 1}-01T00-00-00.5.jsonl"
            (write_new if how == "new" else write_old)(path, samples)
    return found


@pytest.mark.parametrize("age", [("new", "new"), ("old", "new")])
def test_two_runs_are_joined_on_their_documents(tmp_path, age):
    pairs = runs(tmp_path, age)
    run = xent(
        "compare", "a/samples_*.jsonl", "b/samples_*.jsonl", "--cluster", "doc.subject", "--by", "task", "-f", "json",
        cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document["joined_on"] == "doc_hash, filter"
    changes = {(one.get("by"), one.get("value"), one["metric"]): one for one in document["candidates"][0]["metrics"]}
    before, after = ([one for pair in pairs.values() for one in pair[place]] for place in (0, 1))
    delta = np.array(losses(after)) - np.array(losses(before))
    mean = changes[None, None, "mean_loss"]
    assert mean["n"] == 80
    assert mean["delta"] == pytest.approx(delta.mean(), rel=1e-12)
    accuracy = changes[None, None, "accuracy"]
    assert accuracy["baseline"] == sum(one["acc"] for one in before) / 80
    assert accuracy["candidate"] == sum(one["acc"] for one in after) / 80
    # G/(G-1) sum u_c^2 / n^2, over three subjects
    of = np.array([one["doc"]["subject"] for one in before])
    apart = [(delta[of == name] - delta.mean()).sum() for name in ("law", "maths", "art")]
    error = math.sqrt(1.5 * sum(u * u for u in apart)) / 80
    assert (mean["high"] - mean["low"]) / 2 == pytest.approx(4.302652729911275 * error, rel=1e-9)
    slices = {one["value"]: one["delta"] for one in document["candidates"][0]["slices"]}
    assert slices["law"] == pytest.approx(delta[40:].mean(), rel=1e-12)


def test_tasks_with_different_numbers_of_choices_are_one_input(tmp_path):
    every = []
    for task, widths in (("boolq", (2,)), ("arc_easy", (3, 5)), ("law", (4,))):
        write_new(tmp_path / NAME.replace("arc_easy", task), made(widths))
        every += made(widths)
    found = summary(tmp_path, "samples_*.jsonl", "--by", "task")
    assert found["summary"]["n_samples"] == 120
    assert found["summary"]["mean_loss"] == pytest.approx(sum(losses(every)) / 120, rel=1e-13)
    assert {entry["value"] for entry in found["slices"]} == {"boolq", "arc_easy", "law"}
    run = xent("compare", "samples_*.jsonl", "samples_*.jsonl", "-f", "json", cwd=tmp_path)
    (mean, *_) = json.loads(run.stdout)["candidates"][0]["metrics"]
    assert mean["baseline"] == found["summary"]["mean_loss"]


def other_prompt(one):
    return one | {"arguments": [(f"Say. {context}", text) for context, text in one["arguments"]]}


def other_target(one):
    gold = (one["target"] + 1) % len(one["filtered_resps"])
    return one | {"target": gold, "acc": float(one["filtered_resps"][gold][1])}


@pytest.mark.parametrize(("change", "what"), [(other_prompt, "prompt_hash"), (other_target, "target_hash")])
def test_another_prompt_or_target_is_refused_by_document(tmp_path, change, what):
    runs(tmp_path, tasks=("law",), change=change)
    run = xent("compare", "a/samples_*.jsonl", "b/samples_*.jsonl", cwd=tmp_path)
    assert run.returncode == 3
    assert f"another {what}" in run.stderr
    own = json.loads((tmp_path / "a" / "samples_law_2024-01-01T00-00-00.5.jsonl").read_text().splitlines()[4])
    assert f'1 of 40 documents: "{own["doc_hash"][:12]}' in run.stderr


def test_documents_of_one_run_alone_and_a_task_that_is_there_twice_are_refused(tmp_path):
    runs(tmp_path, tasks=("law",))
    path = tmp_path / "b" / "samples_law_2024-02-01T00-00-00.5.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    run = xent("compare", "a/samples_*.jsonl", "b/samples_*.jsonl", cwd=tmp_path)
    assert (run.returncode, "doc_hash, filter" in run.stderr) == (3, True)
    path.write_text("".join(lines))
    (tmp_path / "b" / "samples_law_2024-03-01T00-00-00.5.jsonl").write_text("".join(lines))
    run = xent("compare", "a/samples_*.jsonl", "b/samples_*.jsonl", cwd=tmp_path)
    assert (run.returncode, "one task in two files" in run.stderr) == (3, True)


def test_a_long_document_before_the_identifying_keys_is_skipped(tmp_path):
    samples = [one | {"doc": one["doc"] | {"passage": "x" * 100_000}} for one in made(n=3)]
    write(tmp_path, samples, "new")
    assert summary(tmp_path, NAME)["inputs"]["logits"]["format"] == "lm-eval"


def test_samples_are_not_a_baseline_and_the_suggested_lines_work(tmp_path):
    (tmp_path / write(tmp_path, made(), "new")).rename(tmp_path / "a.jsonl")
    run = xent("check", "a.jsonl", "--baseline", "a.jsonl", "--max-increase", "mean_loss=0", cwd=tmp_path)
    assert (run.returncode, "xent compute a.jsonl -o rows.parquet" in run.stderr) == (3, True), run.stderr
    assert xent("compute", "a.jsonl", "-o", "rows.parquet", cwd=tmp_path).returncode == 0
    run = xent("check", "a.jsonl", "--baseline", "rows.parquet", "--max-increase", "mean_loss=0", cwd=tmp_path)
    assert run.returncode == 0, run.stderr


def test_inspect_names_the_command(tmp_path):
    write(tmp_path, made(), "new")
    run = xent("inspect", NAME, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert f"xent compute {NAME}" in run.stdout


@pytest.mark.parametrize("age", ["new", "old"])
def test_mutated_samples_are_read_or_refused(tmp_path, age):
    chance = random.Random(age)
    sound = (tmp_path / write(tmp_path, made(n=6), age)).read_bytes()
    for number in range(15):
        text = bytearray(sound)
        for _ in range(chance.choice([1, 2, 5])):
            at = chance.randrange(len(text))
            if chance.random() < 0.4:
                text[at] = chance.randrange(256)
            elif chance.random() < 0.7:
                text[at : at + chance.randrange(20)] = chance.choice([b"null", b"[", b"}", b"9" * 400, b'"', b"NaN"])
            else:
                del text[at : at + chance.randrange(1, 200)]
        (tmp_path / NAME).write_bytes(text)
        for command in (("compute", NAME), ("compare", NAME, NAME)):
            run = xent(*command, cwd=tmp_path)
            assert run.returncode in (0, 3), (number, run.stderr)
            assert "Traceback" not in run.stderr
