"""Some kills, full disks and races of several kinds of runs; `python tests/hardening` does the same at large.

Kills in `make test` are in ../cli/test_kill.py.
"""

import dataclasses
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from hardening import kills
from hardening.runs import KINDS, Tally, differences, prepare, run_to_end
from helpers.commands import rewrite
from helpers.patience import without_notice

SCRIPTS = Path(__file__).parent


def tried(script: str, count: int, *words: str) -> list[str]:
    """What a script says that must find nothing wrong."""
    result = subprocess.run(
        [sys.executable, SCRIPTS, script, "--count", str(count), "--seed", "1", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = result.stdout.splitlines()
    wrong = [line for line in lines if "FAILED" in line]
    assert (wrong, result.returncode, without_notice(result.stderr)) == ([], 0, "")
    assert re.fullmatch(rf"{script}: tried {count}, failed 0 \(.*\)", lines[-1]), lines
    assert len(lines) == count + 1
    return lines


@pytest.mark.thorough
@pytest.mark.parametrize(("script", "count"), [("kills", 28), ("full-disk", 7), ("races", 24)])
def test_runs_survive(script: str, count: int) -> None:
    tried(script, count)


@pytest.mark.thorough
def test_a_lock_left_behind_by_a_kill_after_the_last_save_is_no_damage(tmp_path: Path) -> None:
    prepare(tmp_path)
    kind = dataclasses.replace(KINDS["text-lstm"], steps=20)
    run_to_end(kind, tmp_path / "run", program=True)
    straight = kills.Straight(kind.outcome(tmp_path / "run"), {False: 1.0, True: 1.0}, 1.0)
    (tmp_path / "run" / "run.lock").touch()
    assert kills.ends_well(kind, tmp_path / "run", straight) == []
    (tmp_path / "run" / ".last.safetensors.1").touch()
    assert kills.ends_well(kind, tmp_path / "run", straight) == ["not the straight one in files"]


@pytest.mark.thorough
def test_a_resume_that_forgets_is_seen(tmp_path: Path) -> None:
    """Momentum lost in a checkpoint must show in the parameters."""

    def forget(kind: Any, folder: Path, *rest: Any, **more: Any) -> tuple[str, list[str]]:
        rewrite(folder / "last.safetensors", lambda arrays, _: arrays["moments.0.output.bias"].fill(0))
        rewrite(folder / "last.safetensors", lambda _, metadata: metadata.update(target=40))
        return "forget", []

    prepare(tmp_path)
    kind = dataclasses.replace(KINDS["text-lstm"], steps=40)
    run_to_end(kind, tmp_path / "straight", program=True)
    run_to_end(dataclasses.replace(kind, steps=20), tmp_path / "killed", program=True)
    straight = kills.Straight(kind.outcome(tmp_path / "straight"), {False: 1.0, True: 1.0}, 1.0)
    tally = Tally("kills")
    with (
        mock.patch.object(kills, "kill_once", forget),
        mock.patch.object(kills, "run_to_end", lambda kind, folder: run_to_end(kind, folder, program=True)),
    ):
        kills.torment("text", kind, tmp_path / "killed", straight, 1, random.Random(0), tally)
    assert (tally.tried, tally.failed) == (1, 1)
    wrong = differences(straight.outcome, kind.outcome(tmp_path / "killed"))
    assert "run: last params.output.bias" in wrong
