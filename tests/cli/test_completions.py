"""Responses of OpenAI-style servers, vLLM and llama-server: every form, those left out, and damaged ones."""

import gzip
import json
import math
import random

import numpy as np
import pytest

from tests.forked import xent
from tests.readers.source_tests import peak_bytes
from xent_cli.errors import InputError
from xent_cli.readers.open import open_source
from xent_cli.readers.options import ReadOptions, RunNeeds

LOSSES = [[0.25, 1.5, 3.0], [0.5], [2.25, 0.125, 0.75, 4.0]]
TEXTS = [["a", "bc", "é"], ["def"], ["g", "h", "ij", "😀"]]
MEAN = sum(map(sum, LOSSES)) / 8


def token(text, loss, tops=()):
    likely = [{"token": f"t{i}", "logprob": p, "bytes": [116]} for i, p in enumerate(tops)]
    return {"token": text, "logprob": -loss, "bytes": list(text.encode()), "top_logprobs": likely}


def body(name, choice, **more):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "..."}} | choice
    return {"id": name, "object": "chat.completion", "model": "m", "choices": [choice], "usage": {}, **more}


def chats(losses=LOSSES, texts=TEXTS):
    pairs = zip(losses, texts, strict=True)
    held = [[token(text, loss) for loss, text in zip(*pair, strict=True)] for pair in pairs]
    return [body(f"chatcmpl-{i}", {"logprobs": {"content": content}}) for i, content in enumerate(held)]


