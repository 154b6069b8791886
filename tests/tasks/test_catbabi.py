"""catbAbI: what a stream is made of, how windows and epochs follow each other, scores."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from helpers.babi_stories import TITLES, files
from numdnc import UserError
from numdnc.reference.activations import softmax
from numdnc.tasks import Batch
from numdnc.tasks.babi import BabiFiles, stream
from numdnc.tasks.babi.asking import ask_stream, stream_batch, stream_with_answers
from numdnc.tasks.babi.stream import ReadStory, StreamSettings, StreamTask, run_together


def given(seed: int = 0, **settings: Any) -> StreamTask:
    texts: dict[str, dict[int, str]] = {"train": {}, "test": {}}
    for name, text in files().items():
        number = int(name.split("/qa")[1].split("_")[0])
        texts[name.removesuffix(".txt").rsplit("_", 1)[1]][number] = text
    found = BabiFiles(**texts, valid={}, titles=TITLES, sha256="")
    return StreamTask(found, StreamSettings(**{"batch": 3, "window": 7, "evaluated": 2, **settings}), seed)


def plain_streams(text: str) -> list[list[tuple[str, str]]]:
    """Pairs of a word and what is to be predicted after it, of each story; another way to read the files."""
    stories: list[list[tuple[str, str]]] = []
    for row in text.lower().strip().split("\n"):
        if row.startswith("1 "):
            stories.append([("<story>", "")])
        sentence, *answer = row.split(" ", 1)[1].split("\t")
        stories[-1] += [(word, "") for word in sentence[:-1].split()]
        stories[-1].append((sentence[-1], answer[0] if answer else ""))
        if answer:
            stories[-1].append((answer[0], ""))
    return stories


def in_words(task: StreamTask, inputs: Any, targets: Any) -> tuple[tuple[str, str], ...]:
    symbols = task.vocabulary.symbols
    return tuple((symbols[x], symbols[y] if y else "") for x, y in zip(inputs, targets, strict=True))


def test_stories_are_read_as_by_a_plain_second_reading() -> None:
    task = given()
    plain = {part: [] for part in ("train", "test")}
    for name, text in files().items():
        plain["test" if "_test" in name else "train"] += map(tuple, plain_streams(text))
    assert Counter(in_words(task, s.inputs, s.targets) for s in task.test) == Counter(plain["test"])
    trained = [*task.train, *task.validation]
    assert Counter(in_words(task, s.inputs, s.targets) for s in trained) == Counter(plain["train"])
    assert "n,e" in task.vocabulary.words, "several words of an answer are one symbol"
    assert len(task.validation) == 9


def test_stories_go_to_the_stream_that_is_shortest() -> None:
    stories = [
        ReadStory(n, np.full(length, n), np.zeros(length, int)) for n, length in enumerate((3, 1, 1, 2), 1)
    ]
    streams = run_together(stories, 2)
    assert streams.inputs.T.tolist() == [[1, 1, 1, 0], [2, 3, 4, 4]]
    assert streams.tasks.T.tolist() == [[1, 1, 1, 0], [2, 3, 4, 4]]


def test_an_epoch_reads_every_story_in_order_and_the_next_in_another() -> None:
    task = given()
    epochs = []
    for _ in range(2):
        batches = [task.next_batch()]
        while task.position()["read"] < task.steps:
            batches.append(task.next_batch())
        assert [batch.starts_sequence for batch in batches] == [True] + [False] * (len(batches) - 1)
        assert {len(batch.inputs) for batch in batches[:-1]} == {7}
        epochs.append(np.concatenate([batch.inputs for batch in batches]))
        dues = np.concatenate([batch.mask for batch in batches if batch.mask is not None])
        question = task.vocabulary.symbols.index("?")
        assert (dues == (epochs[-1] == question)).all()
        rows, steps = np.nonzero(dues.T)
        targets = np.concatenate([batch.targets for batch in batches]).T[rows, steps]
        inside = steps + 1 < len(dues)  # the answer is read in the next step
        assert (targets[inside] == epochs[-1].T[rows[inside], steps[inside] + 1]).all()
    whole = [tuple(story.inputs.tolist()) for story in task.train]
    for read in epochs:
        stories = Counter(story for row in read.T for story in split(row.tolist()))
        assert sum((stories & Counter(whole)).values()) >= len(whole) - 3, (
            "at most the ends of the streams are cut"
        )
    assert epochs[0].shape != epochs[1].shape or (epochs[0] != epochs[1]).any()


def split(row: list[int]) -> list[tuple[int, ...]]:
    """The stories of a stream."""
    begins = [*(t for t, symbol in enumerate(row) if symbol == 0), len(row)]
    return [tuple(row[a:b]) for a, b in pairwise(begins)]


def test_a_position_continues_the_stream() -> None:
    task, other = given(), given()
    for _ in range(40):
        task.next_batch()
    other.move_to(task.position())
    for left, right in ((task.next_batch(), other.next_batch()) for _ in range(30)):
        assert np.array_equal(left.inputs, right.inputs)
    with pytest.raises(UserError, match=r"there are \d+ steps"):
        other.move_to({"epoch": 0, "read": 10_000})


def knowing(task: StreamTask, wrong: int = 0) -> Any:
    """A model that reads ahead in its state: it knows the stream, and answers the first `wrong` questions falsely."""
    answers = {}
    for story in (*task.train, *task.validation, *task.test):
        for t in np.flatnonzero(story.targets):
            answers[tuple(story.inputs[: t + 1].tolist())] = int(story.targets[t])
    asked = [0]

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        heard = [[] for _ in range(inputs.shape[1])] if state is None else state
        outputs = np.zeros((*inputs.shape, task.output_size))
        for t, row in np.ndindex(inputs.shape):
            if inputs[t, row] == 0:
                heard[row] = []
            heard[row].append(int(inputs[t, row]))
            if (answer := answers.get(tuple(heard[row]))) is not None:
                asked[0] += 1
                outputs[t, row, answer if asked[0] > wrong else 0] = 9
        return outputs, heard

    return forward


def test_scores_count_all_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVAL_WINDOW", 5)
    task = given()
    questions = sum(int((story.targets != 0).sum()) for story in task.test)
    scores = task.score(knowing(task), whole=True)
    assert scores["error"] == 0 == scores["failed"]
    assert task.solved(scores)
    right = -np.log(softmax(np.array([9.0] + [0.0] * (task.output_size - 1)))[0])
    assert scores["loss"] == pytest.approx(right)
    scores = task.score(knowing(task, wrong=3), whole=True)
    assert scores["error"] == pytest.approx(3 / questions)
    by_task = {
        n: sum(int((story.targets != 0).sum()) for story in task.test if story.task == n) for n in TITLES
    }
    assert sum(scores[f"error_{n}"] * count for n, count in by_task.items()) == pytest.approx(3)
    assert len(task.evaluated) < len(task.validation)
    assert task.score(knowing(task))["error"] == 0


def test_the_loss_counts_answers_alone() -> None:
    task, rng = given(), np.random.default_rng(0)
    batch = task.next_batch()._replace(mask=np.zeros((7, 3), bool))
    outputs = rng.standard_normal((7, 3, task.output_size))
    nats, count, d_outputs = task.loss(outputs, batch)
    assert (nats, count) == (0, 0)
    assert not d_outputs.any()
    mask = np.zeros((7, 3), bool)
    mask[2, 1] = mask[4, 0] = True
    nats, count, d_outputs = task.loss(outputs, batch._replace(mask=mask))
    losses = [-np.log(softmax(outputs[t, b])[batch.targets[t, b]]) for t, b in ((2, 1), (4, 0))]
    assert (nats, count) == (pytest.approx(np.mean(losses)), 2)
    assert set(zip(*np.nonzero(d_outputs.any(axis=2)), strict=True)) == {(2, 1), (4, 0)}


def test_a_question_of_the_users_own_is_answered_and_the_answer_read() -> None:
    task = given()
    forward = knowing(task)
    story = next(story for story in task.test if (story.targets != 0).sum() > 1)
    typed = "".join(
        f" {word}"
        for word, before in zip(in_words(task, story.inputs, story.targets)[1:], story.targets, strict=False)
        if before == 0
        for word in word[:1]
    )
    found = ask_stream(forward, task.vocabulary, typed, shown=2)
    answers = [next(iter(answer[0])) for _, answer in found]
    assert answers == [task.vocabulary.symbols[y] for y in story.targets if y]
    assert all(len(answer[0]) == 2 for _, answer in found)
    assert np.array_equal(stream_batch(forward, task.vocabulary, typed).inputs[:, 0], story.inputs)
    with pytest.raises(UserError, match="a story must ask something"):
        ask_stream(forward, task.vocabulary, "Ann ran to the porch.")
    with pytest.raises(UserError, match="words must be among"):
        ask_stream(forward, task.vocabulary, "Zoe ran to the porch. Where is Ann?")


def test_a_stream_is_shown_with_the_models_answers() -> None:
    task = given()
    batch = Batch(*(story := task.test[0].batch)[:2], mask=story.mask)
    shown = stream_with_answers(batch, knowing(task)(batch.inputs, None)[0], task.vocabulary)
    first = next(
        answer
        for _, answer in plain_streams(next(t for n, t in files().items() if "_test" in n))[0]
        if answer
    )
    assert shown.splitlines()[1].endswith(f"? {first} (99 %)")
    assert "right" not in shown
    wrong = stream_with_answers(batch, knowing(task, wrong=1)(batch.inputs, None)[0], task.vocabulary)
    assert f"? <story> (99 %, right: {first})" in wrong


def test_wrong_settings() -> None:
    for settings, message in (
        ({"batch": 0}, "batch must be at least 1"),
        ({"window": 0}, "window must be at least 1"),
        ({"validation": 1.0}, "validation must lie between 0 and 1"),
        ({"only": "1;2"}, "only must be numbers"),
        ({"batch": 1000}, "batch must be at most the 81 stories to train on, got 1000"),
    ):
        with pytest.raises(UserError, match=message):
            given(**settings)
