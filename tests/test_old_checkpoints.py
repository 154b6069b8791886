"""Checkpoints of earlier versions still load and go on.

checkpoints/0.1 was written by version 0.1 before there were variations of the DNC: a run of 40 iterations on cats.txt,
and the same run resumed to 60.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from commands import done
from numdnc import DNCSpec, named_leaves
from numdnc.training.run import load_run

OLD = Path(__file__).parent / "checkpoints" / "0.1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as that version left it."""
    shutil.copy(OLD / "last.safetensors", tmp_path / "last.safetensors")
    return tmp_path


def test_a_run_from_before_the_variations_is_the_papers_dnc() -> None:
    spec = load_run(OLD / "last.safetensors").spec
    assert spec == DNCSpec(
        input_size=18, output_size=18, hidden_sizes=(6,), memory_size=4, word_size=3, read_heads=2
    )


def test_its_limit_of_scores_has_moved_to_the_text() -> None:
    run = load_run(OLD / "last.safetensors")
    assert run.task["settings"]["score_limit"] == 50_000
    assert (run.solved_iteration, run.solved_seconds) == (None, None)


def test_it_goes_on_as_it_did(folder: Path) -> None:
    done("resume", folder, "--steps", 60, "--sample-every", 0, "--corpus", OLD / "cats.txt")
    now, then = load_run(folder / "last.safetensors"), load_run(OLD / "resumed.safetensors")
    assert (now.iteration, now.position) == (then.iteration, then.position)
    assert now.best_score == pytest.approx(then.best_score, rel=1e-5)
    trees = (now.params, now.moments, now.state), (then.params, then.moments, then.state)
    for (name, array), (_, wanted) in zip(*map(named_leaves, trees), strict=True):
        assert_allclose(array, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max()), err_msg=name)
