"""What every kind of run offers: a run together with its task, to be trained, scored, asked and looked into."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.inspection.ablation import without_reads
from numdnc.inspection.diagnose import SEQUENCES, diagnose
from numdnc.inspection.trace import About, Trace, record
from numdnc.runs.memory import UNCHANGED, MemoryOverride, with_memory
from numdnc.runs.progress import ProgressLine
from numdnc.runs.results import Diagnosis, Evaluation
from numdnc.spec import Spec
from numdnc.tasks import Batch, Forward, Scores, Task
from numdnc.tasks.sequence_task import EVAL_BATCH
from numdnc.training.events import Report
from numdnc.training.memory import check_inspection, check_memory
from numdnc.training.run import Run, finite_forward, forward_with
from numdnc.tree import named_leaves

_TRACE_STATES = 3
"""Held at once: before a step, after it, and what it takes to get there."""


class NewTask(NamedTuple):
    """A task to begin a run of."""

    task: Task
    metadata: dict[str, Any]
    """What the checkpoint stores of it: enough to make it again."""
    batch: int
    states: int
    """States of the model that are held at once, at most, in training or scoring."""
    about: str
    """The task in a line or two."""
    stem: str
    """The run's folder is runs/STEM-MODEL-1, -2, .. unless the user names one."""
    critic_spec: Callable[[Spec], Spec | None] | None = None
    """The spec of the critic beside a policy; None where nothing is learned by policy gradient."""
    in_parts: str = ""
    """Why sequences reach the model in parts, which a bidirectional model cannot use; empty if they are whole."""


class TaskRun(ABC):
    """A run and its task, made by `load_run`; there is a subclass for each kind of task.

    A method that a kind does not have raises `UserError`.
    """

    kind: ClassVar[str]
    """The kind of the task as a checkpoint stores it."""
    noun: ClassVar[str]
    """What messages call a run of this kind: "a run of NOUN"."""
    score_name: ClassVar[str]
    """Name of the score that chooses the best checkpoint."""
    carries_state: ClassVar[bool] = False
    """Whether the model's state is carried from batch to batch in training."""
    next_commands: ClassVar[tuple[str, ...]]
    """Commands for a trained run, besides `resume`; {} stands for its folder."""

    def __init__(self, run: Run, *, engine: str = "auto", memory: MemoryOverride = UNCHANGED) -> None:
        self.checkpoint = run
        """All that a checkpoint of the run holds: parameters, optimizer, iteration, scores, settings."""
        self.spec: Spec = with_memory(run.spec, memory)
        self.engine = select_engine(engine, self.spec, run.training.precision)
        run.carries_state = self.carries_state
        if not self.carries_state:
            run.state = ()

    @property
    def params(self) -> Any:
        """The parameters, a tree of arrays; their average, if the run keeps one."""
        return self.checkpoint.evaluated

    @property
    def name(self) -> str:
        """Name of the task."""
        return str(self.checkpoint.task.get("name"))

    @cached_property
    def task(self) -> Task:
        """The task with its data; UserError if the data is missing or is not that of the run."""
        raise NotImplementedError

    @property
    def writes_bytes(self) -> bool:
        """Whether the characters that the model writes stand for bytes."""
        return False

    @cached_property
    def forward(self) -> Forward:
        """The model as a function (inputs, state) -> (outputs, state); None is the initial state."""
        return finite_forward(self.engine, self.spec, self.params)

    # What a run is used for.

    @abstractmethod
    def evaluate(self, *, no_reads: bool = False) -> Evaluation:
        """Score the run on data that it was not trained on; with `no_reads` also with every read vector set to zero."""

    @abstractmethod
    def trace(self, *, user_input: str | None = None, number: int | None = None) -> Trace:
        """Record everything inside the model at every step of a sequence: one of the task's, or the user's own."""

    def ask(self, *args: Any, **options: Any) -> Any:
        """Ask the model a question in words."""
        self._refuse("ask")

    def sample(self, *args: Any, **options: Any) -> str:
        """Let the model write a text."""
        self._refuse("sample")

    def stream(self, *args: Any, **options: Any) -> Iterator[str]:
        """Let the model write a text, character by character."""
        self._refuse("stream")

    def diagnose(self) -> Diagnosis:
        """Say whether and how the model uses each part of its memory, from its losses without that part."""
        arrays = named_leaves(self.params)
        bad = next((name for name, array in arrays if not np.isfinite(array).all()), None)
        task = self.task
        task.move_to(self.checkpoint.position)
        self._check_memory(3 * EVAL_BATCH, EVAL_BATCH)
        check_inspection(self.spec, self.checkpoint.training.precision, SEQUENCES)
        found = diagnose(
            self.spec,
            self.params,
            self.engine,
            task,
            lambda params: task.score(forward_with(self.engine, self.spec, params)),
        )
        return Diagnosis(
            task=task.name,
            kind=self.spec.kind,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            unit=task.unit,
            scores=found.scores,
            findings=found.findings,
            warnings=(f"parameters hold NaN or infinity, the first of them {bad}",) if bad else (),
        )

    # How it is trained, and what people see of that.

    def set_memory(self, memory: MemoryOverride) -> None:
        """Go on training with another memory."""
        if self.carries_state and memory.options:
            raise UserError(
                f"{memory.options[0]} must be given for a run of separate sequences, got one of {self.name}. "
                "Leave it out."
            )
        self.checkpoint.spec = self.spec = with_memory(self.checkpoint.spec, memory)
        self.engine = self.checkpoint.engine

    @abstractmethod
    def progress_line(self, report: Report) -> ProgressLine:
        """A report as a progress line."""

    @abstractmethod
    def show_sample(self) -> str:
        """What the model makes of its task at this moment, in words or as a picture."""

    @abstractmethod
    def format_score(self, score: float) -> str:
        """A score as people read it."""

    def summarize(self, report: Report) -> str:
        """The last report in words; empty if its progress line says it all."""
        return ""

    # How a run is opened.

    @classmethod
    def accepts(cls, run: Run, custom_task: str | None) -> bool:
        """Whether a run that stores this kind of task is one of this class."""
        return True

    @classmethod
    def custom_task_source(cls, run: Run) -> str | None:
        """MODULE:CLASS of the custom task that a checkpoint names; None where the task is numdnc's own."""
        return None

    def _check_memory(self, states: int, batch: int) -> None:
        check_memory(self.spec, self.engine, self.checkpoint.training.precision, states, batch)

    def _scores(
        self, task: Task, no_reads: bool, score: Callable[[Forward], Scores] | None = None
    ) -> tuple[Scores, Scores | None]:
        """Scores of the task, by default all, and those with every read vector set to zero if wanted."""
        score = score or (lambda forward: task.score(forward, whole=True))
        if no_reads and not self.spec.has_memory:
            raise UserError(
                f"--no-reads must be given for a model with a memory, got a run of a {self.spec.kind}. Leave it out."
            )
        self._check_memory(3 * EVAL_BATCH, EVAL_BATCH)
        scores = score(self.forward)
        if not self.spec.has_memory or not no_reads:
            return scores, None
        damaged = finite_forward(self.engine, self.spec, without_reads(self.spec, self.params))
        return scores, score(damaged)

    def _trace(self, make: Callable[[], tuple[Batch, About]]) -> Trace:
        self._check_memory(_TRACE_STATES, _TRACE_STATES)
        check_inspection(self.spec, self.checkpoint.training.precision, 1)
        batch, about = make()
        return record(self.spec, self.params, batch, about)

    def _refuse(self, method: str) -> NoReturn:
        from numdnc.runs.kinds import refuse_method

        refuse_method(type(self), method, self.name)
