"""Dask and Ray with real processes: the same bits, and failures of clusters."""

import gc
import json
import lzma
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections import deque
from itertools import count, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tests import forked
from tests.ports import free_port
from tests.torch_writer import save as save_torch
from tests.waiting import PATIENCE_SECONDS, endless, names, until
from xent_cli.cli.runs.evaluate_pair import evaluate_pair
from xent_cli.cli.runs.outputs.targets import Targets
from xent_cli.core.block import Rows
from xent_cli.core.options import LossOptions, Outputs
from xent_cli.core.totals.cluster_rule import ClusterRule
from xent_cli.engines import dask as dask_engine
from xent_cli.engines.dask import open_dask
from xent_cli.engines.interface import TASKS_TOGETHER, refuse_other_versions
from xent_cli.engines.local import SerialEngine, open_local
from xent_cli.engines.ray import open_ray
from xent_cli.errors import InputError, XentError
from xent_cli.readers.columnar.parquet import GroupRows
from xent_cli.readers.options import ReadOptions, RunNeeds
from xent_cli.readers.pair.pair import open_pair

pytest.importorskip("distributed", reason="Dask is an extra")
dask = pytest.importorskip("dask", reason="Dask is an extra")
pytest.importorskip("ray", reason="Ray is an extra")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

OPEN = {"dask": open_dask, "ray": open_ray}
RNG = np.random.default_rng(19)
N, K = 6000, 20
LOGITS = (4 * RNG.normal(size=(N, K))).astype(np.float32)
LABELS = RNG.integers(0, K, N)


@pytest.fixture(scope="module", params=list(OPEN))
def cluster(request):
    """Start an engine on two processes; Dask's logs are kept short, so that other growth is visible after few tasks."""
    with dask.config.set({"distributed.admin.low-level-log-length": 20}), OPEN[request.param](None, 2) as engine:
        yield engine


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for i in range(12):
        part = slice(i * 500, i * 500 + 500)
        table = pa.table({"logits": LOGITS[part].tolist(), "label": LABELS[part]})
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=170)
    return folder


def totals(folder, engine):
    pair = open_pair(str(folder), None, None, ReadOptions(run=RunNeeds(whole_groups=True)))
    wanted = Outputs(figures=True, top_k=(1, 5), worst=3)
    return evaluate_pair(pair, LossOptions(label_smoothing=0.1), wanted, engine, Targets()).losses


def double(x):
    return 2 * x


def slow(x):
    time.sleep(0.3)
    return x


def own_pid(x):
    time.sleep(0.05)
    return os.getpid()


def fail_twice(path):
    """Fail the first two times, counted in a file."""
    with Path(path).open("ab") as file:
        file.write(b".")
    if Path(path).stat().st_size < 3:
        raise OSError("try again")
    return "done"


def refuse(x):
    raise InputError("bad cell", "t.csv line 3", found=str(x), hint="mend it")


def test_results_come_in_the_order_of_the_tasks(cluster):
    assert list(cluster.map(double, range(50))) == [2 * i for i in range(50)]
    assert list(cluster.map(double, [])) == []


def test_no_more_than_the_window_is_taken_ahead_of_the_results(cluster):
    taken = []

    def tasks():
        for i in range(100):
            taken.append(i)
            yield i

    for done, _ in enumerate(cluster.map(double, tasks())):
        assert len(taken) <= done + cluster.window + 1
    assert len(taken) == 100


def test_the_main_process_keeps_nothing_of_a_finished_task(cluster, monkeypatch):
    monkeypatch.setattr(dask_engine, "_KEYS_REMEMBERED", 20)  # lowered, because 100 bundles would not reach it
    tasks = 100 * TASKS_TOGETHER  # more tasks than the bounded logs of either engine hold

    def lengths():
        gc.collect()
        return {id(held): len(held) for held in gc.get_objects() if isinstance(held, dict | list | set | deque)}

    results = cluster.map(double, count())
    first, second, third = [lengths() for _ in range(3) if list(islice(results, tasks))]
    results.close()
    grown = [
        third[held]
        for held in first.keys() & second.keys() & third.keys()
        if min(second[held] - first[held], third[held] - second[held]) > 80  # some are still in flight
    ]
    assert grown == []  # Dask's spans kept a dictionary for each


def test_tasks_run_in_other_processes(cluster):
    pids = set(cluster.map(own_pid, range(12)))
    assert os.getpid() not in pids
    assert pids


def test_every_figure_has_the_bits_of_the_serial_engine(cluster, shards):
    serial = totals(shards, SerialEngine()).summarize()
    assert totals(shards, open_local(3)).summarize() == serial
    assert totals(shards, cluster).summarize() == serial


