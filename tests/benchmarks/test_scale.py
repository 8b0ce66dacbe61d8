from dataclasses import replace

import pytest

from benchmarks.scale import GB, Rates, simulate

RATES = Rates(straggling=0, failure=0)


def test_one_worker_takes_the_time_of_reading_and_computing():
    tasks = 100
    each = RATES.request + RATES.task / RATES.connection + RATES.task / RATES.worker
    assert simulate(1, tasks * RATES.task, RATES).seconds == pytest.approx(tasks * each, rel=0.01)


@pytest.mark.parametrize(
    ("workers", "rates", "limit"),
    [
        (10, RATES, "workers"),
        (500, replace(RATES, store=1 * GB), "store"),
        (500, replace(RATES, driver=0.1), "driver"),
        (100, Rates(window=2, straggling=0.05, slowdown=20), "order"),
    ],
)
def test_the_limit_is_the_scarcest_resource(workers, rates, limit):
    assert simulate(workers, 1000 * GB, rates).limit == limit


def test_a_run_is_the_same_for_the_same_seed_and_failures_cost_time():
    rates = Rates(failure=0.01)
    assert simulate(50, 100 * GB, rates, seed=3) == simulate(50, 100 * GB, rates, seed=3)
    assert simulate(50, 100 * GB, rates).seconds > simulate(50, 100 * GB, Rates(failure=0)).seconds


def test_no_more_than_the_store_sends_is_read():
    found = simulate(1000, 1000 * GB, replace(RATES, store=10 * GB))
    assert found.seconds >= 100
    assert found.store <= 1
