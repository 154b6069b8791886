"""A model learns to act on tapes by policy gradient, until it makes no error."""

from pathlib import Path

import pytest

from numdnc import DNCSpec, LSTMSpec
from numdnc.tasks.interfaces import InterfaceReverse
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run

INTERFACE = InterfaceReverse(length=2, symbols=3, memory_width=2)
SIZES = {"input_size": INTERFACE.input_size, "output_size": INTERFACE.output_size}
MODELS = {
    "lstm": LSTMSpec(hidden_sizes=(16,), **SIZES),
    "dnc": DNCSpec(hidden_sizes=(16,), memory_size=4, word_size=6, **SIZES),
}


@pytest.mark.thorough
@pytest.mark.parametrize("model", MODELS)
def test_two_symbols_are_reversed(model: str, tmp_path: Path) -> None:
    settings = ReinforcementSettings(batch=32, evaluated=64, grow="length", critic_hidden=16, trace_decay=0.9)
    task = ReinforcementTask("reverse", INTERFACE, settings, seed=0)
    run = new_run(
        MODELS[model],
        TrainingSettings(steps=2000, report_every=50),
        OptimizerSettings(learning_rate=0.01, schedule="constant", clip_norm=2),
        task={},
        position=task.position(),
        batch=32,
        engine="auto",
        critic_spec=settings.critic_spec(MODELS[model]),
    )
    run.carries_state, run.state = False, ()
    folder = RunFolder(tmp_path / "run")
    folder.create(run)
    *events, finished = train(run, task, folder)
    lines = [event for event in events if isinstance(event, Report)]
    assert finished == Finished("solved", lines[-1].iteration)
    assert lines[-1].scores["error"] == 0
    assert lines[-1].scores["level"] == 2
    assert task.score(run.forward, whole=True)["error"] == 0
