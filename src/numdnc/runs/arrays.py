"""Runs of arrays: sequences of the user's own, from NumPy files or JSON lines."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from numdnc.data import CorpusFile
from numdnc.errors import UserError
from numdnc.formatting import format_loss
from numdnc.inspection.gates import gates
from numdnc.inspection.trace import About, Trace
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine
from numdnc.runs.results import Evaluation, SequencePicture
from numdnc.runs.sequences import scores_in_words, sequence_progress
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.runs.user_state import find_data_places, save_data_places
from numdnc.schema import validated
from numdnc.tasks import Batch
from numdnc.tasks.arrays import ArraySettings, ArrayTask
from numdnc.tasks.arrays.files import RawArrays, read_arrays
from numdnc.tasks.arrays.task import EVAL_BATCH
from numdnc.tasks.sequences import channel_names
from numdnc.tasks.user_input import steps_batch
from numdnc.training.events import Report
from numdnc.training.run import Run


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: ArraySettings
    files: tuple[CorpusFile, ...]
    """Inputs, targets and perhaps mask, without their folders, which may be private; or one of JSON lines."""


class ArrayRun(TaskRun):
    """A run of arrays. `data_folder` is where their files lie now, if they have moved."""

    kind: ClassVar[str] = "arrays"
    noun: ClassVar[str] = "arrays"
    score_name: ClassVar[str] = "loss"
    next_commands: ClassVar[tuple[str, ...]] = ("eval {} --show", "view {}", "diagnose {}")

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
            self._stored = validated(_Stored, run.task)
            check_batch(run, self._stored.settings.batch)
            if not 1 <= len(self._stored.files) <= len(RawArrays._fields[:3]):
                raise UserError(f"there are {len(self._stored.files)} files")
        self.settings = self._stored.settings
        self._data_folder = data_folder

    @classmethod
    def prepare(
        cls,
        inputs: Path | None,
        targets: Path | None,
        mask: Path | None,
        settings: ArraySettings,
        *,
        seed: int,
    ) -> NewTask:
        """Read sequences to train on: files .npy of inputs, targets and perhaps a mask, or one of JSON lines."""
        raw = read_arrays(inputs, targets, mask)
        task = ArrayTask(raw, settings, seed)
        given = [path for path in (inputs, targets, mask) if path is not None]
        _save_places(raw.files, given)
        steps = int(task.sequences.lengths.max())
        about = (
            f"{', '.join(path.name for path in given)}: {len(task.trained):,} sequences of up to {steps:,} steps to "
            f"train on, {len(task.held_out):,} held out; {task.input_size} inputs, {task.output_size} outputs, targets "
            f"are {task.target_kind}"
        )
        if overlap := task.overlap:
            about += f"\nthe inputs of {100 * overlap:.0f} % of those held out are also trained on"
        return NewTask(
            task,
            metadata={
                "name": task.name,
                "kind": cls.kind,
                "settings": dataclasses.asdict(settings),
                "files": [dataclasses.asdict(file) for file in raw.files],
            },
            batch=settings.batch,
            states=max(settings.batch * (steps + 2), 3 * EVAL_BATCH),
            about=about,
            stem="arrays",
        )

    @cached_property
    def task(self) -> ArrayTask:
        """The task on the run's files, which must be the same byte for byte."""
        stored = self._stored.files
        if self._data_folder is not None:
            places = [self._data_folder / Path(file.name).name for file in stored]
        else:
            seen = find_data_places(_key(stored))
            there = len(seen) == len(stored) and all(map(os.path.exists, seen))
            places = [Path(place) for place in (seen if there else [Path(file.name).name for file in stored])]
        try:
            raw = read_arrays(*places, *[None] * (3 - len(places)))
        except UserError as error:
            raise UserError(
                f"{error} If the run's files have moved, say with --data in which folder they lie now."
            ) from None
        for before, now in zip(stored, raw.files, strict=True):
            if before.sha256 != now.sha256:
                raise UserError(
                    f"{before.name} must be the file that the run was started with (SHA-256 {before.sha256[:12]}..), "
                    f"got another ({now.sha256[:12]}..). Give the folder of the old one with --data."
                )
        _save_places(stored, places)
        task = ArrayTask(raw, self.settings, self.checkpoint.training.seed)
        with of_this_version(self.noun):
            wanted = self.checkpoint.spec.input_size, self.checkpoint.spec.output_size
            if wanted != (task.input_size, task.output_size):
                raise UserError(f"the model has {wanted[0]} inputs and {wanted[1]} outputs")
        return task

    def evaluate(
        self, *, no_reads: bool = False, sequences: int | None = None, picture: bool = False
    ) -> Evaluation:
        """Loss, share of wrong bits (or classes) and share of wrong sequences, of those held out.

        `sequences` is the number to score, by default all. With `picture` the result has a picture of the first.
        """
        task = self.task
        most = len(task.held_out)
        count = most if sequences is None else sequences
        if not 1 <= count <= most:
            raise UserError(f"sequences must be from 1 to {most}, those held out, got {count}.")
        scores, without = self._scores(task, no_reads, lambda forward: task.score_first(forward, count))
        iteration = self.checkpoint.iteration
        text = f"{scores_in_words(scores, task.target_kind)}; {count:,} held-out sequences (iteration {iteration})"
        record = {"task": task.name, "iteration": iteration, "sequences": count, **scores}
        if without is not None:
            text += f"\n{scores_in_words(without, task.target_kind)}; with every read vector zeroed"
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            picture=self._picture() if picture else None,
            text=text,
            json=record,
        )

    def trace(self, *, user_input: str | None = None, number: int | None = None) -> Trace:
        """Record one of the held-out sequences, or one of the user's own, as rows of digits or of a CSV file."""

        def make() -> tuple[Batch, About]:
            task = self.task
            if user_input is not None:
                names = channel_names(task, "input")
                return steps_batch(user_input, task.example(), names), self._about("a sequence given by hand")
            return task.sequence(number or 0), self._about(f"held-out sequence {number or 0}")

        return self._trace(make)

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, sequences trained on, losses, errors, speed, time left."""
        return sequence_progress(report, self.task.target_kind, self.settings.batch)

    def show_sample(self) -> str:
        """One held-out sequence as a picture."""
        batch = self.task.example()
        outputs, _ = self.checkpoint.forward(batch.inputs, None)
        return str(SequencePicture(generator=self.task, batch=batch, outputs=outputs))

    def format_score(self, score: float) -> str:
        """A loss in nats."""
        return format_loss(score)

    def summarize(self, report: Report) -> str:
        """The scores in words."""
        return scores_in_words(report.scores, self.task.target_kind)

    def _picture(self) -> SequencePicture:
        batch = self.task.example()
        outputs, _ = self.forward(batch.inputs, None)
        shown = gates(self.spec, self.params, self.engine, batch) if self.spec.has_memory else None
        return SequencePicture(generator=self.task, batch=batch, outputs=outputs, gates=shown)

    def _about(self, sequence: str) -> About:
        return About(
            task=self.name,
            settings=dataclasses.asdict(self.settings),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=channel_names(self.task, "input"),
            output_channels=channel_names(self.task, "output"),
        )


def _key(files: Sequence[CorpusFile]) -> str:
    """What names the files of a run together."""
    return " ".join(file.sha256 for file in files)


def _save_places(files: Sequence[CorpusFile], places: Sequence[Path]) -> None:
    save_data_places(_key(files), [str(place.resolve()) for place in places])
