"""Stories as words, and words as numbers."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.input_files import parse_whole_number
from numdnc.names import closest_names, quoted
from numdnc.tasks import Batch

BLANK, ANSWER = 0, 1
"""The first two symbols: nothing is read, and an answer word is wanted. Words have the numbers after them."""
SPECIAL_SYMBOLS = ("_", "-")
"""What these two are called."""
_TOKEN = re.compile(r"[^\s.?,]+|[.?]")


class Line(NamedTuple):
    """A sentence of a story, or a question."""

    words: tuple[str, ...]
    """In lower case, `.` and `?` as words of their own."""
    answers: tuple[str, ...] = ()
    """The answer's words; none of a sentence that asks nothing."""


class Story(NamedTuple):
    """One sequence: what is told and asked until the lines of the file are numbered from 1 again."""

    task: int
    lines: tuple[Line, ...]


def tokenize(text: str) -> tuple[str, ...]:
    """Words in lower case; `.` and `?` stand alone, commas are dropped."""
    return tuple(_TOKEN.findall(text.lower()))


def parse_lines(text: str, answer_words: int = 1) -> tuple[Line, ...]:
    """Sentences and questions that somebody typed; each question wants so many words, which nobody knows yet."""
    lines, words = [], []
    for token in (*tokenize(text), ""):
        if token:
            words.append(token)
        if words and token in (".", "?", ""):
            lines.append(Line(tuple(words), ("",) * answer_words if token == "?" else ()))
            words = []
    return tuple(lines)


def parse_stories(task: int, text: str, source: str) -> list[Story]:
    """The stories of one file, whose lines are "NUMBER SENTENCE" or "NUMBER QUESTION<tab>ANSWER<tab>SUPPORT".

    Numbers and supporting facts are not shown to a model. `source` names the file where something is wrong with it.
    """
    known: dict[str, Line] = {}  # sentences come back thousands of times
    stories: list[list[Line]] = []
    before = 0
    # Not `splitlines`, which ends lines at characters that may stand in a sentence too.
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
    """Words in alphabetical order, numbered from 2 on; 0 is the blank, 1 asks for an answer word."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.symbols = SPECIAL_SYMBOLS + self.words
        """Every symbol by its number."""
        self._numbers = {word: number for number, word in enumerate(self.words, len(SPECIAL_SYMBOLS))}

    @classmethod
    def from_stories(cls, stories: Iterable[Story]) -> "Vocabulary":
        """Every word of some stories, of the answers too."""
        lines = {line for story in stories for line in story.lines}
        return cls(sorted({word for line in lines for word in (*line.words, *line.answers)}))

    def encode(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of words; those that are not known are a UserError, which names the known ones most like them."""
        strangers = [word for word in dict.fromkeys(words) if word not in self._numbers]
        if strangers:
            near = [match for word in strangers[:5] for match in closest_names(word, self.words, cutoff=0.6)]
            hint = f"Like these are {', '.join(dict.fromkeys(near))}." if near else "Say it in other words."
            raise UserError(
                f"words must be among the {len(self.words)} the model was trained on, "
                f"got {', '.join(map(quoted, strangers[:5]))} besides. {hint}"
            )
        return np.array([self._numbers[word] for word in words], np.int64)

    def read(self, line: Line, pause: int) -> NDArray[np.int64]:
        """The symbols of a line as a model reads them: its words, and where it asks, so many blanks, then - for each
        word of the answer.
        """
        if not line.answers:
            return self.encode(line.words)
        asked = [BLANK] * pause + [ANSWER] * len(line.answers)
        return np.concatenate([self.encode(line.words), asked])


class StoryEncoder:
    """Makes a sequence of a story; what a line looks like is worked out once, since lines come back in many stories."""

    def __init__(self, vocabulary: Vocabulary, pause: int) -> None:
        self._vocabulary, self._pause = vocabulary, pause
        self._dtype = np.min_scalar_type(len(vocabulary.symbols))
        self._known: dict[Line, tuple[NDArray[Any], NDArray[Any]]] = {}

    def batch(self, lines: Sequence[Line]) -> Batch:
        """A batch of one story, (T, 1): where the mask is true the input is - and the target an answer word."""
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
