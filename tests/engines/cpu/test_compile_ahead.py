"""The first compilation in two processes: what the helper leaves behind, and that its loss is never an error.

Models are RNNs, which compile fastest; where a helper has to be at work for a while, it compiles a DNC.
"""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import typeof

from helpers.contract import DTYPES
from helpers.cpu_teams import run_python, team
from helpers.patience import PATIENCE
from numdnc.engines.cpu import engine
from numdnc.engines.cpu.kernels.unpacking import signature

START = """
import os, signal, subprocess, sys, time
import numpy as np
import numdnc
from numdnc.engines.cpu import CPUEngine, compile_ahead
from numdnc.engines.cpu.kernels import sequence

spec = numdnc.RNNSpec(input_size=2, output_size=3, hidden_sizes=(4,))
params, state, inputs = numdnc.init_params(spec, 0), numdnc.zero_state(spec, 1), np.ones((3, 1, 2), np.float32)
model = CPUEngine(2)
def forward(keep_tape=True):
    return model.forward(spec, params, inputs, state, keep_tape=keep_tape)
def backward(outputs, state, tape):
    return model.backward(spec, params, tape, outputs, state)
"""
LONG = (
    START
    + "compile_ahead.compile_meanwhile(sequence.dnc_forward, sequence.dnc_backward, np.dtype('float32'))\n"
)
FROM_CACHE = "print(sum(sequence.recurrent_backward._cache_hits.values()))\n"


thorough = partial(pytest.param, marks=pytest.mark.thorough)


def run(folder: Path, code: str) -> Any:
    return run_python(code, NUMBA_CACHE_DIR=str(folder))


def names(folder: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec_name", ["lstm-2-layers", "dnc-odd", "dnc-all", "dnc-content-only", "ntm-odd"])
def test_signatures_are_the_types_that_kernels_are_called_with(
    spec_name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    kernels = engine._kernels

    def spied(spec: Any) -> Any:
        def called(kernel: Any) -> Any:
            return lambda *arguments: (calls.append(arguments), kernel(*arguments))

        return tuple(map(called, kernels(spec)))

    monkeypatch.setattr(engine, "_kernels", spied)
    case = team(spec_name, dtype)
    for symbols in (False, True):
        case.run(case.problem(symbols=symbols))
    assert len(calls) == 4
    for arguments in calls:
        assert tuple(map(typeof, arguments)) == signature(np.dtype(dtype))


@pytest.mark.thorough
def test_a_helper_compiles_backward_meanwhile(tmp_path: Path) -> None:
    done = run(
        tmp_path, START + "backward(*forward())\n" + FROM_CACHE + "print(len(compile_ahead._helpers))\n"
    )
    assert done.stdout == "1\n0\n"
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == ["meet", "recurrent_backward", "recurrent_forward"]
    again = run(tmp_path, START + "backward(*forward())\nprint(compile_ahead._helpers)\n" + FROM_CACHE)
    assert again.stdout == "{}\n1\n"


NOT_STARTED = {
    "without a tape": "forward(keep_tape=False)\n",
    "on one thread": "model = CPUEngine(1)\nforward()\n",
    "where nothing can be kept": "compile_ahead.why_not_kept = lambda: 'a reason'\nforward()\n",
    "by no interpreter": "sys.executable = '/bin/true'\nforward()\n",
    "by nothing": "sys.executable = None\nforward()\n",
    "where processes cannot be started": (
        "def refuse(*_, **__): raise OSError\nsubprocess.Popen = refuse\nbackward(*forward())\n"
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("why", NOT_STARTED)
def test_no_helper(why: str, tmp_path: Path) -> None:
    assert run(tmp_path, START + NOT_STARTED[why] + "print(compile_ahead._helpers)\n").stdout == "{}\n"


LOST = {
    "killed": (
        "kernels = sequence.recurrent_forward, sequence.recurrent_backward\n"
        "compile_ahead.compile_meanwhile(*kernels, np.dtype('float32'))\n"
        "(helper,) = compile_ahead._helpers.values()\nhelper.kill()\n"
        "made = forward()\n"
    ),
    "too slow": "made = forward()\ncompile_ahead._MAX_SECONDS = 0.0\n",
    "without a result": (
        "made = forward()\n"
        "(helper,) = compile_ahead._helpers.values()\nhelper.wait()\n"
        "import pathlib\n"
        "for path in pathlib.Path(os.environ['NUMBA_CACHE_DIR']).rglob('recurrent_backward*'): path.unlink()\n"
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("how", LOST)
def test_what_a_lost_helper_has_not_compiled_is_compiled_here(how: str, tmp_path: Path) -> None:
    code = START + LOST[how] + "backward(*made)\n" + FROM_CACHE
    assert run(tmp_path, code).stdout in ("0\n", "1\n" if how == "too slow" else "0\n")
    assert names(tmp_path) == ["meet", "recurrent_backward", "recurrent_forward"]


@pytest.mark.thorough
def test_a_helper_that_was_waited_for_in_vain_can_be_waited_for_again(tmp_path: Path) -> None:
    interrupt = (
        "made = forward()\n"
        "(helper,) = compile_ahead._helpers.values()\n"
        "def interrupted(_): raise KeyboardInterrupt\n"
        "helper.wait, wait = interrupted, helper.wait\n"
        "try: backward(*made)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
        "helper.wait = wait\n"
        "backward(*made)\n"
    )
    assert run(tmp_path, START + interrupt + FROM_CACHE).stdout == "interrupted\n1\n"


def is_alive(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see other processes")
@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), signal.SIGKILL)", *map(thorough, ("", "raise KeyboardInterrupt", "os._exit(3)"))],
)
def test_a_helper_ends_with_the_process_that_started_it(end: str, tmp_path: Path) -> None:
    tell = "(helper,) = compile_ahead._helpers.values()\nprint(helper.pid, flush=True)\n"
    done = subprocess.run(
        [sys.executable, "-c", LONG + tell + end],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    helper, deadline = int(done.stdout), time.monotonic() + PATIENCE
    while is_alive(helper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(helper)
    assert names(tmp_path) == []


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_end_of_a_fork_is_not_the_helpers(tmp_path: Path) -> None:
    fork = (
        "(helper,) = compile_ahead._helpers.values()\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "time.sleep(0.2)\n"
        "print(helper.poll())\n"
    )
    assert run(tmp_path, LONG + fork).stdout == "None\n"