def completions():
    def logprobs(losses, texts):
        tops = [None, *({text: -loss, "other": -9.0} for loss, text in zip(losses, texts, strict=True))]
        values = [None, *(-loss for loss in losses)]
        offsets = list(range(len(values)))
        return {"tokens": ["<s>", *texts], "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}

    held = zip(LOSSES, TEXTS, strict=True)
    return [body(f"cmpl-{i}", {"text": "...", "logprobs": logprobs(*pair)}) for i, pair in enumerate(held)]


def prompts(*, in_choice=True):
    made = []
    for i, losses in enumerate(LOSSES):
        ids = list(range(5, 6 + len(losses)))
        # The likeliest token comes first, and is not the scored one.
        entries = [{"99": {"logprob": -0.01, "rank": 1}, str(5 + t): {"logprob": -x}} for t, x in enumerate(losses, 1)]
        held = {"prompt_logprobs": [None, *entries], "prompt_token_ids": ids}
        made.append(body(f"p{i}", {"logprobs": None} | (held if in_choice else {}), **({} if in_choice else held)))
    return made


def llama(losses, texts, **settings):
    """Return a response of llama-server's own /completion."""
    held = [
        {
            "id": 7 + i,
            "token": text,
            "bytes": list(text.encode()),
            "logprob": -loss,
            "top_logprobs": [{"id": 5, "token": "x", "bytes": [120], "logprob": -0.01}],
        }
        for i, (loss, text) in enumerate(zip(losses, texts, strict=True))
    ]
    return {
        "index": 0,
        "content": "".join(texts),
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": "m",
        "tokens_predicted": len(losses),
        "tokens_evaluated": 3,
        "generation_settings": settings,
        "prompt": "...",
        "completion_probabilities": held,
    }


def older(losses, texts, **settings):
    """Return a response in the form until the end of 2024: probabilities after sampling, and the text of each token."""
    made = llama(losses, texts, **settings)
    made["completion_probabilities"] = [
        {
            "content": text,
            "probs": [{"tok_str": "other", "prob": 0.001}, {"tok_str": text, "prob": math.exp(-loss)}],
        }
        for loss, text in zip(losses, texts, strict=True)
    ]
    return made


def batch(bodies):
    return [
        {
            "id": f"b{i}",
            "custom_id": f"q{i}",
            "response": {"status_code": 200, "request_id": "r", "body": one},
            "error": None,
        }
        for i, one in enumerate(bodies)
    ]


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def summary(folder, *args, code=0):
    run = xent("compute", *args, "-f", "json", cwd=folder)
    assert run.returncode == code, run.stderr
    return json.loads(run.stdout)


FORMS = {
    "chat": chats,
    "completions": completions,
    "prompt": prompts,
    "chat-prompt": lambda: prompts(in_choice=False),
    "batch": lambda: batch(chats()),
    "llama-server": lambda: [llama(*pair) for pair in zip(LOSSES, TEXTS, strict=True)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("write", [lines, json.dumps, lambda made: json.dumps(made, indent=2)])
def test_every_form_gives_the_losses_of_its_tokens_and_clusters_of_its_responses(tmp_path, form, write):
    (tmp_path / "answers").write_text(write(FORMS[form]()), encoding="utf-8")
    run = xent("compute", "answers", "-o", "rows.jsonl", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [x for losses in LOSSES for x in losses]
    names = list(dict.fromkeys(row["cluster"] for row in rows))
    assert [[row["loss"] for row in rows if row["cluster"] == name] for name in names] == LOSSES
    first = {"chat": "chatcmpl-0", "completions": "cmpl-0", "batch": "q0", "llama-server": names[0]}
    assert names[0] == first.get(form, "p0")
    found = summary(tmp_path, "answers")
    assert found["summary"]["mean_loss"] == MEAN
    assert found["summary"]["perplexity"] == pytest.approx(math.exp(MEAN), rel=1e-15)
    assert (found["summary"]["n_clusters"], found["summary"]["n_bounded"]) == (3, 0)
    assert "n_classes" not in found["inputs"]["logits"]
    # G/(G-1) sum u_c^2 / n^2
    apart = [sum(x - MEAN for x in losses) for losses in LOSSES]
    assert found["summary"]["se_loss"] == pytest.approx(math.sqrt(1.5 * sum(u * u for u in apart)) / 8, rel=1e-12)


def test_there_are_no_figures_of_classes(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(chats()))
    found = summary(tmp_path, "a.jsonl")["summary"]
    assert not [name for name in found if "accuracy" in name]
    for options in (
        ["--top-k", "1"], ["--label-smoothing", "0.1"], ["--ignore-index", "0"], ["--calibration"],
        ["--columns", "rank"],
        ["--overflow-report"], ["--gradients", "g.npy"], ["--by", "label"], ["--macro", "label"], ["--from", "logits"],
        ["--shift", "1"], ["--label-column", "response"], ["--mask", "response"], ["--labels", "dense"],
        ["--axis", "0"],
        ["--class-weight", "a.jsonl"], ["--first-class", "1"], ["--temperature", "2"],
    ):  # fmt: skip
        run = xent("compute", "a.jsonl", *options, cwd=tmp_path)
        assert run.returncode == 2, (options, run.stderr)
    for command in (["verify", "a.jsonl", "--loss", "a.jsonl"], ["calibrate", "a.jsonl"]):
        assert xent(*command, cwd=tmp_path).returncode == 2
    assert xent("compute", "a.jsonl", "a.jsonl", cwd=tmp_path).returncode == 3


def test_bits_per_byte_are_reported_if_the_responses_have_bytes(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(chats()))
    found = summary(tmp_path, "a.jsonl", "--units", "bytes")["summary"]
    size = sum(len(text.encode()) for texts in TEXTS for text in texts)
    assert found["n_units"] == size == 16
    assert found["bits_per_unit"] == pytest.approx(8 * MEAN / size / math.log(2), rel=1e-14)
    (tmp_path / "c.jsonl").write_text(lines(completions()))
    run = xent("compute", "c.jsonl", "--units", "bytes", cwd=tmp_path)
    assert (run.returncode, "no bytes" in run.stderr) == (3, True)


def test_slices_by_response_have_the_figures_of_each(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(batch(chats())))
    found = summary(tmp_path, "a.jsonl", "--by", "response")["slices"]
    assert {entry["value"]: entry["summary"]["mean_loss"] for entry in found} == {
        f"q{i}": sum(losses) / len(losses) for i, losses in enumerate(LOSSES)
    }


def test_a_token_outside_the_top_has_a_bound_but_no_loss(tmp_path):
    tops = [math.log(0.5), math.log(0.3)]
    held = [token("a", 0.25), token("b", 9999.0, tops), token("c", 9999.0)]
    (tmp_path / "a.jsonl").write_text(lines([body("r", {"logprobs": {"content": held}})]))
    found = summary(tmp_path, "a.jsonl")["summary"]
    # The second has at most the rest of 0.2, which is less than the least of the top; nothing is known about the third.
    expected = (0.25 - math.log(0.2)) / 3
    assert (found["n_bounded"], found["mean_loss"], found["perplexity"]) == (2, None, None)
    assert found["mean_loss_at_least"] == pytest.approx(expected, abs=1e-5)
    assert found["mean_loss_at_least"] <= expected
    left = summary(tmp_path, "a.jsonl", "--bounded", "ignore")["summary"]
    assert (left["n_samples"], left["n_ignored"], left["mean_loss"]) == (1, 2, 0.25)
    run = xent("check", "a.jsonl", "--max", "mean_loss=9", cwd=tmp_path)
    assert (run.returncode, "not known" in run.stdout + run.stderr) == (1, True)


def test_the_bound_holds_for_cut_distributions(tmp_path):
    rng = np.random.default_rng(5)
    held, truth = [], []
    for _ in range(300):
        p = np.sort(rng.dirichlet(np.full(7, 0.5)))[::-1]
        scored = rng.integers(3, 7)
        truth.append(-math.log(p[scored]))
        held.append(token("a", 9999.0, np.float32(np.log(p[:3])).tolist()))
    (tmp_path / "a.jsonl").write_text(
        lines([body(f"r{i}", {"logprobs": {"content": [one]}}) for i, one in enumerate(held)])
    )
    found = summary(tmp_path, "a.jsonl", "--by", "response")["slices"]
    least = {entry["value"]: entry["summary"]["mean_loss_at_least"] for entry in found}
    assert all(least[f"r{i}"] <= loss for i, loss in enumerate(truth))


def test_failed_and_silent_responses_are_counted_and_named(tmp_path):
    made = batch(chats())
    made[1]["response"] = {"status_code": 429, "request_id": "r", "body": {"error": {"message": "slow down"}}}
    made.append(
        {"id": "b7", "custom_id": "q7", "response": None, "error": {"code": "batch_expired", "message": "late"}}
    )
    made += [{"custom_id": "q8", "response": {"status_code": 200, "body": body("x", {"logprobs": None})}}]
    (tmp_path / "a.jsonl").write_text(lines(made))
    found = summary(tmp_path, "a.jsonl")
    said = {entry["code"]: entry["message"] for entry in found["warnings"]}
    assert said["failed-responses"].startswith("2 of 5 responses failed and are left out: q1 (status 429), q7 (")
    assert said["responses-without-logprobs"].endswith("left out: q8")
    assert found["summary"]["n_samples"] == 7
    assert xent("compute", "a.jsonl", "--strict", cwd=tmp_path).returncode == 3
    (tmp_path / "b.jsonl").write_text(lines(made[:1]))
    (tmp_path / "n.jsonl").write_text(lines(made[3:]))
    both = summary(tmp_path, "[ab].jsonl")
    assert both["summary"]["n_samples"] == 10
    assert "failed-responses" in {entry["code"] for entry in both["warnings"]}
    run = xent("compute", "n.jsonl", cwd=tmp_path)
    assert (run.returncode, "no log-probabilities" in run.stderr) == (3, True)
    run = xent("inspect", "a.jsonl", cwd=tmp_path)
    assert (run.returncode, "failed-responses" in run.stderr, "NaN" in run.stderr) == (0, True, False)


def test_a_table_with_a_column_of_choices_is_not_a_response(tmp_path):
    rows = [
        {"choices": ["a", "b"], "logprobs": [-0.1, -2.3], "label": 0},
        {"choices": ["c", "d"], "logprobs": [-1, -2], "label": 1},
    ]
    (tmp_path / "t.jsonl").write_text(lines(rows))
    run = xent("inspect", "t.jsonl", cwd=tmp_path)
    assert "completions" not in run.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["choices"][0]["logprobs"]["content"][0].update(logprob=0.5), "a log-probability of 0.5"),
        (lambda one: one["choices"][0]["logprobs"]["content"][0].update(logprob="x"), "a log-probability 'x'"),
        (lambda one: one["choices"][0]["logprobs"]["content"][0].update(logprob=math.nan), "a log-probability of nan"),
        (lambda one: one["choices"][0]["logprobs"]["content"][0].pop("logprob"), 'a token without "logprob"'),
        (lambda one: one["choices"][0].update(prompt_logprobs=[None]), "both"),
        (lambda one: one["choices"][0].update(delta={}), "streamed"),
        (lambda one: one["choices"][0].update(logprobs={"token_logprobs": [-1.0, None]}), "a log-probability None"),
        (lambda one: one["choices"][0].update(logprobs={"token_logprobs": [-1.0], "tokens": ["a", "b"]}), "2 tokens"),
    ],
)
def test_an_invalid_log_probability_is_refused_with_its_line(tmp_path, change, said):
    made = chats()
    change(made[1])
    (tmp_path / "a.jsonl").write_text(lines(made))
    run = xent("compute", "a.jsonl", cwd=tmp_path)
    assert run.returncode == 3
    assert "a.jsonl line 2" in run.stderr
    assert said in run.stderr


def test_prompt_log_probabilities_without_ids_do_not_say_which_token_is_scored(tmp_path):
    made = prompts()
    for one in made:
        del one["choices"][0]["prompt_token_ids"]
    (tmp_path / "a.jsonl").write_text(lines(made))
    run = xent("compute", "a.jsonl", cwd=tmp_path)
    assert (run.returncode, "return_token_ids" in run.stderr) == (3, True)


def test_a_compressed_file_is_read_too(tmp_path):
    text = lines(chats()).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    run = xent("compute", "a.jsonl.gz", "--reduction", "mean", cwd=tmp_path)
    assert run.stdout.strip() == str(MEAN)


@pytest.mark.parametrize("form", FORMS)
def test_mutated_files_are_read_or_refused(tmp_path, form):
    chance = random.Random(form)
    sound = lines(FORMS[form]()).encode()
    for number in range(40):
        text = bytearray(sound)
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(text))
            choice = chance.random()
            if choice < 0.3:
                text[at] = chance.randrange(256)
            elif choice < 0.6:
                del text[at : at + chance.randrange(1, 40)]
            elif choice < 0.8:
                text[at:at] = chance.choice([b"null", b"[", b"}", b"-1e999", b"9" * 400, b'"', b"NaN", b"{}", b"\n"])
            else:
                del text[at:]
            if not text:
                text = bytearray(b"{")
        path = tmp_path / "a.jsonl"
        path.write_bytes(text)
        run = xent("compute", "a.jsonl", "-f", "json", cwd=tmp_path)
        assert run.returncode in (0, 3), (number, bytes(text), run.stderr)
        assert "Traceback" not in run.stderr


