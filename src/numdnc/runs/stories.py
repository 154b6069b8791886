"""What runs on the stories of bAbI share: where the data lies, their scores, how they are shown."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from numdnc.errors import UserError
from numdnc.formatting import format_loss, format_table
from numdnc.inspection.trace import About, Trace
from numdnc.params import Array
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.runs.user_state import find_data_path, save_data_path
from numdnc.schema import validated
from numdnc.tasks import Batch, Scores
from numdnc.tasks.babi import BabiFiles, BabiSettings, BabiTask, Vocabulary, find_babi, read_babi
from numdnc.tasks.babi.stream import StreamSettings, StreamTask
from numdnc.tasks.babi.task import FAILURE_THRESHOLD
from numdnc.training.events import Report
from numdnc.training.run import Run

Settings = TypeVar("Settings", bound=BabiSettings | StreamSettings)


@dataclass(frozen=True, kw_only=True)
class Stored(Generic[Settings]):
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: Settings
    data: str
    """Name of the archive or folder, not where it lies, which may be private."""
    sha256: str
    words: tuple[str, ...]


class StoryRun(TaskRun, Generic[Settings]):
    """A run on the stories of bAbI. `data_folder` says where the stories lie now, if they have moved."""

    score_key: ClassVar[str]
    """The key of the score that chooses the best checkpoint."""
    special_symbols: ClassVar[tuple[str, ...]]
    """The symbols before the words of a vocabulary."""
    stored: ClassVar[Any]
    """`Stored` with the settings of the task."""
    next_commands: ClassVar[tuple[str, ...]] = (
        *("eval {}", 'ask {} "Mary went to the kitchen. Where is Mary?"', "view {}", "diagnose {}"),
    )

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        data_folder: Path | None = None,
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        with of_this_version(self.noun):
            stored: Stored[Settings] = validated(self.stored, run.task)
            self.vocabulary = Vocabulary(stored.words, self.special_symbols)
            """The words that the model knows."""
            if not len(self.vocabulary.symbols) == run.spec.input_size == run.spec.output_size:
                raise UserError(f"{len(self.vocabulary.symbols)} symbols for {run.spec.input_size} inputs")
            check_batch(run, stored.settings.batch)
        self.settings: Settings = stored.settings
        self._data_folder = data_folder

    @classmethod
    def prepare(cls, settings: Settings, *, seed: int, data_folder: Path | None = None) -> NewTask:
        """Read stories to train on: from the published archive, its unpacked folder, or a folder with either."""
        found = find_babi(data_folder)
        files = read_babi(found, settings.subset, settings.numbers)
        task = cls.make_task(files, settings, seed)
        save_data_path(files.sha256, found)
        new = cls.new_task(task)
        metadata = {
            "name": task.name,
            "kind": cls.kind,
            "settings": dataclasses.asdict(settings),
            "data": found.resolve().name,
            "sha256": files.sha256,
            "words": list(task.vocabulary.words),
        }
        about = (
            f"{len(task.titles)} tasks of {settings.subset}, {len(task.vocabulary.words)} words; "
            f"{len(task.train):,} stories to train on, {len(task.validation):,} to validate, "
            f"{len(task.test):,} to test; {new.about}"
        )
        return new._replace(metadata=metadata, about=about)

    @classmethod
    @abstractmethod
    def make_task(cls, files: BabiFiles, settings: Settings, seed: int) -> BabiTask | StreamTask:
        """The task on these stories."""

    @classmethod
    @abstractmethod
    def new_task(cls, task: Any) -> NewTask:
        """The task to begin a run of, yet without what all runs on stories store and say."""

    @abstractmethod
    def typed_story(self, text: str) -> Batch:
        """A story that the user typed, as a batch."""

    @abstractmethod
    def with_answers(self, batch: Batch, outputs: Array) -> str:
        """A story, a line a sentence, with the model's answers."""

    @cached_property
    def task(self) -> BabiTask | StreamTask:
        """The task on the run's stories, which must be the same byte for byte."""
        stored, sha256 = self.checkpoint.task["data"], self.checkpoint.task["sha256"]
        place = Path(find_data_path(sha256, stored)) if self._data_folder is None else self._data_folder
        try:
            files = read_babi(find_babi(place), self.settings.subset, self.settings.numbers)
        except UserError as error:
            hint = (
                ""
                if self._data_folder
                else " If the run's data has moved, say with --data where it lies now."
            )
            raise UserError(f"{error}{hint}") from None
        if files.sha256 != sha256:
            raise UserError(
                f"the stories must be those the run was started with (SHA-256 {sha256[:12]}..), "
                f"got others at {place} ({files.sha256[:12]}..). Give the old ones with --data."
            )
        self.checkpoint.task = {
            **self.checkpoint.task,
            "data": Path(stored).name,
        }  # earlier versions stored the path
        save_data_path(sha256, place)
        return self.make_task(files, self.settings, self.checkpoint.training.seed)

    @property
    def changes(self) -> str:
        """How the stories differ from the files, which every result must say; empty if they do not."""
        return ""

    def evaluate(self, *, no_reads: bool = False) -> Evaluation:
        """Errors on the test stories: of each task, of all, and the number of failed tasks."""
        task = self.task
        scores, without = self._scores(task, no_reads)
        tested = [scores] if without is None else [scores, without]
        rows = [["task", "error %", *(["without reads"] if without else []), ""]]
        for number, title in task.titles.items():
            errors = [found[f"error_{number}"] for found in tested]
            verdict = "failed" if errors[0] > FAILURE_THRESHOLD else ""
            shown = [f"{100 * error:.2f}" for error in errors]
            rows.append([f"{number:2} {title.replace('-', ' ')}", *shown, verdict])
        tests, iteration = len(task.test), self.checkpoint.iteration
        lines = [
            format_table(rows),
            "",
            f"{self._in_words(scores)}; {tests:,} stories of the test (iteration {iteration})",
        ]
        record = {"task": task.name, "iteration": iteration, "stories": tests, **scores}
        if self.changes:
            record["changes"] = self.changes
        if without is not None:
            lines.append(f"{self._in_words(without)}; with every read vector zeroed")
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            text="\n".join(lines),
            json=record,
        )

    def trace(self, *, user_input: str | None = None, number: int | None = None) -> Trace:
        """Record one of the stories that progress lines are scored on, or a story of the user's own."""

        def make() -> tuple[Batch, About]:
            if user_input is not None:
                return self.typed_story(user_input), self._about("a story given by hand")
            scored, wanted = self.task.evaluated, number or 0
            if not 0 <= wanted < len(scored):
                raise UserError(
                    f"the story must be one of 0..{len(scored) - 1}, those scored on, got {wanted}."
                )
            about = f"story {wanted} of those scored on, of task {scored[wanted].task}"
            return scored[wanted].batch, self._about(about)

        return self._trace(make)

    def show_sample(self) -> str:
        """A story with the model's answers, another one each time."""
        turn = self.checkpoint.iteration // self.checkpoint.training.report_every
        batch = self.task.evaluated[turn % len(self.task.evaluated)].batch
        return self.with_answers(batch, self.checkpoint.forward(batch.inputs, None)[0])

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, losses in training and on validating stories, errors, speed, time left."""
        scores = report.scores
        parts = [
            *time_and_iteration(report.seconds, report.iteration),
            f"loss {format_loss(report.train):>7}",
            f"held-out {format_loss(scores['loss']):>7}",
            f"{self.score_name} {100 * scores[self.score_key]:5.2f} %",
            f"{scores['failed']:.0f} of {len(self.task.titles)} tasks failed",
            f"{report.per_second:6.0f} answers/s",
            time_left(report.seconds_left),
        ]
        return ProgressLine(parts, drop=(6, 2, 3, 5))

    def format_score(self, score: float) -> str:
        """An error in percent."""
        return f"{100 * score:.2f} %"

    def summarize(self, report: Report) -> str:
        """Error and failed tasks."""
        return self._in_words(report.scores)

    def _in_words(self, scores: Scores) -> str:
        return (
            f"{self.score_name} {100 * scores[self.score_key]:.2f} %, {scores['failed']:.0f} of "
            f"{len(self.task.titles)} tasks failed (above {100 * FAILURE_THRESHOLD:.0f} %), "
            f"loss {format_loss(scores['loss'])}{in_brackets(self.changes)}"
        )

    def _about(self, sequence: str) -> About:
        return About(
            task=self.kind,
            settings=dataclasses.asdict(self.settings),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=self.vocabulary.symbols,
            output_channels=self.vocabulary.symbols,
        )


def in_brackets(words: str) -> str:
    """Words to follow others in brackets, if there are any."""
    return f" ({words})" if words else ""
