"""Runs of REINVENT: a model of molecules, steered towards a score of the user's own."""

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from numdnc.errors import UserError
from numdnc.models import locate
from numdnc.runs.base import NewTask
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.molecules import SAMPLED, MoleculeRun
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation
from numdnc.runs.user_state import find_data_path, save_data_path
from numdnc.schema import validated
from numdnc.tasks import Scores
from numdnc.tasks.custom import load_function, public_source
from numdnc.tasks.molecules.likelihood import EVAL_BATCH
from numdnc.tasks.molecules.reinvent import ReinventSettings, ReinventTask
from numdnc.training.checkpoint import load_run
from numdnc.training.events import Report
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: ReinventSettings
    prior: str
    """Name of the prior without its folder, which may be private."""
    sha256: str
    """Of the prior's checkpoint."""
    tokens: tuple[str, ...]
    max_tokens: int
    source: str
    """MODULE:FUNCTION of the score."""


class ReinventRun(MoleculeRun):
    """A run of REINVENT. `custom_task` is where the code of its score is loaded from."""

    kind: ClassVar[str] = "reinvent"
    score_name: ClassVar[str] = "shortfall"

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        custom_task: str | None = None,
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        self._custom_task = custom_task

    def _stored(self, run: Run) -> tuple[Any, tuple[str, ...], int]:
        stored = validated(_Stored, run.task)
        return stored.settings, stored.tokens, stored.max_tokens

    @classmethod
    def custom_task_source(cls, run: Run) -> str | None:
        """MODULE:FUNCTION of the score."""
        return str(run.task.get("source"))

    @classmethod
    def prepare_from(
        cls, prior: str, score: str, settings: ReinventSettings, *, seed: int, engine: str
    ) -> tuple[NewTask, MoleculeRun]:
        """A task to train on and its prior, a run of molecules; `score` is MODULE:FUNCTION."""
        if not prior:
            raise UserError(
                "the prior must be a run of molecules, got none. Give its folder with --prior DIR."
            )
        function = load_function(score)
        opened, sha256 = _load_prior(prior, engine)
        task = ReinventTask(
            opened.vocabulary, opened.forward, function, settings, max_tokens=opened.max_tokens, seed=seed
        )
        save_data_path(sha256, Path(prior))
        new = NewTask(
            task,
            metadata={
                "name": task.name,
                "kind": cls.kind,
                "settings": dataclasses.asdict(settings),
                "prior": Path(prior).name,
                "sha256": sha256,
                "tokens": list(opened.vocabulary.tokens),
                "max_tokens": opened.max_tokens,
                "source": public_source(score),
            },
            batch=settings.batch,
            states=max(settings.batch * (opened.max_tokens + 2), 3 * EVAL_BATCH),
            about=f"{task.name}: the prior {prior} steered towards {score}, sigma {settings.sigma:g}",
            stem=task.name,
            in_parts="a molecule is written token by token",
        )
        return new, opened

    @cached_property
    def task(self) -> ReinventTask:  # type: ignore[override]
        """The task with the run's prior, which must be the same byte for byte, and its score."""
        stored = validated(_Stored, self.checkpoint.task)
        if self._custom_task is None:
            raise UserError(f"the score must be {stored.source}, got none. Name it.")
        place = find_data_path(stored.sha256, stored.prior)
        prior, sha256 = _load_prior(place, self.engine.name)
        if sha256 != stored.sha256:
            raise UserError(
                f"the prior must be the one the run was started with (SHA-256 {stored.sha256[:12]}..), got another at "
                f"{place} ({sha256[:12]}..). Put the old one there."
            )
        return ReinventTask(
            self.vocabulary,
            prior.forward,
            load_function(self._custom_task),
            stored.settings,
            max_tokens=stored.max_tokens,
            seed=self.checkpoint.training.seed,
        )

    def evaluate(
        self, *, no_reads: bool = False, sequences: int | None = None, picture: bool = False
    ) -> Evaluation:
        """Scores of `sequences` molecules that the model writes, beside those of the prior.

        With `picture` the result has a picture of the first valid ones.
        """
        count = SAMPLED if sequences is None else sequences
        if count < 1:
            raise UserError(f"sequences must be at least 1, got {count}.")
        self._check_memory(3 * EVAL_BATCH, EVAL_BATCH)
        self.settings = dataclasses.replace(self.settings, evaluated=count)
        task = self.task
        task.settings = self.settings
        scores, without = self._scores(task, no_reads)
        prior, iteration = task.score(task.prior), self.checkpoint.iteration
        text = (
            f"{_in_words(scores)}; {count:,} sampled (iteration {iteration})\nthe prior: {_in_words(prior)}"
        )
        record = {"iteration": iteration, "sampled": count, **scores, "prior": prior}
        if without is not None:
            text += f"\nwith every read vector zeroed: {_in_words(without)}"
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            picture=self._picture(self._draw(self.forward, EVAL_BATCH, task.scoring_rng()))
            if picture
            else None,
            text=text,
            json=record,
        )

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, loss, mean score, share of valid molecules, speed, time left."""
        parts = [
            *time_and_iteration(report.seconds, report.iteration),
            f"loss {report.train:7.1f}",
            f"score {1 - report.held_out:.4f}",
            f"{100 * (1 - report.scores['invalid']):5.1f} % valid",
            f"{report.per_second:7.1f} molecules/s",
            time_left(report.seconds_left),
        ]
        return ProgressLine(parts, drop=(5, 2, 4, 6))


def _load_prior(path: str, engine: str) -> tuple[MoleculeRun, str]:
    """Open the best checkpoint of a run of molecules, and the SHA-256 of its file."""
    place = locate(Path(path))
    if place.suffix == ".safetensors":
        file, run = place, load_run(place)
    else:
        folder = RunFolder(place)
        run = folder.load_best()
        file = folder.best if folder.best.exists() else folder.last
    if run.task.get("kind") != MoleculeRun.kind:
        raise UserError(
            f"the prior must be a run of molecules, got one of {run.task.get('name')} in {path}. "
            "Train one by `numdnc train molecules`."
        )
    with file.open("rb") as stream:
        return MoleculeRun(run, engine=engine), hashlib.file_digest(stream, "sha256").hexdigest()


def _in_words(scores: Scores) -> str:
    return (
        f"mean score {1 - scores['shortfall']:.4f}, {100 * (1 - scores['invalid']):.2f} % valid, "
        f"of these {100 * (1 - scores['repeated']):.2f} % different"
    )