def test_memory_does_not_grow_with_json_lines(tmp_path):
    one = json.dumps(chats([[0.5] * 200], [["abc"] * 200])[0]) + "\n"
    peaks = []
    for copies in (100, 800):
        path = tmp_path / f"{copies}.jsonl"
        with path.open("w") as file:
            file.writelines(one for _ in range(copies))
        source = open_source(str(path), "logits", ReadOptions(run=RunNeeds(task_bytes=1 << 16)))
        peaks.append(min(peak_bytes(source) for _ in range(2)))  # other memory of the process is measured too
        assert source.info.num_rows == 200 * copies
    assert peaks[1] < 2 * peaks[0] + (1 << 20)


def test_a_place_is_the_line_and_the_token(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(chats()))
    source = open_source(str(tmp_path / "a.jsonl"), "logits", ReadOptions())
    assert source.where(5, "logits").endswith("a.jsonl line 3 (sample 5: token 1 of chatcmpl-2)")
    with pytest.raises(InputError, match="one operand"):
        open_source(str(tmp_path / "a.jsonl"), "labels", ReadOptions())


NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "n_probs": 2}


@pytest.mark.parametrize(
    ("settings", "doubted"), [(NEUTRAL, False), (NEUTRAL | {"temperature": -1.0}, True), (None, True)]
)
def test_older_probabilities_of_llama_server_are_those_of_the_model_if_settings_say_so(tmp_path, settings, doubted):
    made = [older(*pair, **(settings or {})) for pair in zip(LOSSES, TEXTS, strict=True)]
    if settings is None:
        for one in made:
            del one["generation_settings"]
    (tmp_path / "a.jsonl").write_text(lines(made))
    found = summary(tmp_path, "a.jsonl")
    assert found["summary"]["mean_loss"] == pytest.approx(MEAN, rel=1e-14)
    codes = [one["code"] for one in found["warnings"]]
    assert ("sampled-probabilities" in codes) == doubted
    assert xent("compute", "a.jsonl", "--strict", cwd=tmp_path).returncode == (3 if doubted else 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["generation_settings"].update(temperature=0.8), '"temperature": 0.8'),
        (lambda one: one["generation_settings"].update(top_k=40), '"top_k": 40'),
        (lambda one: one["generation_settings"].update(top_p="x"), "'x'"),
        (lambda one: one.update(stop=False), '"stream": false'),
        (lambda one: one["completion_probabilities"][0].update(prob=0.5), '"post_sampling_probs": false'),
        (lambda one: one["completion_probabilities"][0].update(probs=[{"tok_str": "a", "prob": 1.5}]), "from 0 to 1"),
        (lambda one: one["completion_probabilities"][0].update(probs=3), "a list"),
        (lambda one: one["completion_probabilities"][0].pop("content"), '"content" and "probs"'),
        (lambda one: one.update(completion_probabilities={}), "a list"),
    ],
)
def test_probabilities_after_sampling_are_not_losses(tmp_path, change, said):
    made = [older(*pair, **NEUTRAL) for pair in zip(LOSSES, TEXTS, strict=True)]
    change(made[1])
    (tmp_path / "a.jsonl").write_text(lines(made))
    run = xent("compute", "a.jsonl", cwd=tmp_path)
    assert run.returncode == 3
    assert "a.jsonl line 2" in run.stderr
    assert said in run.stderr


