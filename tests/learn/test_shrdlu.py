"""A model learns to put one block beside or on the other, by imitation, from rewards alone and by trial."""

from pathlib import Path

import pytest

from numdnc import LSTMSpec
from numdnc.runs.shrdlu import ShrdluRun
from numdnc.tasks.imitation_task import ImitationSettings
from numdnc.tasks.reinforcement_task import CriticKind
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run

SHRDLU = Shrdlu(goals=1, blocks=2, constraints=1, moves=1, spare_moves=2)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("way", "critic"), [("imitate", "lstm"), ("trials", "lstm"), ("", "lstm"), ("", "shared")]
)
def test_two_blocks_are_put_together(way: str, critic: CriticKind, tmp_path: Path) -> None:
    settings = ImitationSettings(
        batch=32,
        evaluated=64,
        imitate=way == "imitate",
        trials=way == "trials",
        critic=critic,
        entropy=0.4,
        solved_at=0.02,
    )
    task = ShrdluRun.make_task("shrdlu", SHRDLU, settings, seed=0)
    spec = LSTMSpec(hidden_sizes=(32,), input_size=task.input_size, output_size=task.output_size)
    run = new_run(
        spec,
        TrainingSettings(steps=4000, report_every=250),
        OptimizerSettings(learning_rate=0.01 if way else 0.003, schedule="constant", clip_norm=2),
        task={},
        position=task.position(),
        batch=32,
        engine="auto",
        critic_spec=None if way else settings.critic_spec(spec),
    )
    run.carries_state, run.state = False, ()
    folder = RunFolder(tmp_path / "run")
    folder.create(run)
    *events, finished = train(run, task, folder)
    lines = [event for event in events if isinstance(event, Report)]
    assert finished == Finished("solved", lines[-1].iteration)
    assert task.score(run.forward)["goal_error"] <= 0.02
