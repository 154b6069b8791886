"""Parse stories into words, and encode words as symbols."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.input_files import parse_whole_number
from numdnc.names import closest_names, quoted
from numdnc.tasks import Batch
from numdnc.tasks.babi.files import BabiFiles

BLANK, ANSWER = 0, 1
"""The first two symbols: no input, and an answer word is due. Words are numbered from 2."""
SPECIAL_SYMBOLS = ("_", "-")
"""How these two are written."""
_SPLIT = 1
"""Separates the random numbers for the choice of validation stories from others of the same seed."""
_TOKEN = re.compile(r"[^\s.?,]+|[.?]")


class Line(NamedTuple):
    """A sentence of a story, or a question."""

    words: tuple[str, ...]
    """In lower case, `.` and `?` as words of their own."""
    answers: tuple[str, ...] = ()
    """The answer's words; empty for a sentence that is no question."""


class Story(NamedTuple):
    """One sequence: the lines of a file up to where their numbers begin at 1 again."""

    task: int
    lines: tuple[Line, ...]


def tokenize(text: str) -> tuple[str, ...]:
    """Words in lower case; `.` and `?` are words of their own, commas are dropped."""
    return tuple(_TOKEN.findall(text.lower()))


def parse_lines(text: str, answer_words: int = 1) -> tuple[Line, ...]:
    """Sentences and questions typed by a user; each question has `answer_words` unknown answer words."""
    lines, words = [], []
    for token in (*tokenize(text), ""):
        if token:
            words.append(token)
        if token in (".", "?", ""):
            if words not in ([], ["."], ["?"]):
                lines.append(Line(tuple(words), ("",) * answer_words if token == "?" else ()))
            words = []
    return tuple(lines)


def parse_stories(task: int, text: str, source: str) -> list[Story]:
    """The stories of one file, whose lines are "NUMBER SENTENCE" or "NUMBER QUESTION<tab>ANSWER<tab>SUPPORT".

    The model is shown neither numbers nor supporting facts. `source` names the file in error messages.
    """
    known: dict[str, Line] = {}  # sentences are repeated thousands of times
    stories: list[list[Line]] = []
    before = 0
    # Not `splitlines`, which also splits at characters that may occur in a sentence.
    rows = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for place, row in enumerate(rows, 1):
        if not row.strip():
            continue
        word, _, rest = row.partition(" ")
        number = parse_whole_number(word)
        if number is None or not rest.strip():
            raise UserError(
                f"each line of {source} must be a number and a sentence, got {quoted(row)} as line {place}. "
                "Download the data again."
            )
        if number <= before or not stories:
            stories.append([])
        before = number
        shown = rest.rsplit("\t", 1)[0] if rest.count("\t") > 1 else rest
        line = known.get(shown)
        if line is None:
            line = known[shown] = _line(shown, source, place)
        stories[-1].append(line)
    for story in stories:
        if not any(line.answers for line in story):
            raise UserError(
                f"each story of {source} must ask something, got one that begins with "
                f"{quoted(' '.join(story[0].words))} and does not. Download the data again."
            )
    if not stories:
        raise UserError(f"{source} must hold stories, got none. Download the data again.")
    return [Story(task, tuple(story)) for story in stories]


def split_stories(stories: Sequence[Story], share: float, seed: int) -> tuple[list[Story], list[Story]]:
    """Training and validation stories of one task; they depend on the seed, not on which other tasks are learned."""
    count, task = max(1, round(share * len(stories))), stories[0].task
    if count >= len(stories):
        raise UserError(
            f"validation must leave stories to train on, got {share} of the {len(stories)} stories of task {task}. "
            "Lower it, or give more data."
        )
    order = np.random.default_rng([seed, _SPLIT, task]).permutation(len(stories))
    return [stories[i] for i in order[count:]], [stories[i] for i in order[:count]]


