"""How often `xent compute` calls from a lower layer into a higher one, because such calls are hard to follow."""

import os
import subprocess
import sys

import numpy as np

# Prints each function when it is entered for the first time; class bodies do not count.
TRACE = """
import sys
RANKS = dict.fromkeys(("errors", "extras", "temporary_files"), 0)
RANKS |= {"core": 1} | dict.fromkeys(("readers", "engines", "writers", "reports"), 2)
entered = {}

def enter(frame, event, argument):
    code = frame.f_code
    folder, found, module = code.co_filename.partition("/xent_cli/")
    if event == "call" and found and code.co_flags & 1 and not code.co_name.startswith("<"):
        entered.setdefault((module, code.co_qualname), RANKS.get(module.split("/")[0].removesuffix(".py"), 3))

from xent_cli.cli import main
sys.setprofile(enter)
try:
    main()
finally:
    sys.setprofile(None)
    ranks = list(entered.values())
    climbs = [(a, b) for a, b in zip(entered, list(entered)[1:]) if entered[a] < entered[b]]
    print(len(climbs), *(f"{a[1]} -> {b[1]}" for a, b in climbs), sep="\\n", file=sys.stderr)
"""
MOST = 14


def test_the_way_of_a_run_seldom_climbs_from_a_lower_layer_to_a_higher_one(tmp_path):
    np.save(tmp_path / "l.npy", np.random.default_rng(0).normal(size=(20, 4)))
    np.save(tmp_path / "y.npy", np.arange(20) % 4)
    # Without a buffer, each piece of a row would be a write to standard output.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    argv = [sys.executable, "-c", TRACE, "compute", "l.npy", "y.npy", "-q"]
    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=env)
    climbs, *where = run.stderr.splitlines()
    assert int(climbs) <= MOST, "\n".join(where)
