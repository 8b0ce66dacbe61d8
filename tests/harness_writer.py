"""Write samples as lm-evaluation-harness does, in both versions of the format; no code is shared with the reader."""

import hashlib
import json
import random


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def documents(n=40, widths=(4,), seed=0, noise=0.0):
    """Return documents with choices, the log-likelihoods of these, and the index of the right one."""
    shape, own = random.Random(3), random.Random(seed)
    made = []
    for i in range(n):
        width = shape.choice(widths)
        doc = {
            "id": f"Mercury_{700 + i}",
            "question": f"Which of these is number {i}? \u00e9",
            "subject": ["law", "maths", "art"][i % 3],
            "choices": {"text": [f"choice {i} {j}" for j in range(width)], "label": list("ABCDEFG"[:width])},
            "answerKey": "ABCDEFG"[i % width],
        }
        scores = [-1 - 12 * shape.random() for _ in range(width)]
        scores = [min(score + noise * own.gauss(0, 1), -1e-3) for score in scores]
        made.append((doc, scores, shape.randrange(width)))
    return made


def sample(doc_id, doc, scores, gold, target=None, texts=None, contexts=None):
    """Return one sample as `evaluate` of the harness makes it, before it is written."""
    width = len(scores)
    texts = texts or [f" {text}" for text in doc["choices"]["text"]]
    contexts = contexts or [f"Question: {doc['question']}\nAnswer:"] * width
    likeliest = scores.index(max(scores))
    lengths = [len(text) for text in texts]
    normed = [score / length for score, length in zip(scores, lengths, strict=True)]
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": gold if target is None else target,
        "arguments": [(context, text) for context, text in zip(contexts, texts, strict=True)],
        "resps": [[(score, place == likeliest)] for place, score in enumerate(scores)],
        "filtered_resps": [(score, place == likeliest) for place, score in enumerate(scores)],
        "acc": 1.0 if likeliest == gold else 0.0,
        "acc_norm": 1.0 if normed.index(max(normed)) == gold else 0.0,
    }


def as_text(value):
    return [as_text(item) for item in value] if isinstance(value, list | tuple) else str(value)


def write_new(path, samples, filter_name="none"):
    """Write the format since 2024: a line per sample, in which inner values are text; with hashes."""
    with path.open("a", encoding="utf-8") as file:
        for one in samples:
            hashes = {
                "doc_hash": sha(json.dumps(one["doc"], indent=2, ensure_ascii=False)),
                "prompt_hash": sha(one["arguments"][0][0]),
                "target_hash": sha(str(one["target"])),
            }
            arguments = {
                f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(pair)}
                for i, pair in enumerate(one["arguments"])
            }
            changed = {
                "target": str(one["target"]),
                "arguments": arguments,
                "resps": as_text(one["resps"]),
                "filtered_resps": as_text(one["filtered_resps"]),
                "filter": filter_name,
                "metrics": ["acc", "acc_norm"],
            }
            metrics = {name: value for name, value in one.items() if name.startswith("acc")}
            first = {name: one[name] for name in ("doc_id", "doc")}
            file.write(json.dumps(first | changed | hashes | metrics, ensure_ascii=False) + "\n")


def write_old(path, samples):
    """Write the format before 2024: one document, with numbers, and without hashes and filters."""
    path.write_text(json.dumps(samples, indent=2, ensure_ascii=False), encoding="utf-8")
