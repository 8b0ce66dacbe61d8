"""Megatron-LM's caches of a teacher: every layout that it writes, and files that only look like a cache."""

import io
import json
import tarfile

import numpy as np
import pytest
from scipy.special import log_softmax

from tests.forked import xent
from tests.megatron_writer import cache, packed, payload, write

S, B, K, TOP = 6, 4, 40, 8
RNG = np.random.default_rng(8)
STUDENT = RNG.normal(0, 2, (3, S, B, K))
TEACHER = log_softmax(STUDENT + RNG.normal(0, 1.5, STUDENT.shape), axis=-1)
KL = (np.exp(TEACHER) * (TEACHER - log_softmax(STUDENT, axis=-1))).sum(axis=-1).ravel()
ORDER = np.argsort(-TEACHER, axis=-1)[..., :TOP]
LOG_P = np.take_along_axis(TEACHER, ORDER, axis=-1)
# Top-P: an entry is kept if the sum of those before it is less than 0.9.
KEPT = np.cumsum(np.exp(LOG_P), axis=-1) - np.exp(LOG_P) < 0.9


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "z.npy", STUDENT)
    return tmp_path


def run(folder, teacher="dp0__2.tar", *more):
    return xent("compute", "z.npy", teacher, "-o", "rows.jsonl", "-q", *more, cwd=folder)


def rows(folder, *args):
    found = run(folder, *args)
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def batches(iteration, *, top_p):
    index = np.where(KEPT[iteration], ORDER[iteration], -1) if top_p else ORDER[iteration]
    return index, LOG_P[iteration]


