from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xent_cli.engines.ordered import in_order, run_together

SHORT, LONG = 0.001, 10.0


def short(_):
    return SHORT


def long(_):
    return LONG


def sizes_of_submissions(tasks, window, seconds, together):
    """Return how many tasks each submission contained, given the time of a task."""
    sizes = []

    def submit(some):
        sizes.append(len(some))
        return some

    def result(some):
        return sum(map(seconds, some)), some

    assert list(in_order(tasks, window, submit, result, list.clear, together)) == list(tasks)
    return sizes


def test_short_tasks_go_together_after_the_first_window():
    assert sizes_of_submissions(range(24), 8, short, 4) == [1] * 8 + [4] * 4
    assert sizes_of_submissions(range(22), 8, short, 4) == [1] * 8 + [4, 4, 4, 2]


def test_long_tasks_go_one_by_one():
    assert sizes_of_submissions(range(24), 8, long, 4) == [1] * 24


def test_tasks_go_one_by_one_again_when_they_are_no_longer_short():
    sizes = sizes_of_submissions(range(30), 8, lambda task: SHORT if task < 12 else LONG, 4)
    assert sizes == [1] * 8 + [4] * 3 + [1] * 10


@given(st.integers(0, 60), st.integers(4, 12), st.integers(1, 4), st.randoms())
def test_no_more_than_the_window_are_under_way_and_all_come_in_order(n, window, together, chance):
    taken = []

    def result(some):
        return chance.choice([SHORT, LONG]), some

    results = in_order((taken.append(i) or i for i in range(n)), window, list, result, list.clear, together)
    for done, found in enumerate(results):
        assert found == done
        assert len(taken) <= done + window
    assert taken == list(range(n))


def test_tasks_in_flight_are_cancelled_when_the_iterator_is_closed():
    left = []
    results = in_order(count(), 6, list, lambda some: (SHORT, some), left.extend, 2)
    assert list(islice(results, 3)) == [0, 1, 2]
    results.close()
    assert left == [[3], [4], [5], [6, 7]]


def test_a_failure_of_the_tasks_themselves_comes_after_the_results_before_it():
    def tasks():
        yield from range(11)
        raise OSError("gone")

    results = in_order(tasks(), 4, list, lambda some: (SHORT, some), list.clear, 4)
    assert list(islice(results, 11)) == list(range(11))
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_run_together_says_how_long_the_tasks_took():
    seconds, results = run_together(abs, [-1, 2])
    assert results == [1, 2]
    assert 0 <= seconds < 10