def test_older_tokens_outside_the_list_or_twice_in_it_are_bounded(tmp_path):
    made = older([0.5, 0.5, 0.5], ["a", "b", "c"], **NEUTRAL)
    twice = [{"tok_str": "b", "prob": 0.25}, {"tok_str": "b", "prob": 0.5}, {"tok_str": "z", "prob": 0.0}]
    made["completion_probabilities"][1]["probs"] = twice
    made["completion_probabilities"][2]["probs"] = [{"tok_str": "x", "prob": 0.75}, {"tok_str": "y", "prob": 0.125}]
    (tmp_path / "a.json").write_text(json.dumps(made))
    found = summary(tmp_path, "a.json")["summary"]
    assert (found["n_bounded"], found["mean_loss"]) == (2, None)
    # At most as likely as the likelier of the two, and at most the rest of the probability.
    expected = (0.5 + math.log(2) + math.log(8)) / 3
    assert found["mean_loss_at_least"] == pytest.approx(expected, abs=1e-5)
    assert found["mean_loss_at_least"] <= expected


def test_llama_server_writes_the_lowest_float_for_a_probability_of_0_and_answers_several_prompts_at_once(tmp_path):
    made = [llama(*pair) for pair in zip(LOSSES, TEXTS, strict=True)]
    made[0]["completion_probabilities"][0]["logprob"] = -3.4028234663852886e38
    del made[1]["completion_probabilities"]
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(made[:2])}\n{json.dumps(made[2])}\n")
    found = summary(tmp_path, "a.jsonl")
    assert found["summary"]["n_samples"] == 7
    assert found["summary"]["n_bounded"] == 1
    assert "a.jsonl line 1 record 1" in str([one["message"] for one in found["warnings"]])


