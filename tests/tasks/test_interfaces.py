"""Learned interfaces: programs solve what is drawn in the steps that they need; no rule is broken."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from numdnc import UserError
from numdnc.reinforcement import likeliest_actions, rollout
from numdnc.tasks.interfaces import INTERFACES, InterfaceCopy, InterfaceForwardReverse, InterfaceRepeatCopy
from numdnc.tasks.interfaces.interface import Interface, Question
from numdnc.tasks.interfaces.tapes import memory_cells
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask

SURE = 50.0
RULES = {
    "interface-copy": lambda tape: tape,
    "interface-reverse": lambda tape: "".join(reversed(tape)),
    "interface-duplicated-input": lambda tape: "".join(tape[i] for i in range(0, len(tape), 3)),
    "interface-repeat-copy": lambda tape: tape[1:] * int(tape[0]),
    "interface-forward-reverse": lambda tape: "".join(reversed(tape)),
}


class Seen:
    """What a program sees: decoded from the inputs of one episode."""

    def __init__(self, interface: Interface, inputs: Any) -> None:
        names, width = (*interface.cell_symbols, None), interface.memory_width
        cells = inputs[: 5 * len(names)].reshape(5, len(names))
        assert (cells.sum(axis=1) == 1).all()
        self.cells = [names[cell.argmax()] for cell in cells]
        self.memory = inputs[5 * len(names) :][: 5 * width].reshape(5, width)

    @property
    def here(self) -> Any:
        return self.cells[2]


class Do:
    """An action of a program."""

    def __init__(
        self, move: int, emit: str | None = None, *, memory: int = 0, write: str | None = None
    ) -> None:
        self.move, self.emit, self.memory, self.write = move, emit, memory, write

    def outputs(self, interface: Interface) -> Any:
        """The outputs of a model that does it."""
        symbols, width = interface.cell_symbols, interface.memory_width
        moves = [np.eye(3)[self.move + 1], np.eye(3)[self.memory + 1]][: len(interface.action_sizes) - 1]
        emit = np.eye(2)[int(self.emit is not None)]
        said = np.eye(interface.symbols)[symbols.index(self.emit or "a")]
        write = np.zeros(width)
        if self.write is not None:
            write[symbols.index(self.write)] = 1
        keep = [-1.0 if self.write is not None else 1.0] if width else []
        return SURE * np.concatenate([*moves, emit, said, write, keep])


def program(name: str) -> Iterator[Any]:
    """A program for a task: it is sent what is seen, and yields what to do."""
    seen = yield None
    if name == "interface-copy":
        while True:
            seen = yield Do(+1, seen.here)
    elif name == "interface-duplicated-input":
        while True:
            for symbol in (seen.here, None, None):
                seen = yield Do(+1, symbol)
    elif name == "interface-reverse":
        while seen.cells[3] is not None:
            seen = yield Do(+1)
        while True:
            seen = yield Do(-1, seen.here)
    elif name == "interface-repeat-copy":
        seen = yield Do(+1)
        while True:
            while seen.cells[3] is not None:
                seen = yield Do(+1, seen.here)
            if seen.cells[1] in "23":  # a single symbol is repeated where it stands
                seen = yield Do(0, seen.here)
                continue
            seen = yield Do(-1, seen.here)
            while seen.cells[1] not in "23":
                seen = yield Do(-1)
    else:
        while seen.cells[3] is not None:
            seen = yield Do(+1, memory=+1, write=seen.here)
        seen = yield Do(0, seen.here, memory=-1)
        while True:
            seen = yield Do(0, "abcdefghij"[int(seen.memory[2].argmax())], memory=-1)


def act(interface: Interface, questions: list[Question], programs: list[Any]) -> tuple[Any, Any]:
    episodes = interface.begin(questions)
    for one in programs:
        next(one)

    def step(inputs: Any, state: Any) -> Any:
        rows = [
            one.send(Seen(interface, row)).outputs(interface)
            if row.any()
            else np.zeros(interface.output_size)
            for one, row in zip(programs, inputs[0], strict=True)
        ]
        return np.stack(rows)[None], None

    sizes = interface.action_sizes
    done = rollout(step, episodes, sizes, lambda z, allowed: likeliest_actions(z, allowed, sizes))
    return episodes, done


@pytest.mark.parametrize("name", INTERFACES)
def test_a_program_solves_what_is_drawn_in_the_steps_it_is_given(name: str) -> None:
    interface = INTERFACES[name](slack=0, memory_width=10)
    rng = np.random.default_rng(1)
    questions = [interface.draw(rng, length) for length in (1, 2, 3, 7, 10)]
    for question in questions:
        tape, answer = (
            "".join(interface.cell_symbols[s] for s in part) for part in (question.tape, question.answer)
        )
        assert answer == RULES[name](tape)
        assert [*interface.pose(tape).answer] == [*question.answer]
    episodes, done = act(interface, questions, [program(name) for _ in questions])
    assert episodes.right.all()
    np.testing.assert_allclose(done.episode.rewards, 0, atol=1e-12)
    needed = [interface.least_steps(question) for question in questions]
    np.testing.assert_array_equal(done.alive.sum(axis=0), needed)


def test_lengths_are_drawn_as_they_are_said_to_be() -> None:
    interface, rng = InterfaceCopy(length=5), np.random.default_rng(0)
    scored = interface.reset(rng, 50).questions
    assert {len(question.tape) for question in scored} == {5}
    trained = np.array([len(question.tape) for question in interface.reset_training(rng, 4000).questions])
    assert abs((trained == 5).mean() - (0.65 / 2 + 0.35 / 5)) < 0.03
    assert abs((trained == 6).mean() - 0.65 / 4) < 0.03
    assert abs((trained < 5).mean() - 0.35 * 4 / 5) < 0.03
    symbols = np.concatenate([question.tape for question in scored])
    assert set(symbols) == set(range(10))


class Wanderer:
    """Outputs at random, sure of nothing."""

    def __init__(self, size: int) -> None:
        self.rng, self.size = np.random.default_rng(2), size

    def __call__(self, inputs: Any, state: Any) -> Any:
        return self.rng.normal(size=(1, inputs.shape[1], self.size)), None


@pytest.mark.parametrize("name", INTERFACES)
def test_heads_stay_on_the_tape_and_what_is_due_is_emitted_in_time(name: str) -> None:
    interface = INTERFACES[name](length=4, slack=2)
    episodes, rng = interface.reset(np.random.default_rng(0), 200), np.random.default_rng(1)
    sizes = interface.action_sizes
    done = rollout(
        Wanderer(interface.output_size),
        episodes,
        sizes,
        lambda z, allowed: np.stack(
            [[rng.choice(np.flatnonzero(row)) for row in part] for part in np.split(allowed, [3, 6], axis=1)],
            1,
        ),
    )
    record, alive = done.episode.record, done.alive
    lengths = np.array([len(question.tape) for question in episodes.questions])
    steps = np.array([interface.least_steps(question) for question in episodes.questions]) + 2
    assert (record.input_position >= 0).all()
    assert (record.input_position < lengths).all()
    assert (alive.sum(axis=0) <= steps).all()
    emitted = ((done.episode.actions[..., -1] == 1) & alive).sum(axis=0)
    np.testing.assert_array_equal(emitted, [len(question.answer) for question in episodes.questions])
    moved = np.diff(record.input_position, axis=0)
    if not interface.moves_back:
        assert (moved >= 0).all()
    else:
        assert (moved < 0).any()
    assert not done.inputs[~alive].any()
    assert not done.episode.rewards[~alive].any()
    assert (done.episode.rewards[alive] <= 0).all()
    assert record.memory_position.max() + 2 < memory_cells(int(steps.max()))
    forced = ~done.episode.allowed[..., -2] & alive
    assert forced.any()
    assert (done.episode.actions[..., -1][forced] == 1).all()


def test_the_memory_tape_keeps_what_was_written_and_fades_as_told() -> None:
    interface = InterfaceForwardReverse(length=3, memory_width=2, slack=9, symbols=2)
    episodes = interface.begin([Question([0, 1, 0], [0, 1, 0])])
    outputs = np.zeros((1, interface.output_size))
    outputs[0, -3:] = 1, -2, 30  # tanh, tanh, keep all
    for moves in ([1, 2, 0], [1, 0, 0], [1, 1, 0]):
        episodes.step(np.array([moves]), outputs)
    memory = slice(5 * 3, 5 * 3 + 10)
    cells = episodes.observation.inputs[0, memory].reshape(5, 2)
    np.testing.assert_allclose(cells[2], 2 * np.tanh([1, -2]), atol=1e-10)
    np.testing.assert_allclose(cells[3], np.tanh([1, -2]), atol=1e-10)
    assert not cells[[0, 1, 4]].any()
    outputs[0, -3:] = 0
    episodes.step(np.array([[1, 1, 0]]), outputs)
    np.testing.assert_allclose(
        episodes.observation.inputs[0, memory].reshape(5, 2)[2], np.tanh([1, -2]), atol=1e-10
    )


@pytest.mark.parametrize(
    ("interface", "typed", "message"),
    [
        (InterfaceCopy(), "", "a question must be 1 to 1,000 symbols of a..j, such as abcab, got 0 symbols"),
        (InterfaceCopy(symbols=3), "abd", r"symbols of a\.\.c, such as abcab, got 'd'"),
        (InterfaceRepeatCopy(), "abc", "a question must be a tape of this task, such as 2abc, got 'abc'"),
        (InterfaceRepeatCopy(), "2", "a tape of this task"),
        (InterfaceRepeatCopy(), "2a3", "a tape of this task"),
        (
            INTERFACES["interface-duplicated-input"](),
            "aaab",
            "a tape of this task, such as aaabbb, got 'aaab'",
        ),
    ],
)
def test_tapes_that_are_none_are_refused(interface: Interface, typed: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        interface.pose(typed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"symbols": 27}, "symbols must be at most 26, got 27"),
        ({"memory_width": -1}, "memory_width must be at least 0"),
        ({"slack": -1}, "slack must be at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        InterfaceCopy(**settings)


def test_the_same_position_gives_the_same_episodes_and_scores_do_not_move_it() -> None:
    interface = InterfaceCopy(length=3)
    settings = ReinforcementSettings(batch=4, evaluated=70, grow="length")
    one, two = (ReinforcementTask("copy", interface, settings, seed=5) for _ in range(2))
    forward = Wanderer(interface.output_size)

    def play(task: Any) -> Any:
        forward.rng = np.random.default_rng(0)
        return task.rollout(lambda inputs, state, lengths=None: forward(inputs, state), task.next_batch())

    play(one)
    before = one.position()
    one.score(lambda inputs, state, lengths=None: forward(inputs, state))
    assert one.position() == before
    two.move_to(before)
    np.testing.assert_array_equal(play(one).episode.actions, play(two).episode.actions)
    first = one.example(3)
    np.testing.assert_array_equal(first.inputs, two.example(3).inputs)
    one.on_scores({"loss": 0, "error": 0.05, "level": 1})
    assert one.current.length == 2
    two.move_to(one.position())
    assert two.current.length == 2
    with pytest.raises(UserError, match="level 9 is not one of its curriculum"):
        two.move_to({**one.position(), "level": 9})
