"""The k highest of a teacher as columns of tables: every form gives the same rows as two arrays."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import log_softmax

from tests.forked import xent

N, K, TOP = 40, 12, 4
RNG = np.random.default_rng(6)
STUDENT = RNG.normal(0, 2, (N, K))
TEACHER = log_softmax(STUDENT + RNG.normal(0, 1, (N, K)), axis=1)
KL = (np.exp(TEACHER) * (TEACHER - log_softmax(STUDENT, axis=1))).sum(axis=1)
ORDER = np.argsort(-TEACHER, axis=1)
INDEX, LOG_P = ORDER[:, :TOP], np.take_along_axis(TEACHER, ORDER, axis=1)[:, :TOP]
NAMES = [f"name_{i}" for i in range(K)]


def lists(index=INDEX, values=LOG_P):
    return [{"top_indices": i, "top_logprobs": v} for i, v in zip(index.tolist(), values.tolist(), strict=True)]


def ranks(index=INDEX, values=LOG_P):
    pairs = zip(index.tolist(), values.tolist(), strict=True)
    return [{f"top{r + 1}_{n}": x[r] for r in range(TOP) for n, x in (("id", i), ("logprob", v))} for i, v in pairs]


def maps():
    return [
        {"top_logprobs": dict(zip(map(str, i), v, strict=True))}
        for i, v in zip(INDEX.tolist(), LOG_P.tolist(), strict=True)
    ]


def jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def items(path, records):
    jsonl(path, [{k: [{"token": c, "logprob": p} for c, p in v.items()] for k, v in r.items()} for r in records])


def parquet(path, records):
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=7)


def arrow(path, records):
    table = pa.Table.from_pylist(records)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, 9)


def csv(path, records):
    cells = [[json.dumps(value) for value in record.values()] for record in records]
    quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in cells]
    path.write_text("\n".join(",".join(row) for row in [list(records[0]), *quoted]) + "\n")


def parquet_maps(path, records):
    column = pa.array([list(r["top_logprobs"].items()) for r in records], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table({"top_logprobs": column}), path)


FORMS = {
    "lists.parquet": (parquet, lists),
    "lists.arrow": (arrow, lists),
    "lists.jsonl": (jsonl, lists),
    "lists.csv": (csv, lists),
    "ranks.parquet": (parquet, ranks),
    "ranks.arrow": (arrow, ranks),
    "ranks.jsonl": (jsonl, ranks),
    "ranks.csv": (csv, ranks),
    "maps.parquet": (parquet_maps, maps),
    "structs.parquet": (parquet, maps),
    "maps.jsonl": (jsonl, maps),
    "items.jsonl": (items, maps),
}


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "z.npy", STUDENT)
    np.savez(tmp_path / "top.npz", indices=INDEX, values=LOG_P)
    return tmp_path


def run(folder, teacher, *more, labels_from="log-probs", logits="z.npy"):
    words = "compute", logits, teacher, "--labels-from", labels_from, "-o", "rows.jsonl", "-q", *more
    return xent(*words, cwd=folder)


def rows(folder, *args, **more):
    found = run(folder, *args, **more)
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def lie_within(found, kl=KL):
    return all(row["kl_low"] - 1e-12 <= true <= row["kl_high"] + 1e-12 for row, true in zip(found, kl, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_rows_of_arrays(folder, form):
    write, records = FORMS[form]
    write(folder / form, records())
    expected = rows(folder, "top.npz")
    assert rows(folder, form) == expected
    assert lie_within(expected)


@pytest.mark.parametrize("form", ["lists.parquet", "lists.jsonl", "ranks.csv"])
def test_probabilities_in_columns_of_that_name(folder, form):
    write, records = FORMS[form]
    write(folder / form, [
        {key.replace("logprob", "prob"): value for key, value in record.items()}
        for record in records(values=np.exp(LOG_P))
    ])  # fmt: skip
    np.savez(folder / "top.npz", indices=INDEX, values=np.exp(LOG_P))
    assert rows(folder, form, labels_from="probs") == rows(folder, "top.npz", labels_from="probs")


@pytest.mark.parametrize("form", ["lists.jsonl", "lists.parquet", "ranks.csv", "maps.jsonl"])
def test_classes_may_be_names(folder, form):
    write, records = FORMS[form]
    named = records() if form == "maps.jsonl" else records(index=np.array(NAMES, object)[INDEX])
    if form == "maps.jsonl":
        named = [{k: {NAMES[int(c)]: p for c, p in v.items()} for k, v in record.items()} for record in named]
    write(folder / form, named)
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    expected = rows(folder, "top.npz")
    assert rows(folder, form, "--class-names", "names.txt") == expected


def test_lists_of_any_length_keep_the_truth_between_the_ends(folder):
    kept = RNG.integers(1, K + 1, N)
    sorted_rows = np.take_along_axis(TEACHER, ORDER, axis=1)
    records = [
        {"top_ids": i[:n], "top_logprobs": v[:n]}
        for i, v, n in zip(ORDER.tolist(), sorted_rows.tolist(), kept.tolist(), strict=True)
    ]
    for write, name in ((jsonl, "a.jsonl"), (parquet, "a.parquet")):
        write(folder / name, records)
    found = rows(folder, "a.jsonl")
    assert lie_within(found)
    assert found == rows(folder, "a.parquet")
    assert all((row["kl_low"] == row["kl_high"]) == (n == K) for row, n in zip(found, kept, strict=True) if n != K - 1)


@pytest.mark.parametrize("place", ["first", "last", "deduplicated"])
def test_a_sampled_token_beside_the_highest_bounds_nothing(folder, place):
    """The sampled token is listed before or after the k highest, in every row or only where it is not among them."""
    sampled = RNG.integers(0, K, N)
    own = TEACHER[np.arange(N), sampled]
    if place == "deduplicated":
        records = []
        for i, v, token, p in zip(INDEX.tolist(), LOG_P.tolist(), sampled.tolist(), own.tolist(), strict=True):
            more = ([token], [p]) if token not in i else ([], [])
            records.append({"top_ids": more[0] + i, "top_logprobs": more[1] + v})
        jsonl(folder / "a.jsonl", records)
        found = rows(folder, "a.jsonl")
    else:
        sides = [(sampled[:, None], INDEX), (own[:, None], LOG_P)]
        index, values = (np.hstack(pair if place == "first" else pair[::-1]) for pair in sides)
        jsonl(folder / "a.jsonl", lists(index, values))
        np.savez(folder / "a.npz", indices=index, values=values)
        found = rows(folder, "a.jsonl")
        assert found == rows(folder, "a.npz")
    assert lie_within(found)
    without = rows(folder, "top.npz")
    # One more class is known, and the cap is the same, so the bounds can only get closer.
    widths = [[row["kl_high"] - row["kl_low"] for row in some] for some in (found, without)]
    assert all(one <= other + 1e-9 for one, other in zip(*widths, strict=True))


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("form", [lists, None])
def test_beside_the_likeliest_alone_the_values_say_which_token_was_sampled(folder, place, form):
    """The first rows list one token twice, as greedy decoding does; later rows show which one is the likeliest."""
    sampled = np.concatenate([INDEX[:30, 0], RNG.integers(0, K, 10)])
    sides = [(sampled[:, None], INDEX[:, :1]), (TEACHER[np.arange(N), sampled][:, None], LOG_P[:, :1])]
    index, values = (np.hstack(pair if place == "first" else pair[::-1]) for pair in sides)
    if form is lists:
        jsonl(folder / "a.jsonl", lists(index, values))
    else:
        pairs = [zip(map(str, i), v, strict=True) for i, v in zip(index.tolist(), values.tolist(), strict=True)]
        jsonl(folder / "a.jsonl", [{"top_logprobs": [{"token": c, "logprob": p} for c, p in each]} for each in pairs])
    assert lie_within(rows(folder, "a.jsonl"))


def test_an_item_without_a_number_is_named(folder):
    items = [{"token": "3", "logprob": -0.5}, {"token": "1", "logprob": -1.0}]
    jsonl(
        folder / "a.jsonl",
        [{"top_logprobs": items}] * 30 + [{"top_logprobs": [items[0], {**items[1], "logprob": "x"}]}] * 10,
    )
    found = run(folder, "a.jsonl")
    assert (found.returncode, "sample 30" in found.stderr, "found 'x' for \"1\"" in found.stderr) == (3, True, True)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("kind", ["log-probs", "probs"])
def test_what_was_rounded_away_widens_the_ends(folder, dtype, kind):
    rng = np.random.default_rng(1)
    teacher = log_softmax(rng.normal(0, 8, (200, K)), axis=1)
    student = rng.normal(0, 3, (200, K))
    kl = (np.exp(teacher) * (teacher - log_softmax(student, axis=1))).sum(axis=1)
    order = np.argsort(-teacher, axis=1)[:, :TOP]
    values = np.take_along_axis(teacher, order, axis=1)
    values = (np.exp(values) if kind == "probs" else values).astype(dtype)
    np.save(folder / "z.npy", student)
    np.savez(folder / "a.npz", indices=order, values=values)
    found = rows(folder, "a.npz", labels_from=kind)
    assert lie_within(found, kl)
    np.savez(folder / "a.npz", indices=order, values=values.astype(np.float64))
    assert rows(folder, "a.npz", labels_from=kind) == found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"top_indices": [0, 99]}, "found index 99"),
        ({"top_indices": [0, -1]}, "found index -1"),
        ({"top_logprobs": [-0.5]}, "lists of different length"),
        ({"top_logprobs": [-0.5, 1.5]}, "found value 1.5"),
        ({"top_logprobs": None}, "missing value"),
        ({"top_indices": [], "top_logprobs": []}, "an empty list"),
        ({"top_indices": [1, 1]}, "found class 1 again"),
        ({"top_logprobs": [-3.0, -3.5]}, "an inconsistent row"),
        ({"top_indices": ["x", 1]}, "item 0"),
    ],
)
@pytest.mark.parametrize("write", [jsonl, parquet])
def test_what_is_not_the_highest_of_a_distribution_is_refused_with_its_row(folder, write, changed, said):
    records = [{"top_indices": [3, 1], "top_logprobs": [-0.7, -1.2]} for _ in range(N)]
    records[20] |= changed
    if write is parquet and "item" in said:
        pytest.skip("a column of Parquet has one type")
    write(folder / "a", records)
    found = run(folder, "a")
    assert (found.returncode, said in found.stderr) == (3, True), found.stderr
    assert "sample 20" in found.stderr


def test_names_that_are_not_classes_are_refused(folder):
    jsonl(folder / "a.jsonl", [{"top_logprobs": {"3": -0.5, "cat": -1.5}}] * N)
    found = run(folder, "a.jsonl")
    assert (found.returncode, 'found "cat"' in found.stderr) == (3, True), found.stderr


def test_two_sets_of_columns_are_refused_as_ambiguous(folder):
    records = [{**record, "top_values": record["top_logprobs"]} for record in lists()]
    jsonl(folder / "a.jsonl", [{k.replace("logprobs", "vals"): v for k, v in record.items()} for record in records])
    found = run(folder, "a.jsonl")
    assert found.returncode == 3
    assert "--label-column top_vals" in found.stderr
    assert "--label-column top_values" in found.stderr


def test_a_rank_with_a_class_but_no_value_is_refused(folder):
    records = ranks()
    records[7]["top2_logprob"] = None
    for write, name in ((jsonl, "a.jsonl"), (parquet, "a.parquet")):
        write(folder / name, records)
        found = run(folder, name)
        assert (found.returncode, "not a probability" in found.stderr, "sample 7" in found.stderr) == (3, True, True)


def test_a_column_that_is_named_chooses_among_several(folder):
    records = [{**record, "topk_probs": np.exp(record["top_logprobs"]).tolist()} for record in lists()]
    jsonl(folder / "a.jsonl", records)
    expected = rows(folder, "top.npz")
    assert rows(folder, "a.jsonl") == expected  # the name says that the values are log-probabilities
    records = [{**record, "top_values": record["top_logprobs"]} for record in lists()]
    jsonl(folder / "a.jsonl", records)
    assert rows(folder, "a.jsonl", "--label-column", "top_values") == expected


def test_the_highest_logits_of_a_teacher_are_refused(folder):
    jsonl(folder / "a.jsonl", [{"top_indices": [0, 1], "top_values": [3.0, 1.0]}] * N)
    found = run(folder, "a.jsonl", labels_from="logits")
    assert (found.returncode, "--labels-from" in found.stderr) == (3, True), found.stderr


def test_masked_rows_may_lack_their_list(folder):
    records = [{**record, "ok": int(i != 3)} for i, record in enumerate(lists())]
    records[3]["top_logprobs"] = None
    for write, name in ((jsonl, "a.jsonl"), (parquet, "a.parquet")):
        write(folder / name, records)
        found = rows(folder, name, "--mask", "ok")
        assert lie_within([row for i, row in enumerate(found) if i != 3], np.delete(KL, 3))


def test_a_bad_row_is_named_by_its_own_number_where_others_lack_their_list(folder):
    records = [{**record, "ok": int(i not in (1, 3))} for i, record in enumerate(lists())]
    for i in (1, 3):
        records[i] |= {"top_indices": None, "top_logprobs": None}
    records[6]["top_logprobs"] = [0.5, *records[6]["top_logprobs"][1:]]
    parquet(folder / "t.parquet", records)
    parquet(folder / "l.parquet", labelled(records))
    for found in (
        run(folder, "t.parquet", "--mask", "ok"),
        xent("compute", "l.parquet", "--mask", "ok", cwd=folder),
    ):
        assert found.returncode == 3
        assert "row 6 (sample 6)" in found.stderr


LABELS = RNG.integers(0, K, N)
SCORED = {
    "lists.jsonl": (jsonl, lists),
    "lists.parquet": (parquet, lists),
    "lists.csv": (csv, lists),
    "ranks.csv": (csv, ranks),
    "ranks.arrow": (arrow, ranks),
    "maps.jsonl": (jsonl, maps),
    "structs.parquet": (parquet, maps),
}


def labelled(records, label="label"):
    text = "top_logprobs" in records[0] and isinstance(records[0]["top_logprobs"], dict)
    return [{**r, label: str(y) if text else y} for r, y in zip(records, LABELS.tolist(), strict=True)]


@pytest.mark.parametrize("form", SCORED)
def test_labels_beside_the_highest_have_their_loss_or_a_bound_of_it(folder, form):
    write, records = SCORED[form]
    write(folder / form, labelled(records()))
    found = xent("compute", form, "-f", "json", "-o", "rows.jsonl", cwd=folder)
    assert found.returncode == 0, found.stderr
    assert "labels-among-the-highest" in found.stderr
    losses = [json.loads(line)["loss"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    true = -TEACHER[np.arange(N), LABELS]
    listed = (LABELS[:, None] == INDEX).any(axis=1)
    assert [loss for loss in losses if loss is not None] == true[listed].tolist()
    summary = json.loads(found.stdout)["summary"]
    assert (summary["n_bounded"], summary["mean_loss"]) == (N - listed.sum(), None)
    most = np.minimum(np.exp(LOG_P[:, -1]), 1 - np.exp(LOG_P).sum(axis=1))
    bound = np.where(listed, true, -np.log(most))
    assert (bound <= true + 1e-12).all()
    assert summary["mean_loss_at_least"] == pytest.approx(bound.mean(), rel=1e-4)
    assert summary["mean_loss_at_least"] <= bound.mean()
    kept = xent("compute", form, "-f", "json", "--bounded", "ignore", cwd=folder)
    assert json.loads(kept.stdout)["summary"]["mean_loss"] == pytest.approx(true[listed].mean(), rel=1e-12)


def test_maps_of_all_classes_are_logits_by_name(folder):
    everything = [dict(zip(map(str, range(K)), row, strict=True)) for row in TEACHER.tolist()]
    jsonl(folder / "a.jsonl", labelled([{"top_logprobs": row} for row in everything]))
    found = xent("compute", "a.jsonl", "-f", "json", cwd=folder)
    assert found.returncode == 0, found.stderr
    summary = json.loads(found.stdout)["summary"]
    assert summary["mean_loss"] == pytest.approx(-TEACHER[np.arange(N), LABELS].mean(), rel=1e-12)
    assert "n_bounded" not in summary


@pytest.mark.parametrize(
    "option", [("--top-k", "5"), ("--by", "label"), ("--gradients", "g.npy"), ("--labels-from", "probs")]
)
def test_options_about_classes_are_refused_if_only_labels_are_known(folder, option):
    jsonl(folder / "a.jsonl", labelled(lists()))
    found = xent("compute", "a.jsonl", *option, cwd=folder)
    assert found.returncode in (2, 3), found.stdout
    assert (folder / "g.npy").exists() is False


@pytest.mark.parametrize(
    ("label", "what"), [(-9999, "-9999"), (1.5, "1.5"), (float("inf"), "inf"), (float("nan"), "missing value")]
)
def test_a_number_that_is_not_a_class_is_not_a_label_with_a_bounded_loss(folder, label, what):
    rows = [{**row, "label": type(label)(row["label"])} for row in labelled(lists())]
    rows[3]["label"] = label
    parquet(folder / "a.parquet", rows)
    found = xent("compute", "a.parquet", cwd=folder)
    assert (found.returncode, what in found.stderr, "3" in found.stderr) == (3, True, True), found.stderr


def test_a_number_that_names_no_class_is_not_one_of_the_highest(folder):
    rows = labelled(lists())
    rows[2]["top_indices"] = [*rows[2]["top_indices"][:-1], -9999]
    jsonl(folder / "a.jsonl", rows)
    found = xent("compute", "a.jsonl", cwd=folder)
    assert (found.returncode, "-9999" in found.stderr) == (3, True), found.stderr


def test_values_without_a_kind_and_lists_without_a_label_are_refused(folder):
    jsonl(
        folder / "a.jsonl", labelled([{"top_ids": r["top_indices"], "top_values": r["top_logprobs"]} for r in lists()])
    )
    found = xent("compute", "a.jsonl", cwd=folder)
    assert (found.returncode, "--from log-probs" in found.stderr) == (3, True), found.stderr
    assert xent("compute", "a.jsonl", "--from", "log-probs", cwd=folder).returncode == 0
    jsonl(folder / "a.jsonl", lists())
    assert xent("compute", "a.jsonl", cwd=folder).returncode == 3
    np.save(folder / "y.npy", LABELS)
    found = xent("compute", "a.jsonl", "y.npy", "--from", "log-probs", cwd=folder)
    assert (found.returncode, "labels beside the highest" in found.stderr) == (3, True), found.stderr
    many = [{**record, "top_logprobs": [-0.1] * TOP} for record in labelled(lists())]
    jsonl(folder / "a.jsonl", many)
    found = xent("compute", "a.jsonl", cwd=folder)
    assert (found.returncode, "not a distribution" in found.stderr) == (3, True), found.stderr


@pytest.mark.parametrize("form", ["lists.jsonl", "maps.jsonl", "items.jsonl", "ranks.jsonl"])
def test_a_file_of_one_row_is_read_as_the_first_of_many(folder, form):
    write, records = FORMS[form]
    write(folder / form, records()[:1])
    np.save(folder / "one.npy", STUDENT[:1])
    np.savez(folder / "one.npz", indices=INDEX[:1], values=LOG_P[:1])
    assert rows(folder, form, logits="one.npy") == rows(folder, "one.npz", logits="one.npy")


@pytest.mark.parametrize("form", ["lists.parquet", "lists.jsonl", "maps.jsonl", "top.npz"])
def test_a_candidate_of_the_highest_alone_is_refused_with_what_may_have_them(folder, form):
    if form != "top.npz":
        write, records = FORMS[form]
        write(folder / form, records())
    np.save(folder / "dense.npy", TEACHER)
    found = run(folder, "dense.npy", logits=form)
    assert (found.returncode, "every class" in found.stderr) == (3, True), found.stderr
    assert f"xent compute LOGITS {form} --labels-from log-probs" in found.stderr


def test_logits_are_preferred_to_the_highest_in_the_same_table(folder):
    records = [{**r, "logits": row} for r, row in zip(labelled(lists()), STUDENT.tolist(), strict=True)]
    jsonl(folder / "a.jsonl", records)
    found = xent("compute", "a.jsonl", "-f", "json", cwd=folder)
    assert found.returncode == 0, found.stderr
    expected = -log_softmax(STUDENT, axis=1)[np.arange(N), LABELS].mean()
    assert json.loads(found.stdout)["summary"]["mean_loss"] == pytest.approx(expected, rel=1e-12)


ANSWERS = [
    ("yes", (("yes", -1.0), ("no", -1.5))),
    ("no", (("yes", -1.2), ("no", -1.4))),
    ("?", (("no", -0.5), ("yes", -2.5))),
]


@pytest.mark.parametrize("form", ["map", "items", "tokens", "ranks", "numbered"])
def test_classes_that_every_row_lists_are_not_all_if_they_leave_some_probability(folder, form):
    """If all rows list the same two answers, the loss is minus the log-probability, without a softmax over the two."""
    records = []
    for label, pairs in ANSWERS * 3:
        names, values = [token for token, _ in pairs], [value for _, value in pairs]
        if form == "numbered":  # a label may look like the position of a column
            label, names = ("yes", "no", "?").index(label) + 1, [("yes", "no").index(name) + 1 for name in names]
        highest = {
            "map": {"top_logprobs": dict(pairs)},
            "items": {"top_logprobs": [{"token": token, "logprob": value} for token, value in pairs]},
            "tokens": {"top_tokens": names, "top_logprobs": values},
        }
        ranked = {f"top{r + 1}_{n}": x[r] for r in range(2) for n, x in (("token", names), ("logprob", values))}
        records.append({"label": label, **highest.get(form, ranked)})
    jsonl(folder / "a.jsonl", records)
    found = xent("compute", "a.jsonl", "-o", "rows.jsonl", "-q", cwd=folder)
    assert found.returncode == 0, found.stderr
    lines = (folder / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [1.0, 1.4, None] * 3


def test_ranks_with_a_sampled_token_are_not_classes(folder):
    """If a row lists a token twice, numbered columns are still not classes, whatever the labels look like."""
    rows = "".join(f"{1 + i % 2},{1 + i % 2},-0.75,1,-0.75,2,-1.5\n" for i in range(30))
    heading = ",".join(f"top{rank}_{what}" for rank in (1, 2, 3) for what in ("id", "logprob"))
    (folder / "a.csv").write_text(f"label,{heading}\n{rows.replace('2,2,-0.75', '2,2,-1.5')}")
    found = xent("compute", "a.csv", "-f", "csv", "-q", cwd=folder)
    assert found.returncode == 0, found.stderr
    assert [line.split(",")[1] for line in found.stdout.splitlines()[1:3]] == ["0.75", "1.5"]


def test_numbers_beside_names_are_not_outside_the_highest(folder):
    jsonl(folder / "a.jsonl", [{"label": i % 2, "top_logprobs": dict(ANSWERS[i][1])} for i in (0, 1, 2)])
    found = xent("compute", "a.jsonl", cwd=folder)
    assert (found.returncode, "labels are numbers" in found.stderr) == (3, True), found.stderr


def test_a_temperature_needs_every_class(folder):
    jsonl(folder / "a.jsonl", [{"label": "yes", "top_logprobs": dict(ANSWERS[i % 3][1])} for i in range(9)])
    found = xent("compute", "a.jsonl", "--temperature", "2", cwd=folder)
    assert (found.returncode, "--temperature needs every class of a row" in found.stderr) == (2, True), found.stderr


def test_a_number_in_place_of_a_list_of_classes_is_refused(folder):
    jsonl(
        folder / "a.jsonl",
        [{"label": 1, "top_ids": 3 if i == 4 else [1, 2], "top_logprobs": [-0.5, -1.5]} for i in range(9)],
    )
    found = xent("compute", "a.jsonl", cwd=folder)
    assert (found.returncode, "sample 4" in found.stderr) == (3, True), found.stderr
