"""Responses that come in pieces, those of OpenAI's Responses API, and those of SGLang."""

import json
import random
import shutil

import pytest

from tests.forked import shell, xent

LOSSES = [[0.25, 1.5, 3.0], [0.5], [2.25, 0.125, 0.75, 4.0]]
TEXTS = [["a", "bc", "é"], ["def"], ["g", "h", "ij", "😀"]]
FLAT = [loss for losses in LOSSES for loss in losses]


def tokens(i):
    return [
        {"token": text, "logprob": -loss, "bytes": list(text.encode()), "top_logprobs": []}
        for loss, text in zip(LOSSES[i], TEXTS[i], strict=True)
    ]


def events(*pieces, ended=True):
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + ("data: [DONE]\n\n" if ended else "")


def chat_piece(i, held=None, finish=None, index=0, **delta):
    choice = {"index": index, "delta": delta, "logprobs": held and {"content": held}, "finish_reason": finish}
    return {"id": f"chat-{i}", "object": "chat.completion.chunk", "choices": [choice]}


def chat_stream(i):
    first, *rest = tokens(i)
    usage = {"id": f"chat-{i}", "object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}
    return [
        chat_piece(i, role="assistant", content=""),
        chat_piece(i, [first], content=first["token"]),
        *([chat_piece(i, rest, content="...")] if rest else []),
        chat_piece(i, finish="stop"),
        usage,
    ]


def completion_stream(i):
    def piece(loss, text, finish):
        logprobs = {"tokens": [text], "token_logprobs": [-loss], "top_logprobs": None, "text_offset": [0]}
        return {
            "id": f"cmpl-{i}",
            "choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish}],
        }

    last = len(LOSSES[i]) - 1
    return [piece(*pair, "stop" if t == last else None) for t, pair in enumerate(zip(LOSSES[i], TEXTS[i], strict=True))]


def llama_stream(i):
    pieces = [{"content": t["token"], "stop": False, "completion_probabilities": [t | {"id": 5}]} for t in tokens(i)]
    return [*pieces, {"content": "", "stop": True, "tokens_predicted": len(pieces)}]


def response(i):
    some = tokens(i)
    parts = [
        {"type": "output_text", "text": "...", "annotations": [], "logprobs": held} for held in (some[:1], some[1:])
    ]
    output = [
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "message", "id": "m", "role": "assistant", "content": [part for part in parts if part["logprobs"]]},
    ]
    return {"id": f"resp-{i}", "object": "response", "status": "completed", "error": None, "output": output}


def response_stream(i):
    delta = {"type": "response.output_text.delta", "delta": "...", "logprobs": tokens(i)}
    return [
        {"type": "response.created", "response": {}},
        delta,
        {"type": "response.completed", "response": response(i)},
    ]


def sglang(i, key="output_token_logprobs"):
    entries = [[-loss, 7, None] for loss in LOSSES[i]]
    entries = [[None, 1, None], *entries] if key.startswith("input") else entries
    return {"text": "...", "meta_info": {"id": f"s{i}", "prompt_tokens": 3, key: entries}}


def lines(made):
    return "".join(json.dumps(record) + "\n" for record in made)


def batch(made):
    bodies = [{"custom_id": f"q{i}", "response": {"status_code": 200, "body": body}} for i, body in enumerate(made)]
    return lines(bodies)


FORMS = {
    "chat stream": ("".join(events(*chat_stream(i)) for i in range(3)), ["chat-0", "chat-1", "chat-2"]),
    "completion stream": (events(*(p for i in range(3) for p in completion_stream(i))), ["cmpl-0", "cmpl-1", "cmpl-2"]),
    "llama-server stream": ("".join(events(*llama_stream(i), ended=False) for i in range(3)), None),
    "responses": (lines(map(response, range(3))), ["resp-0", "resp-1", "resp-2"]),
    "list of responses": (json.dumps([response(i) for i in range(3)], indent=1), ["resp-0", "resp-1", "resp-2"]),
    "batch of responses": (batch(map(response, range(3))), ["q0", "q1", "q2"]),
    "response stream": (
        "".join(f"event: x\ndata: {json.dumps(p)}\n\n" for i in range(3) for p in response_stream(i)),
        ["resp-0", "resp-1", "resp-2"],
    ),
    "SGLang": (lines(map(sglang, range(3))), ["s0", "s1", "s2"]),
    "SGLang, prompts": (json.dumps([sglang(i, "input_token_logprobs") for i in range(3)]), ["s0", "s1", "s2"]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_form_gives_the_losses_of_its_tokens_and_clusters_of_its_responses(tmp_path, form, newline):
    text, names = FORMS[form]
    (tmp_path / "a.txt").write_bytes(text.replace("\n", newline).encode())
    run = xent("compute", "a.txt", "-f", "jsonl", "-q", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["loss"] for row in found] == FLAT
    if names is not None:
        expected = [name for name, losses in zip(names, LOSSES, strict=True) for _ in losses]
        assert [row["cluster"] for row in found] == expected


def test_choices_of_a_stream_are_told_apart_by_their_index(tmp_path):
    some = tokens(2)
    pieces = [chat_piece(0, [token], content="x", index=t % 2) for t, token in enumerate(some)]
    pieces += [chat_piece(0, finish="stop", index=index) for index in (0, 1)]
    (tmp_path / "a.txt").write_text(events(*pieces))
    run = xent("compute", "a.txt", "-f", "jsonl", "-q", cwd=tmp_path)
    assert [json.loads(line)["loss"] for line in run.stdout.splitlines()] == [2.25, 0.75, 0.125, 4.0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: events(*p[:-2], ended=False), "the stream is cut short"),
        (lambda p: events(p[0], p[1], chat_piece(0, content="x"), *p[2:]), "pieces of text without log-probabilities"),
        (lambda p: events({"error": {"message": "overloaded"}}), "overloaded"),
    ],
)
def test_a_stream_that_is_not_whole_is_left_out_and_named(tmp_path, change, why):
    (tmp_path / "a.txt").write_text(change(chat_stream(0)) + events(*chat_stream(1)))
    run = xent("compute", "a.txt", "-f", "json", cwd=tmp_path)
    found = json.loads(run.stdout)
    assert (run.returncode, found["summary"]["n_samples"]) == (0, 1), run.stderr
    assert why in found["warnings"][0]["message"]
    run = xent("compute", "a.txt", "--strict", cwd=tmp_path)
    assert run.returncode == 3