def test_any_number_of_responses_are_clusters_whatever_their_names_are(tmp_path):
    rng = np.random.default_rng(2)
    losses = rng.exponential(1.0, (10_500, 2)).round(4).tolist()
    names = [f"{number:08x}" for number in rng.permutation(len(losses))]
    made = [
        body(name, {"logprobs": {"content": [token("a", x) for x in own]}})
        for name, own in zip(names, losses, strict=True)
    ]
    (tmp_path / "a.jsonl").write_text(lines(made))
    found = summary(tmp_path, "a.jsonl")["summary"]
    apart = (np.array(losses) - np.mean(losses)).sum(axis=1)
    count = len(losses)
    assert found["n_clusters"] == count
    error = math.sqrt(count / (count - 1) * (apart**2).sum()) / (2 * count)
    assert found["se_loss"] == pytest.approx(error, rel=1e-9)
    # Two responses with the same name and others between them may be one response in two pieces.
    (tmp_path / "b.jsonl").write_text(lines([*made, made[0]]))
    run = xent("compute", "b.jsonl", cwd=tmp_path)
    assert (run.returncode, "10,000 at most" in run.stderr) == (3, True)
    (tmp_path / "c.jsonl").write_text(lines([*made[:4], made[0]]))
    assert summary(tmp_path, "c.jsonl")["summary"]["n_clusters"] == 4