def parse_parts(files: BabiFiles, share: float, seed: int) -> tuple[dict[int, list[Story]], ...]:
    """Training, validation and test stories by task; without validation files a share of the training stories."""
    train, valid, test = (
        {task: parse_stories(task, text, f"qa{task} {part}") for task, text in texts.items()}
        for part, texts in (("train", files.train), ("valid", files.valid), ("test", files.test))
    )
    if not valid:
        for task, stories in train.items():
            train[task], valid[task] = split_stories(stories, share, seed)
    return train, valid, test


def drop_duplicates(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines without those that repeat the line before word for word, be they sentences or questions."""
    return tuple(line for line, _ in groupby(lines))


def _line(shown: str, source: str, place: int) -> Line:
    sentence, tab, answer = shown.partition("\t")
    words = tokenize(sentence)
    answers = tuple(word for part in answer.lower().split(",") if (word := part.strip()))
    if not words or bool(tab) != bool(answers):
        raise UserError(
            f"each question of {source} must have words and an answer, got {quoted(shown)} as line {place}. "
            "Download the data again."
        )
    return Line(words, answers)


class Vocabulary:
    """Special symbols, by default the blank and the sign that asks for an answer word; then words in their order."""

    def __init__(self, words: Sequence[str], special: tuple[str, ...] = SPECIAL_SYMBOLS) -> None:
        self.words = tuple(words)
        self.symbols = special + self.words
        """All symbols; a symbol's index is its number."""
        self._numbers = {word: number for number, word in enumerate(self.words, len(special))}

    @classmethod
    def from_stories(cls, stories: Iterable[Story]) -> "Vocabulary":
        """The vocabulary of some stories, their answers included."""
        lines = {line for story in stories for line in story.lines}
        return cls(sorted({word for line in lines for word in (*line.words, *line.answers)}))

    def encode(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of words; a UserError for unknown words names the most similar known ones."""
        strangers = [word for word in dict.fromkeys(words) if word not in self._numbers]
        if strangers:
            near = [match for word in strangers[:5] for match in closest_names(word, self.words, cutoff=0.6)]
            hint = f"Similar: {', '.join(dict.fromkeys(near))}." if near else "Use other words."
            raise UserError(
                f"words must be among the {len(self.words)} the model was trained on, "
                f"got others: {', '.join(map(quoted, strangers[:5]))}. {hint}"
            )
        return np.array([self._numbers[word] for word in words], np.int64)

    def read(self, line: Line, pause: int) -> NDArray[np.int64]:
        """The input symbols of a line: its words and, for a question, `pause` blanks and one "-" per answer word."""
        if not line.answers:
            return self.encode(line.words)
        asked = [BLANK] * pause + [ANSWER] * len(line.answers)
        return np.concatenate([self.encode(line.words), asked])


class StoryEncoder:
    """Encode stories as batches; each line is encoded once, since many stories repeat it."""

    def __init__(self, vocabulary: Vocabulary, pause: int) -> None:
        self._vocabulary, self._pause = vocabulary, pause
        self._dtype = np.min_scalar_type(len(vocabulary.symbols))
        self._known: dict[Line, tuple[NDArray[Any], NDArray[Any]]] = {}

    def batch(self, lines: Sequence[Line]) -> Batch:
        """A batch of one story, (T, 1): where the mask is True the input is "-" and the target an answer word."""
        read, wanted = zip(*map(self._line, lines), strict=True)
        inputs = np.concatenate(read)[:, None]
        return Batch(inputs, np.concatenate(wanted)[:, None], mask=inputs == ANSWER)

    def _line(self, line: Line) -> tuple[NDArray[Any], NDArray[Any]]:
        if line not in self._known:
            inputs = self._vocabulary.read(line, self._pause).astype(self._dtype)
            targets = np.zeros_like(inputs)
            targets[inputs == ANSWER] = self._vocabulary.encode(line.answers)
            self._known[line] = inputs, targets
        return self._known[line]
