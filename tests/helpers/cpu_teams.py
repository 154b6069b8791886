"""The engine `cpu` on a given number of threads, and code run in a fresh interpreter."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import numdnc
from helpers.contract import DTYPES, Case, Problem, Result
from helpers.marks import thorough_but
from helpers.patience import PATIENCE
from numdnc.engines.cpu import CPUEngine, engine, teams
from numdnc.engines.cpu.kernels.teams import ABORTED

PACKAGE = Path(numdnc.__file__).parent
TEAMS = [(1, None), (2, False), (2, True), (3, False), (3, True)]
for_each_team = pytest.mark.parametrize(
    ("count", "together"),
    [
        pytest.param(1, None, id="alone"),
        pytest.param(2, False, id="2-apart"),
        pytest.param(2, True, id="2-together", marks=pytest.mark.thorough),
        pytest.param(3, False, id="3-apart", marks=pytest.mark.thorough),
        pytest.param(3, True, id="3-together"),
    ],
)
for_each_dtype = pytest.mark.parametrize("dtype", DTYPES)
for_each_dtype_if_thorough = pytest.mark.parametrize("dtype", thorough_but(["float64"], DTYPES))


@dataclass(frozen=True)
class TeamCase(Case):
    """A case of this engine on so many threads."""

    threads: int = 1
    together: bool | None = None

    @property
    def engine(self) -> CPUEngine:
        return CPUEngine(self.threads, self.together)


def team(spec_name: str, dtype: str, count: int = 1, together: bool | None = None) -> TeamCase:
    return TeamCase("cpu", spec_name, dtype, count, together)


@contextmanager
def no_endless_wait() -> Iterator[None]:
    """A team that waits without end is given up, and the test fails instead of hanging."""
    made: list[Any] = []
    late: list[bool] = []

    def share_work(*arguments: Any) -> Any:
        made.append(teams.share_work(*arguments))
        return made[-1]

    def let_go() -> None:
        for found in made:
            found[0].barrier[ABORTED] = 1

    def end() -> None:
        late.append(True)
        let_go()

    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        with mock.patch.object(engine, "share_work", share_work):
            yield
    finally:
        timer.cancel()
        let_go()
    assert not late, "threads of a team waited for each other without end"


def run(which: Any, spec: Any, problem: Problem) -> Result:
    """Forward and backward of any spec."""
    outputs, state, tape = which.forward(spec, problem.params, problem.inputs, problem.state, keep_tape=True)
    d_params, d_inputs, d_before = which.backward(
        spec, problem.params, tape, problem.d_outputs, problem.d_state
    )
    return Result(outputs, state, d_params, d_inputs, d_before)


def run_python(code: str, *, warnings: str = "error", **environment: str) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter does with this code; NUMDNC_THREADS is not handed on."""
    kept = {name: value for name, value in os.environ.items() if name != "NUMDNC_THREADS"}
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(PACKAGE.parent)])
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", code],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
