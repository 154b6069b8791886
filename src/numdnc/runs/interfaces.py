"""Runs of learned interfaces: models that act on tapes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numdnc.inspection.tape_plot import save_tape_plot
from numdnc.reinforcement import Environment
from numdnc.runs.base import NewTask
from numdnc.runs.reinforcement import PolicyRun, Stored
from numdnc.runs.stored import of_this_version
from numdnc.schema import validated
from numdnc.tasks import Batch
from numdnc.tasks.interfaces import INTERFACES, Interface
from numdnc.tasks.interfaces.interface import Question
from numdnc.tasks.interfaces.picture import TapeStep, describe, output_tape, tape_steps
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.training.run import Run


@dataclass(frozen=True)
class TapePicture:
    """An episode on tapes; `str` has a line for each step."""

    interface: Interface
    question: Question
    steps: list[TapeStep]

    def __str__(self) -> str:
        return describe(self.interface, self.question, self.steps)

    def save(self, path: str | Path) -> None:
        """Save the picture as a PNG, PDF or SVG file (needs matplotlib)."""
        save_tape_plot(Path(path), self.interface, self.question, self.steps)


@dataclass(frozen=True)
class TapeAnswer:
    """What a model did on its tapes for a question, beside what is right."""

    asked: str
    answer: str
    """What is on the output tape."""
    wanted: str
    picture: TapePicture
    iteration: int
    warnings: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the output tape is right."""
        return self.answer == self.wanted

    def __str__(self) -> str:
        verdict = "right" if self.right else f"WRONG: {self.wanted}"
        return f"{self.picture}\n{self.answer}  {verdict}"

    def record(self) -> dict[str, Any]:
        """What `numdnc ask --json` prints."""
        return {
            "question": self.asked,
            "right": self.right,
            "answer": self.answer,
            "truth": self.wanted,
            "steps": [
                {
                    "input_position": step.input_position,
                    "memory_position": step.memory_position,
                    "moves": list(step.moves),
                    "emitted": None if step.emitted is None else step.emitted.symbol,
                }
                for step in self.picture.steps
            ],
            "iteration": self.iteration,
        }


class InterfaceRun(PolicyRun):
    """A run of a learned interface."""

    noun: ClassVar[str] = "a learned interface"
    next_commands: ClassVar[tuple[str, ...]] = ("eval {} --show", "ask {} SYMBOLS", "view {}", "diagnose {}")

    @classmethod
    def accepts(cls, run: Run, custom_task: str | None) -> bool:
        """Whether the run's environment is one of tapes."""
        return cls.stored(run).name in INTERFACES

    @classmethod
    def prepare(
        cls, name: str, interface: Interface, settings: ReinforcementSettings, *, seed: int
    ) -> NewTask:
        """A task to train on."""
        stored = Stored(
            name=name, kind=cls.kind, settings=dataclasses.asdict(interface), reinforcement=settings
        )
        return cls.prepare_policy(stored, interface, seed=seed)

    def environment(self) -> Environment:
        """The tapes, made again from what the checkpoint stores."""
        with of_this_version(self.noun):
            return validated(INTERFACES[self._stored.name], self._stored.settings)

    def ask(self, question: str) -> TapeAnswer:
        """Put symbols such as "abcab" on the input tape."""
        self._check_memory(3, 1)
        picture, _ = self._on_tape(self.task, question)
        names = picture.interface.cell_symbols
        wanted = "".join(names[symbol] for symbol in picture.question.answer)
        return TapeAnswer(question, output_tape(picture.steps), wanted, picture, self.checkpoint.iteration)

    def _given(self, task: ReinforcementTask, user_input: str) -> Batch:
        """An episode with `user_input` on the input tape."""
        return self._on_tape(task, user_input)[1]

    def _on_tape(self, task: ReinforcementTask, text: str) -> tuple[TapePicture, Batch]:
        interface = self._interface(task)
        question = interface.pose(text)
        batch, outputs = self._acted(task, interface.begin([question]))
        return TapePicture(interface, question, tape_steps(interface, batch, outputs)), batch

    def _picture(self, task: ReinforcementTask) -> TapePicture:
        interface = self._interface(task)
        episodes = next(task.episodes())
        question = episodes.questions[0]  # type: ignore[attr-defined]
        batch, outputs = self._acted(task, episodes)
        return TapePicture(interface, question, tape_steps(interface, batch, outputs))

    def _interface(self, task: ReinforcementTask) -> Interface:
        assert isinstance(task.environment, Interface)
        return task.environment
