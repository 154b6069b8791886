"""The task bAbI: learn to answer the questions of all kinds of stories at once; see `Task`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.input_files import parse_whole_number
from numdnc.names import quoted
from numdnc.params import Array
from numdnc.reference.losses import softmax_binary_cross_entropy, softmax_cross_entropy
from numdnc.schema import Count
from numdnc.tasks import Batch, Forward, Scores, position_from
from numdnc.tasks.babi.files import BabiFiles
from numdnc.tasks.babi.induction import INDUCTION_TASK, augment_induction
from numdnc.tasks.babi.stories import (
    Story,
    StoryEncoder,
    Vocabulary,
    drop_duplicates,
    parse_parts,
)
from numdnc.tasks.batches import batches_by_length, padding_share
from numdnc.tasks.sequences import loss_mask, pad_and_concat, sequence_lengths

_ORDER, _AUGMENT = 0, 2
"""Separate the random numbers for the order of stories and for augmentation."""
StoryLoss = Literal["cross_entropy", "binary_cross_entropy"]
_LOSSES = {"cross_entropy": softmax_cross_entropy, "binary_cross_entropy": softmax_binary_cross_entropy}
_LONGEST_PAUSE = 1000
EVAL_BATCH = 64
"""Stories that are scored at once, to limit memory."""
FAILURE_THRESHOLD = 0.05
"""A task is failed if more than this share of its questions is answered wrong (Weston et al. 2015)."""


@dataclass(frozen=True, kw_only=True)
class BabiSettings:
    """Choice of stories, and how they are batched and scored."""

    only: str = ""
    """Numbers of the tasks to learn, such as 1,2,3; empty = all."""
    subset: str = "en-10k"
    """Folder in the archive: en-10k has 10,000 training questions per task, en has 1,000; en-valid-10k and en-valid
    are the same with separate validation files; also hn and shuffled, each also with -10k."""
    batch: int = 16
    """B, stories per update."""
    pause: int = 0
    """Blank steps between a question and its answer (Csordas and Schmidhuber 2019: 3)."""
    validation: float = 0.1
    """Share of each task's stories that is kept out of training; progress lines score a part of it. If the subset has
    validation files, these are used instead."""
    evaluated: int = 100
    """Questions of each task, if there are so many, in the stories that every progress line scores."""
    longest: int = 0
    """Stories of more steps (words, and the pauses) are left out of training, not of scores; 0 = no limit."""
    drop_duplicates: bool = False
    """Drop lines that repeat the line before, in all stories (Franke et al. 2018); of the published test this drops
    498 of 20,000 questions."""
    augment_16: bool = False
    """Replace repeated kinds and colours among the irrelevant facts of task 16, in training stories only (Franke et al.
    2018). Results say so: without it every published model gets half of that task wrong."""
    loss: StoryLoss = "cross_entropy"
    """What is minimised: cross_entropy of each answer word, or binary_cross_entropy of the probability of every symbol
    (Franke et al. 2018)."""

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("evaluated", 1), ("pause", 0), ("longest", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.loss not in _LOSSES:
            raise UserError(f"loss must be one of {', '.join(_LOSSES)}, got {quoted(self.loss)}.")
        if not 0 < self.validation < 1:
            raise UserError(f"validation must lie between 0 and 1, got {self.validation}.")
        if self.pause > _LONGEST_PAUSE:
            raise UserError(f"pause must be at most {_LONGEST_PAUSE:,}, got {self.pause:,}.")
        numbers_of_tasks(self.only)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in `only`; none if it is empty."""
        return numbers_of_tasks(self.only)

    @property
    def changes(self) -> str:
        """How the stories differ from the files, in words; empty if they do not."""
        changes = {
            "consecutive duplicate lines dropped": self.drop_duplicates,
            f"training stories of task {INDUCTION_TASK} augmented": self.augment_16,
        }
        return ", ".join(words for words, made in changes.items() if made)


def numbers_of_tasks(only: str) -> tuple[int, ...]:
    """The numbers of tasks in words such as 1,2,3; none of empty ones."""
    if not all(parse_whole_number(word) for word in only.split(",") if only):
        raise UserError(
            f"only must be numbers of tasks separated by commas, such as 1,2,3, got {quoted(only)}."
        )
    return tuple(sorted({int(word) for word in only.split(",") if word}))


class EncodedStory(NamedTuple):
    """A story encoded as a sequence."""

    task: int
    batch: Batch  # of one row

    @property
    def steps(self) -> int:
        """Number of steps, T."""
        return len(self.batch.inputs)


@dataclass(frozen=True)
class _Position:
    epoch: Count
    batch: Count