def test_clusters_of_samples_have_the_bits_of_the_serial_engine(cluster, tmp_path):
    np.save(tmp_path / "z.npy", LOGITS.reshape(60, 100, K))
    np.save(tmp_path / "y.npy", LABELS.reshape(60, 100))

    def found(engine, rule):
        options = ReadOptions(run=RunNeeds(whole_groups=True, task_bytes=7777))
        pair = open_pair(str(tmp_path / "z.npy"), str(tmp_path / "y.npy"), None, options)
        outputs = Outputs(figures=True, cluster=rule)
        return evaluate_pair(pair, LossOptions(), outputs, engine, Targets()).losses.summarize()

    for rule in (ClusterRule("axis 0", steps=(100,)), ClusterRule("axis 1", counts=(100,))):
        serial = found(SerialEngine(), rule)
        assert serial.n_clusters == (60 if rule.contiguous else 100)
        assert found(open_local(3), rule) == serial
        assert found(cluster, rule) == serial


def csv_text():
    head = [*(f"logit_{i}" for i in range(K)), "label"]
    rows = ([*map(repr, map(float, row)), str(label)] for row, label in zip(LOGITS[:1000], LABELS, strict=False))
    return "".join(",".join(cells) + "\n" for cells in [head, *rows])


def json_rows():
    rows = zip(LOGITS[:1000].tolist(), LABELS.tolist(), strict=False)
    return json.dumps([{"logits": row, "label": label} for row, label in rows])


def hive(folder):
    for part, name in enumerate(["split=test/lang=en", "split=test/lang=fr", "split=train/lang=en"]):
        rows = slice(part * 2000, part * 2000 + 2000)
        (folder / name).mkdir(parents=True)
        table = pa.table({"logits": LOGITS[rows].tolist(), "label": LABELS[rows]})
        pq.write_table(table, folder / name / "p.parquet", row_group_size=300)


def records(path):
    rows = np.zeros(N, [("logits", "f4", (K,)), ("label", "i8")])
    rows["logits"], rows["label"] = LOGITS, LABELS
    np.save(path, rows)


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", csv_text())


