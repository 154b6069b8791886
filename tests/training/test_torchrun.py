"""Processes that torchrun has started: begun again after a loss, stopped by Ctrl-C, left alone by torchrun."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import done
from helpers.launcher import LEARN_COPY, LEARN_TEXT, TOLERANCE, difference, enter, wait_for_report
from helpers.patience import PATIENCE
from numdnc.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)


def torchrun(*words: object) -> "subprocess.Popen[str]":
    """`numdnc WORDS` in two processes; where one fails all are started again, once."""
    options = ("--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, "-m", "numdnc", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


def workers(agent: int) -> dict[int, int]:
    """Rank -> process number of what torchrun has started."""
    found = {}
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        for word in Path(f"/proc/{child}/environ").read_text().split("\0"):
            if word.startswith("RANK="):
                found[int(word.removeprefix("RANK="))] = int(child)
    return found


def test_torchrun_starts_a_resume_again_where_a_worker_was_killed() -> None:
    """And what comes of it is what one process gives that was never stopped."""
    done(*LEARN_COPY, "--steps", 9, "--out", "together")
    shutil.copytree("together", "alone")
    done("resume", "alone", "--steps", 45, "--sample-every", 0)
    agent = torchrun("resume", "together", "--steps", 45, "--sample-every", 0)
    try:
        wait_for_report(Path("together"), 18)
        os.kill(workers(agent.pid)[1], signal.SIGKILL)
        out, err = agent.communicate(timeout=PATIENCE)
    finally:
        agent.kill()
    assert agent.returncode == 0, err
    assert err.count("error: ") == err.count("error: all 2 processes must stay until the end") <= 1
    assert out.count("resuming together at iteration ") == 2
    assert difference(Path("alone"), Path("together")) < 10 * TOLERANCE


def test_ctrl_c_on_torchrun_saves() -> None:
    agent = torchrun(*LEARN_TEXT, "-m", "rnn", "--steps", 10**6, "--out", "together")
    try:
        wait_for_report(Path("together"), 9)
        agent.send_signal(signal.SIGINT)
        out, err = agent.communicate(timeout=PATIENCE)
    finally:
        agent.kill()
    match = re.search(r"^interrupted at iteration (\d+); ", out, re.MULTILINE)
    assert match
    assert load_checkpoint(Path("together/last.safetensors"))[1]["iteration"] == int(match[1])
    assert err.count("finishing this iteration, then saving") == 1


def test_workers_notice_that_torchrun_was_killed() -> None:
    """Nobody is left then who could tell them to stop."""
    agent = torchrun(*LEARN_TEXT, "-m", "rnn", "--steps", 10**6, "--out", "together")
    try:
        wait_for_report(Path("together"), 9)
        agent.kill()
        out, err = agent.communicate(timeout=PATIENCE)  # which its workers hold open until they end
    finally:
        agent.kill()
    match = re.search(r"^stopped, since torchrun is gone, at iteration (\d+); ", out, re.MULTILINE)
    assert match, (out, err)
    assert "Traceback" not in err
    assert load_checkpoint(Path("together/last.safetensors"))[1]["iteration"] == int(match[1])
    done("resume", "together", "--steps", int(match[1]) + 1, "--sample-every", 0)
