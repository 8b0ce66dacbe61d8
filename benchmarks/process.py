"""Contenders that are whole processes."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.case import Missing, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HERE = Path(__file__).parent
_XENT = (sys.executable, "-m", "xent_cli")


def command(*argv: str, work: Path, needs: tuple[str, ...] = ()) -> Callable[[], Sample]:
    """Contender that runs a command; `needs` names the modules without which it is skipped."""
    return functools.partial(_run, argv, environment(work), needs)


def xent(*argv: str, work: Path) -> Callable[[], Sample]:
    """Contender that runs `xent`, with two threads."""
    return functools.partial(_run, (*_XENT, *argv), _environment_of_xent(work), ())


def xent_after_cat(path: str, *argv: str, work: Path) -> Callable[[], Sample]:
    """Contender that runs ``cat PATH | xent ...``."""
    return functools.partial(_run, ("sh", "-c", 'cat "$0" | "$@"', path, *_XENT, *argv), _environment_of_xent(work), ())


def script(name: str, *argv: str, work: Path, needs: tuple[str, ...] = ()) -> Callable[[], Sample]:
    """Contender that runs a file of `scripts/`."""
    return command(sys.executable, str(_HERE / "scripts" / f"{name}.py"), *argv, work=work, needs=needs)


def environment(work: Path) -> Mapping[str, str]:
    """Two threads for every contender, and cached bytecode, as after any installation."""
    names = ("XENT_COMPUTE_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_HERE.parent), os.environ.get("PYTHONPATH")]))
    return {**kept, **dict.fromkeys(names, "2"), "PYTHONPYCACHEPREFIX": str(work / "bytecode")}


def _environment_of_xent(work: Path) -> Mapping[str, str]:
    """As for every contender, except the variables that xent sets itself when unset."""
    return {name: value for name, value in environment(work).items() if name != "OPENBLAS_NUM_THREADS"}


def _run(argv: tuple[str, ...], env: Mapping[str, str], needs: tuple[str, ...]) -> Sample:
    for module in needs:
        if importlib.util.find_spec(module) is None:
            raise Missing(f"{module} is not installed")
    launcher = [sys.executable, "-I", "-S", str(_HERE / "launch.py"), os.devnull, *argv]
    done = subprocess.run(launcher, env=env, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    if told["exit"] != 0:
        raise RuntimeError(f"{' '.join(argv)} exited {told['exit']}: {done.stderr.strip()}")
    return Sample(told["seconds"], told["peak"])