PIECES = {f"logits_{i}": piece for i, piece in enumerate(np.split(LOGITS, 12))}
FORMS = {
    "d.pt": lambda path: save_torch(path, {"logits": LOGITS, "labels": LABELS}),
    "l.bin": lambda path: LOGITS.tofile(path),
    "r.npy": records,
    "hive": hive,
    "d.json": lambda path: path.write_text(json_rows()),
    "t.csv.xz": lambda path: path.write_bytes(lzma.compress(csv_text().encode())),
    "u.csv": lambda path: path.write_bytes(csv_text().encode("utf-16")),
    "t.zip": zipped,
    "n.npz": lambda path: np.savez(path, labels=LABELS, **PIECES),
    "c.npz": lambda path: np.savez_compressed(path, labels=LABELS, **PIECES),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_has_the_bits_of_the_serial_engine(cluster, name, tmp_path):
    FORMS[name](tmp_path / name)
    raw = name.endswith(".bin")
    np.save(tmp_path / "y.npy", LABELS)
    run = RunNeeds(whole_groups=True, task_bytes=1 << 15)
    options = ReadOptions(run=run, shape=(N, K), logits_dtype="float32") if raw else ReadOptions(run=run)

    def found(engine):
        pair = open_pair(str(tmp_path / name), str(tmp_path / "y.npy") if raw else None, None, options)
        wanted = Outputs(figures=True, top_k=(1, 5), worst=3)
        return evaluate_pair(pair, LossOptions(), wanted, engine, Targets()).losses.summarize()

    assert found(cluster) == found(SerialEngine())


def test_an_error_of_a_task_comes_back_as_itself(cluster):
    with pytest.raises(InputError, match="bad cell") as caught:
        list(cluster.map(refuse, [7]))
    assert (caught.value.found, caught.value.hint) == ("7", "mend it")


def test_an_error_of_the_tasks_is_raised_after_the_results_before_it(cluster):
    def tasks():
        yield 1
        raise InputError("no more")

    results = cluster.map(double, tasks())
    assert next(results) == 2
    with pytest.raises(InputError, match="no more"):
        next(results)


def test_a_task_that_fails_twice_works_the_third_time(cluster, tmp_path):
    assert list(cluster.map(fail_twice, [str(tmp_path / "count")])) == ["done"]


def test_a_task_that_always_fails_is_not_tried_forever(cluster):
    with pytest.raises(ZeroDivisionError):
        list(cluster.map((1).__truediv__, [0]))


def test_a_worker_that_is_killed_is_replaced(cluster):
    pid = next(cluster.map(own_pid, [0]))
    results = cluster.map(slow, range(10))
    assert next(results) == 0
    os.kill(pid, signal.SIGKILL)
    assert list(results) == list(range(1, 10))


def test_a_shard_that_vanishes_is_named(cluster, shards, tmp_path):
    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pair = open_pair(str(tmp_path), None, None, ReadOptions(run=RunNeeds(whole_groups=True)))
    (tmp_path / "part-7.parquet").unlink()
    with pytest.raises(InputError, match=r"no such file\n.*part-7\.parquet"):
        evaluate_pair(pair, LossOptions(), Outputs(), cluster, Targets())


def test_recipes_stay_small_whatever_they_read(shards, tmp_path):
    import pickle

    np.save(tmp_path / "l.npy", LOGITS)
    np.save(tmp_path / "y.npy", LABELS)
    for paths in ((str(shards), None), (str(tmp_path / "l.npy"), str(tmp_path / "y.npy"))):
        for task in open_pair(*paths, None, ReadOptions(run=RunNeeds(whole_groups=True))).tasks():
            assert not any(isinstance(part, Rows) for part in task.parts)
            # The footer of a Parquet file is sent along, so that no worker reads it again for each row group.
            footers = [part.source.footer.serialized_size for part in task.parts if isinstance(part, GroupRows)]
            assert len(footers) == (len(task.parts) if paths[1] is None else 0)
            assert max(footers, default=0) <= 1 << 16
            assert len(pickle.dumps(task)) < 2000 + sum(footers)


def test_workers_of_another_version_are_refused():
    with pytest.raises(InputError, match=r"different version of xent\n  worker b: found 9\.9"):
        refuse_other_versions(lambda: {"a": __import__("xent_cli").__version__, "b": "9.9"})
    with pytest.raises(InputError, match="xent does not run on the workers"):
        refuse_other_versions(lambda: __import__("no_such_package"))


# The tests below run the command.


@pytest.fixture
def command():
    """Return a function that starts the command; processes that are still running after the test are killed."""
    begun = []

    def start(*arguments, **options):
        line = [sys.executable, "-m", "xent_cli", "compute", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(line, start_new_session=True, **pipes, **options))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def parts_in(folder):
    return list(folder.glob(".rows*/part-*"))


def processes_of(session):
    """Return the processes of a session that are still running."""
    found = subprocess.run(["ps", "-s", str(session), "-o", "pid=,stat="], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "Z" not in line]


@pytest.mark.parametrize("engine", ["local", "dask", "ray"])
def test_workers_write_rows_and_gradients_as_parts_and_the_document_is_the_same(command, engine, shards, tmp_path):
    arguments = ["--threads", 2, "-o", f"{tmp_path}/rows/", "--gradients", f"{tmp_path}/g/", "-f", "json"]
    first = forked.xent("compute", shards, "--engine", "local", *arguments)
    assert first.returncode == 0, first.stderr
    process = command(shards, "--engine", engine, *arguments)  # instead of the first one
    assert process.communicate(timeout=PATIENCE_SECONDS) == (first.stdout, first.stderr)
    assert process.returncode == 0
    rows = pyarrow.dataset.dataset(tmp_path / "rows").to_table().sort_by("sample")
    expected = forked.xent("compute", shards, "-o", tmp_path / "rows.parquet", "--gradients", tmp_path / "g.npy")
    assert expected.returncode == 0, expected.stderr
    assert rows.equals(pq.read_table(tmp_path / "rows.parquet"))
    found = [np.load(path) for path in sorted((tmp_path / "g").glob("part-*.npy"))]
    np.testing.assert_array_equal(np.concatenate(found), np.load(tmp_path / "g.npy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "g.npy", "rows", "rows.parquet"]


def test_a_folder_that_is_not_an_output_is_not_replaced(command, shards, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    process = command(shards, "-o", f"{tmp_path}/mine/")
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    assert "will not replace folder" in told
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_ctrl_c_leaves_no_process_and_no_output(command, engine, tmp_path):
    process = command(
        *endless(tmp_path, 10**7, 1000), "--engine", engine, "--threads", 2, "-o", f"{tmp_path}/rows/", "-q"
    )
    until(lambda: parts_in(tmp_path), "parts of the output", lambda: names(tmp_path))
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    until(lambda: not processes_of(process.pid), "no process", lambda: processes_of(process.pid))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.npy", "y.npy"]


def test_a_cluster_is_found_by_its_scheduler_file(command, shards, tmp_path):
    at = ["--scheduler-file", str(tmp_path / "s.json"), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", *at]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", *at]
    processes = [subprocess.Popen(line, **quiet) for line in (scheduler, worker, worker)]
    try:
        until((tmp_path / "s.json").exists, "the file of the scheduler", lambda: names(tmp_path))
        process = command(shards, "--reduction", "mean", "--engine", "dask", "--scheduler", tmp_path / "s.json")
        found, told = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, told
        assert found == command(shards, "--reduction", "mean").communicate(timeout=PATIENCE_SECONDS)[0]
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def test_a_scheduler_that_goes_away_ends_the_run(command, tmp_path):
    address = f"tcp://127.0.0.1:{free_port()}"
    base = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--host", address]
    scheduler = subprocess.Popen(base, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    line = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-dashboard", "--nthreads", "1"]
    worker = subprocess.Popen([*line, "--death-timeout", "20"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        output = ["-o", f"{tmp_path}/rows/", "-q"]
        process = command(*endless(tmp_path, 10**7, 1000), "--engine", "dask", "--scheduler", address, *output)
        until(lambda: parts_in(tmp_path), "parts of the output", lambda: names(tmp_path))
        scheduler.kill()
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 3, told
        assert "scheduler" in told
        assert not (tmp_path / "rows").exists()
    finally:
        for other in (scheduler, worker):
            other.kill()
            other.wait()


# Each test has a cluster, because one of two runs on the same cluster may wait long for a core that the other keeps
# busy.
@pytest.mark.parametrize("kind", ["address", "client"])
def test_a_ray_cluster_that_goes_away_ends_the_run_on_it(command, tmp_path, kind):
    """Whether the run can reach the store of the cluster's state or is only a client."""
    host, port, client = "127.0.0.1", str(free_port()), str(free_port())
    surroundings = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(16).hex()}
    # Ray starts a process for each client, which may take longer than the 30 s that Ray waits on a busy machine.
    surroundings |= {"RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": str(PATIENCE_SECONDS)}
    line = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head"]
    line += ["--node-ip-address", host, "--port", port, "--ray-client-server-port", client]
    options = ["--block", "--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    head = subprocess.Popen([*line, *options], start_new_session=True, env=surroundings, **silent)
    inputs = endless(tmp_path, 10**7, 1000)
    folder = tmp_path / "out"
    folder.mkdir()
    try:
        address = f"{host}:{port}" if kind == "address" else f"ray://{host}:{client}"
        ray_is_up(address, surroundings)
        output = ["-o", f"{folder}/rows/", "-q"]
        run = command(*inputs, "--engine", "ray", "--scheduler", address, *output, env=surroundings)
        until(lambda: parts_in(folder), "parts of the output", lambda: names(folder))
        # the store of the cluster's state, its raylet and the processes that watch them
        os.killpg(head.pid, signal.SIGKILL)
        shown, message = run.communicate(timeout=PATIENCE_SECONDS)
        assert run.returncode == 3, message
        assert "the Ray cluster went away" in message
        assert shown == ""
        assert names(folder) == []
    finally:
        if head.poll() is None:
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()


def ray_is_up(address, surroundings):
    """Wait until Ray can connect: its ports are open before the services behind them are ready."""
    line = [sys.executable, "-c", f"import ray; ray.init({address!r})"]
    told = ""

    def is_up():
        nonlocal told
        try:  # a client that connects too early may wait for ever
            done = subprocess.run(line, capture_output=True, text=True, env=surroundings, timeout=PATIENCE_SECONDS / 3)
        except subprocess.TimeoutExpired:
            told = "no answer to a client"
            return False
        told = done.stderr
        return done.returncode == 0

    until(is_up, "a Ray cluster that answers", lambda: told)


def test_messages_of_ray_about_retried_tasks_are_not_in_the_output(tmp_path):
    code = (
        "import sys, time\n"
        "from tests.engines.test_clusters import fail_twice, open_ray\n"
        "with open_ray(None, 1) as engine:\n"
        "    found = list(engine.map(fail_twice, sys.argv[1:]))\n"
        "    time.sleep(1)\n"
        "print(found)\n"
    )
    line = [sys.executable, "-c", code, tmp_path / "count"]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd=root, env=environment)
    assert done.stdout == "['done']\n", done.stderr


def test_an_address_where_nobody_answers_is_named(command, shards):
    address = f"127.0.0.1:{free_port()}"
    process = command(shards, "--engine", "ray", "--scheduler", address)
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3, told
    assert address in told
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"no Dask scheduler\n  {address}"), open_dask(address, 1, patience=1.0):
        pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-", "--engine", "dask"], "standard input"),
        (["x.npy", "--scheduler", "tcp://127.0.0.1:1"], "without --engine"),
    ],
)
def test_options_that_make_no_sense_are_refused(command, arguments, said):
    process = command(*arguments)
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert said in told


def test_a_missing_package_is_named(monkeypatch):
    for name, opening in OPEN.items():
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(XentError, match=rf"pip install .*\[{name}\]"), opening(None, 1):
            pass
