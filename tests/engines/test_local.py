import threading
import time
import weakref

import pytest

from tests.waiting import PATIENCE_SECONDS
from xent_cli.engines.local import SerialEngine, ThreadEngine, open_local


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_task_order_whatever_takes_longest(threads):
    def work(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(open_local(threads).map(work, range(20))) == [i * i for i in range(20)]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_tasks_than_the_window_are_taken_before_a_result_is(threads):
    engine = open_local(threads)
    taken = []
    tasks = (taken.append(i) or i for i in range(100))
    results = engine.map(lambda i: i, tasks)
    assert next(results) == 0
    if isinstance(engine, ThreadEngine):
        results.close()  # this waits for the tasks that had begun
    assert 1 <= len(taken) <= engine.window + 1


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_is_raised_in_its_turn(threads):
    results = open_local(threads).map(lambda i: 1 // (3 - i), iter(range(10)))
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_the_tasks_raise_comes_after_the_results_before_it():
    def tasks():
        yield from (1, 2, 3)
        raise ValueError("the input ended")

    results = ThreadEngine(2).map(lambda i: i, tasks())
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="the input ended"):
        next(results)


def test_one_task_runs_without_a_pool():
    names = list(ThreadEngine(2).map(lambda _: threading.current_thread().name, [0]))
    assert names == ["MainThread"]


@pytest.mark.parametrize("threads", [2, 3])
def test_the_calling_thread_is_one_of_the_working_threads(threads):
    together = threading.Barrier(threads)

    def work(_):
        together.wait(PATIENCE_SECONDS)  # the barrier breaks unless this many tasks run at the same time
        return threading.current_thread().name

    before = set(threading.enumerate())
    names = set(ThreadEngine(threads).map(work, range(4 * threads)))
    assert len(names) == threads
    assert [name for name in names if not name.startswith("xent")] == ["MainThread"]
    assert {thread for thread in threading.enumerate() if thread.name.startswith("xent")} <= before


def test_the_thread_that_makes_tasks_runs_one_only_if_enough_are_waiting():
    engine = ThreadEngine(2)
    made, taken, unfinished = [], [], []
    enough = threading.Event()

    def work(i):
        if threading.current_thread() is threading.main_thread():
            unfinished.append(len(made) - len(taken))
            enough.set()
        else:  # other threads would otherwise finish them all before the calling thread has a turn
            assert enough.wait(PATIENCE_SECONDS), "the thread that asks ran none"
        return i

    for result in engine.map(work, (made.append(i) or i for i in range(20))):
        taken.append(result)
        if len(made) == 20:
            break
    assert unfinished, "the thread that asks ran none"
    assert set(unfinished) == {engine.window}


def test_the_memory_of_a_finished_task_is_freed():
    class Task:
        pass

    made = []

    def tasks():
        for i in range(30):
            if i > 10:
                assert made[i - 10]() is None, f"task {i - 10} is held while task {i} is made"
            if i > 20:
                assert made[0]() is None, "the first task is held"
            task = Task()
            made.append(weakref.ref(task))
            yield task
            del task

    assert len(list(ThreadEngine(2).map(id, tasks()))) == 30


def test_ctrl_c_in_a_task_does_not_wait_for_its_turn():
    started, interrupted = threading.Event(), threading.Event()

    def work(i):
        if threading.current_thread() is not threading.main_thread():
            started.set()
            assert interrupted.wait(PATIENCE_SECONDS), "no task was interrupted"
            return i
        assert started.wait(PATIENCE_SECONDS), "no second thread took a task"
        interrupted.set()
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    results = ThreadEngine(2).map(work, range(8))
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert {thread for thread in threading.enumerate() if thread.name.startswith("xent")} <= before


def test_one_thread_is_the_serial_engine():
    assert isinstance(open_local(1), SerialEngine)
    assert open_local(2) == ThreadEngine(2)