def test_a_response_without_log_probabilities_is_left_out_and_named(tmp_path):
    silent = response(0)
    for part in silent["output"][1]["content"]:
        part["logprobs"] = []
    (tmp_path / "a.jsonl").write_text(lines([silent, response(1)]))
    run = xent("compute", "a.jsonl", "-f", "json", cwd=tmp_path)
    found = json.loads(run.stdout)
    assert found["summary"]["mean_loss"] == 0.5
    assert "have no log-probabilities and are left out: resp-0" in found["warnings"][0]["message"]
    (tmp_path / "a.jsonl").write_text(lines([silent]))
    run = xent("compute", "a.jsonl", cwd=tmp_path)
    assert (run.returncode, "message.output_text.logprobs" in run.stderr) == (3, True), run.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (events(*chat_stream(0)) + "x\n", "a.txt line 13: found a line of another form"),
        ("data: {\n\n", "not JSON"),
        (events({"choices": [{"index": "a"}]}), "an index of a choice"),
        (events({"choices": 3}), '"choices" that is 3'),
        (events({"x": 1}), 'an event with "x"'),
        (events({"content": "a", "stop": False, "index": 1}), "pieces of several prompts"),
        (lines([sglang(0) | {"meta_info": {**sglang(0)["meta_info"], "input_token_logprobs": [[-1, 2]]}}]), "both"),
        (lines([{"meta_info": {"output_token_logprobs": [0.5]}}]), "an entry 0.5"),
        (lines([{"object": "response", "output": 3}]), '"output" that is 3'),
    ],
)
def test_what_is_of_another_form_is_refused_with_its_line(tmp_path, text, said):
    (tmp_path / "a.txt").write_text(text)
    run = xent("compute", "a.txt", cwd=tmp_path)
    assert (run.returncode, said in run.stderr) == (3, True), run.stderr


@pytest.mark.parametrize("form", FORMS)
def test_mutated_files_are_read_or_refused(tmp_path, form):
    chance = random.Random(form)
    sound = FORMS[form][0].encode()
    for number in range(40):
        text = bytearray(sound)
        at = chance.randrange(len(text))
        piece = chance.choice([b"null", b"[", b"}", b"-1e999", b'"', b"NaN", b"{}", b"\n", b"data: ", b"3,"])
        change = chance.randrange(4)
        if change == 0:
            text[at] = chance.randrange(256)
        elif change == 1:
            text[at:at] = piece
        else:
            text[at : at + chance.randrange(1, 60) if change == 2 else None] = b""
        (tmp_path / "a.txt").write_bytes(text or b"{")
        run = xent("compute", "a.txt", "-f", "json", cwd=tmp_path)
        assert run.returncode in (0, 3), (number, bytes(text), run.stderr)
        assert "Traceback" not in run.stderr


OTHERS = {
    "Gemini": {
        "responseId": "g0",
        "candidates": [
            {
                "content": {"parts": [{"text": "..."}]},
                "logprobsResult": {
                    "topCandidates": [],
                    "chosenCandidates": [{"token": "a", "tokenId": 5, "logProbability": -0.5}],
                },
            }
        ],
    },
    "text-generation-inference": {
        "generated_text": "...",
        "details": {"prefill": [], "tokens": [{"id": 5, "text": "a", "logprob": -0.5, "special": False}]},
    },
    "Ollama": {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "response": "a",
        "done": True,
        "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}],
    },
}


OLLAMA = OTHERS["Ollama"]
STREAMED = [OLLAMA | {"done": False}, OLLAMA, OLLAMA, OLLAMA | {"logprobs": []}]


@pytest.mark.parametrize("server", OTHERS)
def test_responses_of_other_servers_are_named_and_the_line_makes_chats_of_them(tmp_path, server):
    (tmp_path / "a b.json").write_text(json.dumps(OTHERS[server]))
    for command in ("compute", "inspect"):
        run = xent(command, "a b.json", cwd=tmp_path)
        assert (run.returncode, f"responses of {server}" in run.stderr) == (3, True), run.stderr
    if shutil.which("jq") is None:
        pytest.skip("the rest needs jq")
    line = run.stderr.split("hint: ")[1].split(" makes chats")[0]
    assert shell(line, tmp_path).returncode == 0
    run = xent("compute", "chats.jsonl", "--reduction", "mean", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "0.5\n"), run.stderr


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_line_for_ollama_tells_its_responses_apart(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(STREAMED))
    line = xent("compute", "a.jsonl", cwd=tmp_path).stderr.split("hint: ")[1].split(" makes chats")[0]
    assert shell(line, tmp_path).returncode == 0
    made = [json.loads(text) for text in (tmp_path / "chats.jsonl").read_text().splitlines()]
    assert [len(chat["choices"][0]["logprobs"]["content"]) for chat in made] == [2, 1, 0]
