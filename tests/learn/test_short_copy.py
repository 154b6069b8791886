"""A short copy is learned from nothing, through the same loop as every run, until it is solved."""

from pathlib import Path

import pytest

from numdnc import DNCSpec, LSTMSpec
from numdnc.tasks.bits import Copy
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run

SIZES = {"input_size": 4, "output_size": 2}
MODELS = {
    "lstm": LSTMSpec(hidden_sizes=(24,), **SIZES),
    "dnc": DNCSpec(hidden_sizes=(16,), memory_size=4, word_size=6, **SIZES),
}


@pytest.mark.parametrize("model", MODELS)
def test_a_copy_of_one_or_two_vectors_is_learned_until_it_is_solved(model: str, tmp_path: Path) -> None:
    settings = SequenceSettings(batch=8, evaluated=100, grow="max_length", pass_at=0.05)
    task = SequenceTask("copy", Copy(width=2, max_length=2), settings, seed=0)
    run = new_run(
        MODELS[model],
        TrainingSettings(steps=3000, report_every=100),
        OptimizerSettings(learning_rate=0.01, schedule="constant"),
        task={},
        position=task.position(),
        batch=8,
        engine="auto",
    )
    folder = RunFolder(tmp_path / "run")
    folder.create(run)
    before = task.score(run.forward, whole=True)
    *events, finished = train(run, task, folder)
    lines = [event for event in events if isinstance(event, Report)]
    assert finished == Finished("solved", lines[-1].iteration)
    assert lines[0].scores["level"] == 1
    assert lines[-1].scores["level"] == 2
    assert before["sequence_error"] > 0.2
    assert lines[-1].scores["bit_error"] == 0
    assert lines[-1].held_out < 0.1 < before["loss"]
    assert run.iteration == run.solved_iteration < 3000
