"""The task catbAbI: stories of bAbI run on end to end, answers are predicted after each question (Schlag et al. 2021).

A stream is one story after another, each begun by a sign. Where the input is "?" the answer is to be predicted; then it
is read, and the story goes on. Several words of an answer are one symbol, such as "n,w". The state is carried from
window to window, gradients are not, so a memory must free itself. Scores are shares of all answers, not means over the
tasks as those of bAbI.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.schema import Count
from numdnc.tasks import Batch, Forward, Scores, position_from
from numdnc.tasks.babi.files import BabiFiles
from numdnc.tasks.babi.stories import Line, Story, Vocabulary, parse_parts
from numdnc.tasks.babi.task import FAILURE_THRESHOLD, first_questions, numbers_of_tasks
from numdnc.tasks.sequences import loss_mask, pad_and_concat

BEGIN = "<story>"
"""The first symbol: a story begins."""
_ORDER = 0
EVAL_STREAMS = 16
"""Streams that validation stories are read in; the test stories are one."""
EVAL_WINDOW = 512
"""Steps that are scored at once, to limit memory."""


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """Choice of stories, and how they are read and scored."""

    only: str = ""
    """Numbers of the tasks to learn, such as 1,2,3; empty = all."""
    subset: str = "en-10k"
    """Folder in the archive: en-10k has 10,000 training questions per task, en has 1,000."""
    batch: int = 16
    """B, streams read side by side."""
    window: int = 200
    """T, steps of an update; gradients stop at its beginning, the state is carried over."""
    validation: float = 0.1
    """Share of each task's stories that is kept out of training; progress lines score a part of it."""
    evaluated: int = 50
    """Questions of each task, if there are so many, in the stories that every progress line scores."""

    def __post_init__(self) -> None:
        for name in ("batch", "window", "evaluated"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.validation < 1:
            raise UserError(f"validation must lie between 0 and 1, got {self.validation}.")
        numbers_of_tasks(self.only)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in `only`; none if it is empty."""
        return numbers_of_tasks(self.only)


class ReadStory(NamedTuple):
    """A story as a piece of a stream, (T,)."""

    task: int
    inputs: NDArray[Any]
    targets: NDArray[Any]
    """The answer where the input is a question mark, else 0."""

    @property
    def batch(self) -> Batch:
        """The story as a batch of one row."""
        targets = self.targets[:, None]
        return Batch(self.inputs[:, None], targets, mask=targets != 0)


class Streams(NamedTuple):
    """Stories one after another in B streams, (T, B)."""

    inputs: NDArray[Any]
    targets: NDArray[Any]
    due: NDArray[np.bool_]
    """Where an answer is to be predicted."""
    tasks: NDArray[Any]


def stream_vocabulary(stories: Iterable[Story]) -> Vocabulary:
    """The sign that begins a story, and every word and answer of some stories in alphabetical order."""
    lines = {line for story in stories for line in story.lines}
    words = {word for line in lines for word in line.words}
    return Vocabulary(
        sorted(words | {answer_symbol(line) for line in lines if line.answers}), special=(BEGIN,)
    )


def answer_symbol(line: Line) -> str:
    """The answer to a question as one symbol."""
    return ",".join(line.answers)


class StreamEncoder:
    """Encode stories as pieces of a stream; each line is encoded once, since many stories repeat it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._dtype = np.min_scalar_type(len(vocabulary.symbols))
        self._known: dict[Line, tuple[NDArray[Any], NDArray[Any]]] = {}

    def story(self, story: Story) -> ReadStory:
        """A story after the sign that begins it; each question is followed by its answer."""
        begin = np.zeros(1, self._dtype)
        inputs, targets = zip((begin, begin), *map(self.line, story.lines), strict=True)
        return ReadStory(story.task, np.concatenate(inputs), np.concatenate(targets))

    def line(self, line: Line) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and targets of a line: a question is followed by its answer, which is due where it ends."""
        if line not in self._known:
            answers = [answer_symbol(line)] if line.answers else []
            inputs = self._vocabulary.encode([*line.words, *answers]).astype(self._dtype)
            targets = np.zeros_like(inputs)
            if answers:
                targets[-2] = inputs[-1]
            self._known[line] = inputs, targets
        return self._known[line]


def run_together(stories: Iterable[ReadStory], count: int) -> Streams:
    """Put stories into `count` streams, each at the end of the one that is shortest then; shorter ones are padded."""
    streams: list[list[ReadStory]] = [[] for _ in range(count)]
    lengths = np.zeros(count, int)
    for story in stories:
        shortest = int(lengths.argmin())
        streams[shortest].append(story)
        lengths[shortest] += len(story.inputs)
    inputs, targets, tasks = (np.zeros((lengths.max(), count), np.uint16) for _ in range(3))
    for row, stream in enumerate(streams):
        steps = slice(0, lengths[row])
        if stream:
            inputs[steps, row] = np.concatenate([story.inputs for story in stream])
            targets[steps, row] = np.concatenate([story.targets for story in stream])
            tasks[steps, row] = np.repeat(
                [story.task for story in stream], [len(story.inputs) for story in stream]
            )
    return Streams(inputs, targets, targets != 0, tasks)


@dataclass(frozen=True)
class _Position:
    epoch: Count
    read: Count


class StreamTask:
    """All bAbI tasks in streams; see `Task`. Losses are in nats per answer."""

    name = "catbabi"
    unit = "nats"
    nats_per_unit = 1.0

    def __init__(self, files: BabiFiles, settings: StreamSettings, seed: int) -> None:
        self.settings, self.titles, self._seed = settings, files.titles, seed
        train, valid, test = parse_parts(files, settings.validation, seed)
        self.vocabulary = stream_vocabulary(
            story for part in (train, valid, test) for stories in part.values() for story in stories
        )
        self.input_size = self.output_size = len(self.vocabulary.symbols)
        encoder = StreamEncoder(self.vocabulary)
        self.train, self.validation, self.test = (
            [encoder.story(story) for stories in part.values() for story in stories]
            for part in (train, valid, test)
        )
        self.evaluated = first_questions(self.validation, settings.evaluated)
        """The validation stories that progress lines score."""
        if len(self.train) < settings.batch:
            raise UserError(
                f"batch must be at most the {len(self.train)} stories to train on, got {settings.batch}. Lower it."
            )
        self._begin_epoch(0)

    def _begin_epoch(self, epoch: int) -> None:
        """Run the stories together in another order; what is longer than the shortest stream is left out."""
        order = np.random.default_rng([self._seed, _ORDER, epoch]).permutation(len(self.train))
        self._epoch, self._read = epoch, 0
        streams = run_together((self.train[number] for number in order), self.settings.batch)
        ends = streams.inputs.shape[0] - (streams.tasks[::-1] != 0).argmax(axis=0)
        self._streams = Streams(*(part[: ends.min()] for part in streams))

    @property
    def steps(self) -> int:
        """Length of the streams of this epoch."""
        return len(self._streams.inputs)

    def next_batch(self) -> Batch:
        """The next window of every stream; the last one of an epoch may be shorter."""
        if self._read == self.steps:
            self._begin_epoch(self._epoch + 1)
        begin, self._read = self._read, min(self._read + self.settings.window, self.steps)
        inputs, targets, due, _ = (part[begin : self._read] for part in self._streams)
        return Batch(inputs, targets, starts_sequence=begin == 0, mask=due)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy of the answers in nats, their number, gradient by the outputs."""
        due, d_outputs = loss_mask(batch), np.zeros_like(outputs)
        if not due.any():
            return 0.0, 0, d_outputs
        nats, d_due = softmax_cross_entropy(outputs[due][None], batch.targets[due][None])
        d_outputs[due] = d_due[0]
        return nats, int(due.sum()), d_outputs

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores on the test stories in one stream if `whole`, else on some validation stories, always the same.

        "error": share of all answers that are wrong; "loss": nats per answer; "failed": number of tasks with an error
        above FAILURE_THRESHOLD; "error_1", ..: error of each task.
        """
        stories = self.test if whole else self.evaluated
        order = np.random.default_rng([0, _ORDER]).permutation(len(stories))
        streams = run_together((stories[number] for number in order), 1 if whole else EVAL_STREAMS)
        wrong, asked = np.zeros((2, max(self.titles) + 1), int)  # of each task
        nats, state = 0.0, None
        for begin in range(0, len(streams.inputs), EVAL_WINDOW):
            inputs, targets, due, tasks = (part[begin : begin + EVAL_WINDOW] for part in streams)
            outputs, state = forward(inputs, state)
            mean, count, _ = self.loss(outputs, Batch(inputs, targets, mask=due))
            nats += mean * count
            missed = due & (outputs.argmax(axis=2) != targets)
            wrong += np.bincount(tasks[missed], minlength=len(wrong))
            asked += np.bincount(tasks[due], minlength=len(asked))
        errors = {f"error_{task}": float(wrong[task] / asked[task]) for task in self.titles}
        return {
            "error": float(wrong.sum() / asked.sum()),
            "loss": nats / float(asked.sum()),
            "failed": float(sum(error > FAILURE_THRESHOLD for error in errors.values())),
            **errors,
        }

    def example(self, sequences: int) -> Batch:
        """Some of the stories that progress lines score, from short to long, each the first of a stream."""
        stories = sorted(self.evaluated, key=lambda story: len(story.inputs))
        chosen = np.linspace(0, len(stories), sequences, endpoint=False).astype(int)
        return pad_and_concat([stories[number].batch for number in chosen])

    def solved(self, scores: Scores) -> bool:
        """Whether every answer is right."""
        return scores["error"] == 0

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: there is no curriculum."""

    def position(self) -> dict[str, Any]:
        """Epoch, and how many steps of its streams are read."""
        return {"epoch": self._epoch, "read": self._read}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""

        def problem(saved: _Position) -> str:
            self._begin_epoch(saved.epoch)
            return "" if saved.read <= self.steps else f"there are {self.steps} steps"

        self._read = position_from(_Position, position, problem).read
