"""Ask a model about a story that the user typed, and show stories with a model's answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reference.activations import softmax
from numdnc.tasks import Batch, Forward
from numdnc.tasks.babi.stories import BLANK, Line, Vocabulary, parse_lines
from numdnc.tasks.sequences import loss_mask


class StoryAnswer(NamedTuple):
    """The answer to one question of a story."""

    question: str
    answer: list[dict[str, float]]
    """For each word of the answer the likeliest words and their probabilities, highest first."""


def ask_story(
    forward: Forward, vocabulary: Vocabulary, pause: int, story: str, *, words: int = 1, shown: int = 4
) -> list[StoryAnswer]:
    """Ask a model every question of a story.

    Each answer has `words` words; for each of them the `shown` likeliest are given.
    """
    lines = parse_lines(story, words)
    outputs, _ = forward(story_batch(lines, vocabulary, pause).inputs, None)
    probabilities = softmax(outputs[:, 0])
    answers, steps = [], 0
    for line in lines:
        steps += len(vocabulary.read(line, pause))
        if line.answers:
            due = probabilities[steps - len(line.answers) : steps]
            answers.append(StoryAnswer(" ".join(line.words), [_likeliest(p, vocabulary, shown) for p in due]))
    return answers


def story_batch(lines: tuple[Line, ...], vocabulary: Vocabulary, pause: int) -> Batch:
    """A batch of one story that the user typed; its answers are unknown, so the loss counts nowhere."""
    _with_question(lines)
    vocabulary.encode([word for line in lines for word in line.words])  # names all unknown words at once
    inputs = np.concatenate([vocabulary.read(line, pause) for line in lines])[:, None]
    return Batch(inputs, np.zeros_like(inputs), mask=np.zeros(inputs.shape, bool))


def story_with_answers(batch: Batch, outputs: Array, vocabulary: Vocabulary) -> str:
    """A story, a line a sentence, with the model's answers and, where they are wrong, the right ones."""
    symbols, due = vocabulary.symbols, loss_mask(batch)[:, 0]
    lines: list[list[str]] = [[]]
    for number, target, y, asked in zip(
        batch.inputs[:, 0], batch.targets[:, 0], outputs[:, 0], due, strict=True
    ):
        if asked:
            (lines[-1] or lines[-2]).append(_answer_shown(y, target, symbols))
        elif number != BLANK:
            lines[-1].append(symbols[number])
            if symbols[number] in (".", "?"):
                lines.append([])
    return "\n".join(" ".join(line) for line in lines if line)


def ask_stream(forward: Forward, vocabulary: Vocabulary, story: str, *, shown: int = 4) -> list[StoryAnswer]:
    """Ask a model of catbAbI every question of a story; it reads its own answers, as it has no others."""
    lines, answers = _with_question(parse_lines(story)), []
    vocabulary.encode([word for line in lines for word in line.words])  # names all unknown words at once
    outputs, state = forward(np.zeros((1, 1), np.int64), None)
    for line in lines:
        outputs, state = forward(vocabulary.encode(line.words)[:, None], state)
        if line.answers:
            probabilities = softmax(outputs[-1])[0]
            answers.append(StoryAnswer(" ".join(line.words), [_likeliest(probabilities, vocabulary, shown)]))
            _, state = forward(np.array([[probabilities.argmax()]]), state)
    return answers


def stream_batch(forward: Forward, vocabulary: Vocabulary, story: str) -> Batch:
    """A stream of one story that the user typed, with the model's own answers; the loss counts nowhere."""
    given = iter(ask_stream(forward, vocabulary, story, shown=1))
    numbers = [0]
    for line in parse_lines(story):
        answer = next(given).answer[0] if line.answers else ()
        numbers += [*vocabulary.encode(line.words), *(vocabulary.symbols.index(word) for word in answer)]
    inputs = np.array(numbers)[:, None]
    return Batch(inputs, np.zeros_like(inputs), mask=np.zeros(inputs.shape, bool))


def stream_with_answers(batch: Batch, outputs: Array, vocabulary: Vocabulary) -> str:
    """A stream, a line a sentence, with the model's answers and, where they are wrong, the right ones."""
    symbols, due = vocabulary.symbols, loss_mask(batch)[:, 0]
    lines: list[list[str]] = [[]]
    answered = True
    for number, target, y, asked in zip(
        batch.inputs[:, 0], batch.targets[:, 0], outputs[:, 0], due, strict=True
    ):
        if answered and number:
            lines[-1].append(symbols[number])
        if asked:
            lines[-1].append(_answer_shown(y, target, symbols))
        answered = not asked  # the step after a question is the answer itself
        if asked or symbols[number] == ".":
            lines.append([])
    return "\n".join(" ".join(line) for line in lines if line)


def _answer_shown(y: Array, target: int, symbols: Sequence[str]) -> str:
    """The likeliest answer, and the right one if it is another."""
    best = int(y.argmax())
    wrong = "" if best == target else f", right: {symbols[target]}"
    return f"{symbols[best]} ({100 * softmax(y)[best]:.0f} %{wrong})"


def _with_question(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The lines of a story; `UserError` if none of them asks something."""
    if not any(line.answers for line in lines):
        raise UserError(
            "a story must ask something, got none that ends with a question mark. "
            'Say it as in "Mary went to the kitchen. Where is Mary?".'
        )
    return lines


def _likeliest(probabilities: Array, vocabulary: Vocabulary, shown: int) -> dict[str, float]:
    """The likeliest words and their probabilities, highest first."""
    order = np.argsort(-probabilities, kind="stable")[:shown]
    return {vocabulary.symbols[number]: float(probabilities[number]) for number in order}