class BabiTask:
    """All bAbI tasks learned jointly. Inputs are symbols, outputs are words; where the input is "-" an answer is due.

    Losses are in nats per answer word; errors are shares of questions, which are right only if all their words are.
    `files` holds what `settings.subset` and `settings.numbers` choose.
    """

    name = "babi"
    unit = "nats"
    nats_per_unit = 1.0

    def __init__(self, files: BabiFiles, settings: BabiSettings, seed: int) -> None:
        self.settings, self.titles, self._seed = settings, files.titles, seed
        train, valid, test = parse_parts(files, settings.validation, seed)
        self.vocabulary = Vocabulary.from_stories(
            story for part in (train, valid, test) for stories in part.values() for story in stories
        )
        self.input_size = self.output_size = len(self.vocabulary.symbols)
        reader = StoryEncoder(self.vocabulary, settings.pause)

        def encoded(stories: Sequence[Story]) -> list[EncodedStory]:
            shown = drop_duplicates if settings.drop_duplicates else tuple
            return [EncodedStory(story.task, reader.batch(shown(story.lines))) for story in stories]

        self.test = [story for stories in test.values() for story in encoded(stories)]
        """Test stories, scored at the end, in the order of the tasks."""
        self.train: list[EncodedStory] = []
        """Training stories."""
        self.validation: list[EncodedStory] = []
        """Validation stories, by which the best checkpoint is chosen; in the order of the tasks."""
        for task, stories in train.items():
            augmented = settings.augment_16 and task == INDUCTION_TASK
            rng = np.random.default_rng([seed, _AUGMENT])
            read = encoded(augment_induction(stories, rng) if augmented else stories)
            self.train += [story for story in read if not settings.longest or story.steps <= settings.longest]
            self.validation += encoded(valid[task])
        if not self.train:
            raise UserError(f"longest must leave stories to train on, got {settings.longest}. Raise it.")
        self.evaluated = first_questions(self.validation, settings.evaluated)
        """The validation stories that progress lines score."""
        self._lengths = [story.steps for story in self.train]
        self._begin_epoch(0)

    def _begin_epoch(self, epoch: int) -> None:
        rng = np.random.default_rng([self._seed, _ORDER, epoch])
        self._epoch, self._next = epoch, 0
        self._batches = batches_by_length(self._lengths, self.settings.batch, rng)

    @property
    def batches(self) -> int:
        """Number of updates of an epoch."""
        return len(self._batches)

    @property
    def padding(self) -> float:
        """Share of padding among the steps of this epoch."""
        return padding_share(self._lengths, self._batches)

    @property
    def longest(self) -> int:
        """Steps of the longest training story."""
        return max(self._lengths)

    def next_batch(self) -> Batch:
        """The next batch, of stories of similar length."""
        if self._next == len(self._batches):
            self._begin_epoch(self._epoch + 1)
        chosen = self._batches[self._next]
        self._next += 1
        return pad_and_concat([self.train[number].batch for number in chosen])

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean loss of the answer words in nats, their number, gradient by the outputs."""
        due = loss_mask(batch)
        nats, d_due = _LOSSES[self.settings.loss](outputs[due][None], batch.targets[due][None])
        d_outputs = np.zeros_like(outputs)
        d_outputs[due] = d_due[0]
        return nats, int(due.sum()), d_outputs

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores on the test stories if `whole`, else on some validation stories, the same every time.

        "mean_error": mean over the tasks of the share of wrong answers; "loss": nats per answer word; "failed": number
        of tasks with an error above FAILURE_THRESHOLD; "error_1", ..: error of each task.
        """
        stories = sorted(self.test if whole else self.evaluated, key=lambda story: story.steps)
        wrong = dict.fromkeys(self.titles, 0)
        asked = dict.fromkeys(self.titles, 0)
        nats = words = 0.0
        for first in range(0, len(stories), EVAL_BATCH):
            group = stories[first : first + EVAL_BATCH]
            batch = pad_and_concat([story.batch for story in group])
            outputs, _ = forward(batch.inputs, None, sequence_lengths(batch))
            mean, count, _ = self.loss(outputs, batch)
            nats, words = nats + mean * count, words + count
            right = outputs.argmax(axis=2) == batch.targets
            for row, story in enumerate(group):
                answers = correct_questions(right[:, row], loss_mask(batch)[:, row])
                wrong[story.task] += int((~answers).sum())
                asked[story.task] += len(answers)
        errors = {f"error_{task}": wrong[task] / asked[task] for task in self.titles}
        return {
            "mean_error": sum(errors.values()) / len(errors),
            "loss": nats / words,
            "failed": float(sum(error > FAILURE_THRESHOLD for error in errors.values())),
            **errors,
        }

    def example(self, sequences: int) -> Batch:
        """Some of the stories that progress lines score, from short to long."""
        stories = sorted(self.evaluated, key=lambda story: story.steps)
        chosen = np.linspace(0, len(stories), sequences, endpoint=False).astype(int)
        return pad_and_concat([stories[number].batch for number in chosen])

    def solved(self, scores: Scores) -> bool:
        """Whether every answer is right."""
        return scores["mean_error"] == 0

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: bAbI has no curriculum."""

    def position(self) -> dict[str, Any]:
        """Epoch, and how many of its batches are done."""
        return {"epoch": self._epoch, "batch": self._next}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""

        def problem(saved: _Position) -> str:
            most = -(-len(self.train) // self.settings.batch)
            return "" if saved.batch <= most else f"there are {most} batches"

        saved = position_from(_Position, position, problem)
        self._begin_epoch(saved.epoch)
        self._next = saved.batch


def correct_questions(right: NDArray[np.bool_], due: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each question whether all its answer words are right, from what is right and due at each step, both (T,).

    An answer is a run of steps at which a word is due.
    """
    begins = due & ~np.concatenate([[False], due[:-1]])
    numbers = np.cumsum(begins)[due] - 1
    answers = np.ones(int(begins.sum()), bool)
    answers[numbers[~right[due]]] = False
    return answers


class OfTask(Protocol):
    """A story of a task."""

    @property
    def task(self) -> int:
        """Number of the task."""
        ...

    @property
    def batch(self) -> Batch:
        """The story as a batch of one row."""
        ...


OneStory = TypeVar("OneStory", bound=OfTask)


def first_questions(stories: Iterable[OneStory], wanted: int) -> list[OneStory]:
    """The first stories of each task that hold at least `wanted` questions together."""
    asked: dict[int, int] = {}
    chosen = []
    for story in stories:
        if asked.setdefault(story.task, 0) < wanted:
            due = loss_mask(story.batch)[:, 0]
            asked[story.task] += len(correct_questions(due, due))
            chosen.append(story)
    return chosen
