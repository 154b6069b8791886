"""The examples of training loops in PyTorch learn."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from numdnc.tasks.bits import Copy

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_plain_loop_learns_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = runpy.run_path(str(EXAMPLES / "torch_copy.py"))["learn"](Copy(width=3, max_length=2), updates=250)
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert losses[0] > 0.2
    assert losses[-1] < 0.01
    assert wrong == 0


@pytest.mark.filterwarnings("ignore")  # Lightning's own, by the version
def test_lightning_learns_to_copy(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    learn: Any = runpy.run_path(str(EXAMPLES / "torch_lightning.py"))["learn"]
    options = {"default_root_dir": tmp_path, "enable_progress_bar": False, "enable_checkpointing": False}
    assert learn(Copy(width=3, max_length=2), updates=250, **options) < 0.01
