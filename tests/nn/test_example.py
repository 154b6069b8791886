"""The example of a plain loop in PyTorch learns."""

import runpy
from pathlib import Path

import pytest

from numdnc.tasks.bits import Copy

EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_copy.py"


def test_a_plain_loop_learns_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = runpy.run_path(str(EXAMPLE))["learn"](Copy(width=3, max_length=2), updates=250)
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert losses[0] > 0.2
    assert losses[-1] < 0.01
    assert wrong == 0