@pytest.mark.parametrize("top_p", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_true_divergence_lies_between_the_ends(folder, dtype, top_p):
    cache(folder / "dp0__2.tar", {i: [batches(i, top_p=top_p)] for i in range(3)}, dtype)
    found = rows(folder)
    assert len(found) == KL.size
    assert all(row["kl_low"] <= kl <= row["kl_high"] for row, kl in zip(found, KL, strict=True))


def test_microbatches_of_the_first_version_follow_one_another(folder):
    """Each is as wide as its row with the most entries."""
    split = {}
    student = []
    for i in range(3):
        index, log_p = batches(i, top_p=True)
        parts = [(index[:, b : b + 2], log_p[:, b : b + 2]) for b in (0, 2)]
        widths = [int((part >= 0).sum(axis=-1).max()) for part, _ in parts]
        split[i] = [(part[..., :k], values[..., :k]) for (part, values), k in zip(parts, widths, strict=True)]
        student += [STUDENT[i, :, b : b + 2].reshape(-1, K) for b in (0, 2)]
    cache(folder / "dp0__2.tar", split, "float32", version=1)
    np.save(folder / "z.npy", np.concatenate(student))
    halves = rows(folder)
    cache(folder / "dp0__2.tar", {i: [batches(i, top_p=True)] for i in range(3)}, "float32")
    np.save(folder / "z.npy", STUDENT)
    whole = np.array([row["kl_low"] for row in rows(folder)]).reshape(3, S, B)
    again = [whole[i, :, b : b + 2].ravel() for i in range(3) for b in (0, 2)]
    assert [row["kl_low"] for row in halves] == np.concatenate(again).tolist()


def test_the_sentinel_is_recognised_by_its_value_because_its_class_may_be_valid(folder):
    """The index of the last of 131,072 classes is the number that -1 is packed as."""
    size = 1 << 17
    student = np.zeros((4, size), np.float32)
    index = np.array([[[size - 1, 5, -1]], [[5, size - 1, 7]], [[70000, 2, 3]], [[1, -1, -1]]])
    log_p = np.log(np.broadcast_to([0.5, 0.25, 0.125], index.shape))
    cache(folder / "dp0__0.tar", {0: [(index, log_p)]}, "float32")
    np.save(folder / "z.npy", student)
    found = rows(folder, "dp0__0.tar")
    sums = [(index[i, 0], log_p[i, 0]) for i in range(4)]
    for row, (classes, values) in zip(found, sums, strict=True):
        held = values[classes >= 0]
        least = (np.exp(held) * (held + np.log(size))).sum()
        rest, left = 1 - np.exp(held).sum(), size - held.size
        assert row["kl_low"] == pytest.approx(least + rest * np.log(rest * size / left), rel=1e-5)


def test_a_folder_of_them_is_one_input(folder):
    (folder / "cache").mkdir()
    cache(folder / "all.tar", {i: [batches(i, top_p=True)] for i in range(3)})
    for i in range(3):
        cache(folder / "cache" / f"dp0__{i}.tar", {i: [batches(i, top_p=True)]})
    assert rows(folder, "cache") == rows(folder, "all.tar")


def archive_of(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def named(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


META = (named("_meta.json"), b"{}")
GOOD = packed(payload([batches(0, top_p=True)]))
HUGE = bytearray(archive_of(META, (named("0.pt.zst"), GOOD)))
HUGE[1024 + 124 : 1024 + 136] = b"77777777777\0"
HUGE[1024 + 148 : 1024 + 156] = b"        "
HUGE[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(HUGE[1024 : 1024 + 512])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive_of(META, (named("0.pt.zst", tarfile.SYMTYPE, "/etc/passwd"), b"")), "a symbolic link"),
        (archive_of(META, (named("0.pt.zst", tarfile.LNKTYPE, "_meta.json"), b"")), "a hard link"),
        (archive_of(META, (named("/etc/0.pt.zst"), GOOD)), "a path in a tar archive"),
        (archive_of(META, (named("../0.pt.zst"), GOOD)), "a path in a tar archive"),
        (archive_of(META, (named("a/0.pt.zst"), GOOD)), "a path in a tar archive"),
        (archive_of(META, (named("0.pt.zst" + "x" * 200), GOOD)), "a header in another format"),
        (archive_of(META, (named("inner.tar"), archive_of(META))), "not a cache"),
        (archive_of(META, (named("0.pt.zst"), GOOD), (named("0.pt.zst"), GOOD)), "iteration 0 again"),
        (archive_of(META), "no iteration"),
        (archive_of(META, (named("0.pt.zst"), b"")), "0.pt.zst"),
        (archive_of(META, (named("0.pt.zst"), b"\x28\xb5\x2f\xfdrubbish")), "damaged zstd data"),
        (archive_of(META, (named("0.pt.zst"), GOOD[:-20])), "0.pt.zst"),
        (archive_of(META, (named("0.pt.zst"), packed(b"PK\3\4 no archive"))), "damaged"),
        (archive_of(META, (named("0.pt.zst"), GOOD))[: 1024 + 700], "truncated tar archive"),
        (archive_of(META, (named("0.pt.zst"), GOOD))[:1024], "truncated tar archive"),
        (bytes(HUGE), "truncated tar archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_archive_that_is_not_a_cache_is_refused(folder, content, said):
    (folder / "a.tar").write_bytes(content)
    found = run(folder, "a.tar")
    assert (found.returncode, said in found.stderr) == (3, True), found.stderr


def test_an_iteration_that_decompresses_to_more_than_fits_is_refused(folder):
    write(folder / "a.tar", {"0.pt.zst": packed(bytes(600 << 20))})
    found = run(folder, "a.tar")
    assert (found.returncode, "an iteration too large" in found.stderr) == (3, True), found.stderr


def test_a_cache_is_a_teacher_and_holds_log_probabilities(folder):
    cache(folder / "dp0__2.tar", {i: [batches(i, top_p=True)] for i in range(3)})
    found = run(folder, "dp0__2.tar", "--labels-from", "probs")
    assert (found.returncode, "holds log-probabilities" in found.stderr) == (2, True)
    found = xent("compute", "dp0__2.tar", "z.npy", cwd=folder)
    assert (found.returncode, "LABELS" in found.stderr) == (3, True)
    np.save(folder / "z.npy", STUDENT[:2])
    found = run(folder)
    assert (found.returncode, "inputs of different length" in found.stderr) == (3, True)
