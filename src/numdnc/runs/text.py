"""Runs of a text: the next character is predicted."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from numdnc import data
from numdnc.corpora import CORPORA
from numdnc.corpus_files import expand
from numdnc.data import CorpusFile
from numdnc.errors import UserError, check_seed
from numdnc.inspection.trace import About, Trace
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.runs.user_state import find_data_places, save_data_places
from numdnc.schema import validated
from numdnc.tasks import Batch
from numdnc.tasks.decoding import Unit
from numdnc.tasks.text import TextSettings, TextTask, Vocabulary, sample, segments_at_once
from numdnc.tasks.user_input import text_batch, typed_symbols
from numdnc.training.events import Report
from numdnc.training.run import Run

SAMPLE_LENGTH = 200
"""Characters that the model writes while it is trained."""
TRACE_LENGTH = 100
"""Characters of a traced segment of the held-out text, by default."""


@dataclass(frozen=True, kw_only=True)
class _Symbols:
    symbols: str
    unit: Unit


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """The task as a checkpoint stores it."""

    name: str
    settings: TextSettings
    corpus: str | tuple[str, ...]
    """Its name, or the names of several; of a file or folder without the one around it, which may be private."""
    sha256: str
    """Checksum of all files one after the other."""
    files: tuple[CorpusFile, ...] = ()
    """Not stored by earlier versions."""
    vocabulary: _Symbols


class TextRun(TaskRun):
    """A run of a text, in one file or several. `corpus` and `data_folder` say where it lies now, if it has moved."""

    kind: ClassVar[str] = "text"
    noun: ClassVar[str] = "a text"
    score_name: ClassVar[str] = TextTask.unit
    carries_state: ClassVar[bool] = True
    next_commands: ClassVar[tuple[str, ...]] = ("sample {} --length 500", "eval {}", "view {}")

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        corpus: str | Sequence[str] = (),
        data_folder: Path | None = None,
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        with of_this_version(self.noun):
            stored = validated(_Stored, run.task)
            self.vocabulary = Vocabulary(stored.vocabulary.symbols, stored.vocabulary.unit)
            """The symbols of the text, in the order of inputs and outputs."""
            self.vocabulary.check(run.spec.input_size, run.spec.output_size)
            check_batch(run, stored.settings.batch)
        self.settings = stored.settings
        self._stored = stored
        self._corpus, self._data_folder = expand(_as_list(corpus)), data_folder

    @staticmethod
    def prepare(
        corpus: str | Sequence[str], settings: TextSettings, *, seed: int, data_folder: Path | None = None
    ) -> NewTask:
        """Read a text to train on: files, folders, or corpora that are known by name, one after the other."""
        given = expand(_as_list(corpus))
        found = data.load(given, data_folder)
        task = TextTask(found, settings, seed)
        trained, held_out = task.characters
        _save_paths(given, found)
        names = [name if name in CORPORA else Path(name).name for name in given]
        return NewTask(
            task,
            metadata={
                "name": task.name,
                "settings": dataclasses.asdict(settings),
                "corpus": names[0] if len(names) == 1 else names,
                "sha256": found.sha256,
                "files": [dataclasses.asdict(file) for file in found.files],
                "vocabulary": task.vocabulary._asdict(),
            },
            batch=settings.batch,
            # Scoring holds some three states of every stretch that is scored at once.
            states=max(settings.batch * (settings.window + 2), 3 * segments_at_once(held_out)),
            about=f"{task.corpus_name}: {trained:,} characters to train on, {held_out:,} held out, "
            f"{task.input_size} symbols",
            stem="text",
            in_parts="a text is read window by window",
        )

    @cached_property
    def task(self) -> TextTask:
        """The task on the run's text, which must be the same byte for byte."""
        names, sha256 = _as_list(self._stored.corpus), self._stored.sha256
        seen = [] if CORPORA.keys() >= set(names) else find_data_places(sha256)
        still_there = all(place in CORPORA or os.path.exists(place) for place in seen)  # noqa: PTH110
        wanted = self._corpus or (seen if seen and still_there else names)
        try:
            found = data.load(wanted, self._data_folder)
        except UserError as error:
            hint = (
                "" if self._corpus else " If the run's text has moved, say with --corpus where it lies now."
            )
            raise UserError(f"{error}{hint}") from None
        if found.sha256 != sha256 or not _same_files(self._stored.files, found.files):
            raise UserError(
                f"the corpus must be the one the run was started with (SHA-256 {sha256[:12]}..), got another at "
                f"{found.name} ({found.sha256[:12]}..{_first_other(self._stored.files, found.files)}). "
                "Give the old one with --corpus."
            )
        if len(names) == 1 and names[0] not in CORPORA:  # earlier versions stored the path
            self.checkpoint.task = {**self.checkpoint.task, "corpus": Path(names[0]).name}
        _save_paths(wanted, found)
        return TextTask(found, self.settings, self.checkpoint.training.seed)

    @property
    def writes_bytes(self) -> bool:
        """Whether the characters that the model writes stand for bytes."""
        return self.vocabulary.unit == "bytes"

    def evaluate(self, *, no_reads: bool = False) -> Evaluation:
        """Bits per character on all of the held-out part."""
        task = self.task
        scores, without = self._scores(task, no_reads)
        held_out, iteration = task.characters[1], self.checkpoint.iteration
        text = f"{scores['bpc']:.4f} BPC on {held_out:,} held-out characters (iteration {iteration})"
        record = {
            "held_out_bpc": scores["bpc"],
            "iteration": iteration,
            "held_out_characters": held_out,
        }
        if without is not None:
            text += f"\n{without['bpc']:.4f} BPC with every read vector zeroed"
            record["held_out_bpc_without_reads"] = without["bpc"]
        return Evaluation(
            scores=scores, scores_without_reads=without, iteration=iteration, text=text, json=record
        )

    def trace(
        self, *, user_input: str | None = None, number: int | None = None, length: int | None = None
    ) -> Trace:
        """Record segment `number` of the held-out text, cut into segments of `length`; or a text of the user's own."""

        def make() -> tuple[Batch, About]:
            if user_input is not None:
                return text_batch(user_input, self.vocabulary), self._about("a text given by hand")
            size = min(TRACE_LENGTH, self.task.characters[1]) if length is None else length
            first = (number or 0) * size
            batch = self.task.segment(number or 0, size)
            return batch, self._about(f"held-out characters {first:,} to {first + size - 1:,}")

        return self._trace(make)

    def sample(
        self, *, length: int = 500, prime: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> str:
        """Let the model write `length` characters; each is drawn from softmax(y / temperature), 0 takes the likeliest.

        `prime` is what it reads first, by default a line break, or the first symbol it knows.
        """
        return "".join(self.stream(length=length, prime=prime, temperature=temperature, seed=seed))

    def stream(
        self, *, length: int = 500, prime: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """The same character by character, each as soon as it is drawn."""
        check_seed(seed)
        return sample(
            self.forward,
            self.vocabulary,
            length=length,
            prime=self._default_prime if prime is None else typed_symbols(prime, self.vocabulary),
            temperature=temperature,
            rng=np.random.default_rng(seed),
        )

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, score in training and on held-out data, speed, time left."""
        parts = [
            *time_and_iteration(report.seconds, report.iteration),
            f"{report.train:.4f} {self.task.unit}",
            f"{report.held_out:.4f} held-out {self.task.unit}",
            f"{report.per_second:9.2f} char/s",
            time_left(report.seconds_left),
        ]
        return ProgressLine(parts, drop=(4, 2, 5))

    def show_sample(self) -> str:
        """Text that the model writes."""
        rng = np.random.default_rng([self.checkpoint.training.seed, self.checkpoint.iteration])
        written = sample(
            self.checkpoint.forward,
            self.vocabulary,
            length=SAMPLE_LENGTH,
            prime=self._default_prime,
            temperature=0.8,
            rng=rng,
        )
        return "".join(written)

    def format_score(self, score: float) -> str:
        """Bits per character."""
        return f"{score:.4f}"

    @property
    def _default_prime(self) -> str:
        return "\n" if "\n" in self.vocabulary.symbols else self.vocabulary.symbols[0]

    def _about(self, sequence: str) -> About:
        return About(
            task="text",
            settings=dataclasses.asdict(self.settings),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=tuple(self.vocabulary.symbols),
            output_channels=tuple(self.vocabulary.symbols),
            symbols=self.vocabulary.symbols,
        )


def _as_list(corpus: str | Sequence[str]) -> list[str]:
    return [corpus] if isinstance(corpus, str) else list(corpus)


def _save_paths(given: Sequence[str], found: data.Corpus) -> None:
    """Store on this machine where texts lie, unless all of them have registered names."""
    if any(name not in CORPORA for name in given):
        places = [name if name in CORPORA else str(Path(name).resolve()) for name in given]
        save_data_places(found.sha256, places)


def _same_files(stored: Sequence[CorpusFile], found: Sequence[CorpusFile]) -> bool:
    """Whether files have the same contents in the same order, whatever their names; earlier versions stored none."""
    return not stored or [file.sha256 for file in stored] == [file.sha256 for file in found]


def _first_other(stored: Sequence[CorpusFile], found: Sequence[CorpusFile]) -> str:
    """The first of several stored files that is not found as it was, in words."""
    if len(stored) == len(found) == 1:
        return ""
    if len(stored) != len(found):
        return f"; {len(found)} files, not {len(stored)}"
    return next(
        f"; the first other file is {at.name}"
        for at, now in zip(stored, found, strict=True)
        if at.sha256 != now.sha256
    )
