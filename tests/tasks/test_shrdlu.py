"""Mini-SHRDLU: rules, rewards and shortest ways by a simulator of the test's own and by exhaustive search."""

from collections import deque
from itertools import product
from typing import Any

import numpy as np
import pytest

from numdnc import UserError
from numdnc.reinforcement import likeliest_actions, rollout, sample_actions
from numdnc.runs.shrdlu import ShrdluRun
from numdnc.tasks.imitation_task import ImitationSettings
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.shrdlu.boards import RELATIONS, boards
from numdnc.tasks.shrdlu.lessons import LESSONS
from numdnc.tasks.shrdlu.problems import Constraint, Problem, distances_to, least_moves
from numdnc.tasks.shrdlu.words import describe, drawn_board, pose

MOVES = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
STEP = {"above": (0, 1), "below": (0, -1), "left of": (-1, 0), "right of": (1, 0)}
"""Where the first block is from the second."""


class Simulator:
    """The rules again, with lists and places."""

    def __init__(self, columns: Any) -> None:
        self.columns = [list(column) for column in columns]

    def act(self, action: int) -> bool:
        """Whether the action was valid."""
        if action == 6:
            return True
        source, target = MOVES[action]
        if not self.columns[source] or len(self.columns[target]) == 3:
            return False
        self.columns[target].append(self.columns[source].pop())
        return True

    @property
    def state(self) -> Any:
        return tuple(map(tuple, self.columns))

    def holds(self, block: int, relation: str, other: int) -> bool:
        place = {b: (x, y) for x, column in enumerate(self.columns) for y, b in enumerate(column)}
        (x, y), (dx, dy) = place[other], STEP[relation]
        return place[block] == (x + dx, y + dy)


def search(start: Any, blocks: int) -> dict[Any, int]:
    """Breadth-first: every board and how many moves it is away."""
    found, queue = {start: 0}, deque([start])
    while queue:
        at = queue.popleft()
        for action in range(6):
            there = Simulator(at)
            if there.act(action) and there.state not in found:
                found[there.state] = found[at] + 1
                queue.append(there.state)
    return found


def count_held(columns: Any, problem: Problem) -> int:
    board = Simulator(columns)
    return sum(
        board.holds(c.block, RELATIONS[c.relation], c.other)
        for c in problem.goals[problem.chosen].constraints
    )


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 6])
def test_all_boards_moves_and_relations_are_those_of_the_rules(blocks: int) -> None:
    table = boards(blocks)
    assert len(set(table.columns)) == len(table.columns)
    assert set(search(table.columns[0], blocks)) == set(table.columns)
    for board in range(0, len(table.columns), 1 if blocks < 6 else 37):
        columns = table.columns[board]
        assert table.number(columns) == board
        for action in range(7):
            there = Simulator(columns)
            assert table.valid[board, action] == there.act(action)
            assert table.columns[table.after[board, action]] == there.state
        here = Simulator(columns)
        for r, one, two in product(range(4), range(blocks), range(blocks)):
            assert table.holds[r, one, two, board] == here.holds(one, RELATIONS[r], two)


@pytest.mark.parametrize(("blocks", "starts"), [(2, 12), (3, 60), (6, 3)])
def test_distances_are_those_of_a_search(blocks: int, starts: int) -> None:
    table, rng = boards(blocks), np.random.default_rng(blocks)
    for start in rng.permutation(len(table.columns))[:starts]:
        found = search(table.columns[start], blocks)
        expected = [found[columns] for columns in table.columns]
        np.testing.assert_array_equal(table.distances_from(int(start)), expected)
        one = np.arange(len(table.columns)) == start
        np.testing.assert_array_equal(table.distances_to(one), expected)
    for share in (0.001, 0.05):  # looked up and searched for
        wanted = rng.random(len(table.columns)) < share
        wanted[:2] = True
        each = [table.distances_from(int(board)) for board in np.flatnonzero(wanted)]
        np.testing.assert_array_equal(table.distances_to(wanted), np.min(each, axis=0))
    assert (table.distances_to(np.zeros(len(table.columns), bool)) == 127).all()


@pytest.mark.parametrize(("blocks", "count"), [(2, 8), (4, 30), (6, 30)])
def test_distances_to_constraints_are_those_to_the_boards_on_which_they_hold(blocks: int, count: int) -> None:
    table, rng = boards(blocks), np.random.default_rng(blocks)
    none = 0
    for _ in range(count):
        pairs = [rng.permutation(blocks)[:2] for _ in range(rng.integers(1, 4))]
        constraints = tuple(Constraint(int(a), int(rng.integers(4)), int(b)) for a, b in pairs)
        wanted = np.array(
            [
                all(Simulator(b).holds(c.block, RELATIONS[c.relation], c.other) for c in constraints)
                for b in table.columns
            ]
        )
        none += not wanted.any()
        np.testing.assert_array_equal(distances_to(table, constraints), table.distances_to(wanted))
    assert 0 < none < count


def first_solution(problem: Problem) -> int:
    """The least number of moves, by trying every sequence of moves."""
    start, due = problem.boards.columns[problem.start], len(problem.goals[problem.chosen].constraints)
    for count in range(1, 5):
        for actions in product(range(6), repeat=count):
            board = Simulator(start)
            for action in actions:
                board.act(action)
            if count_held(board.state, problem) == due:
                return count
    raise AssertionError


@pytest.mark.parametrize("lesson", [1, 2, 3, 4, 7])
def test_no_sequence_of_fewer_moves_reaches_a_goal(lesson: int) -> None:
    for problem in Shrdlu(lesson=lesson).reset(np.random.default_rng(lesson), 6).problems:
        assert first_solution(problem) == problem.moves


@pytest.mark.parametrize("lesson", range(len(LESSONS)))
def test_problems_are_those_of_their_lesson(lesson: int) -> None:
    wanted = LESSONS[lesson]
    problems = Shrdlu(lesson=lesson).reset(np.random.default_rng(lesson), 5).problems
    for problem in problems:
        table = problem.boards
        assert wanted.blocks[0] <= table.blocks <= wanted.blocks[1]
        assert wanted.goals[0] <= len(problem.goals) <= wanted.goals[1]
        assert len({goal.letter for goal in problem.goals}) == len(problem.goals)
        assert problem.names == tuple(range(table.blocks))
        here = Simulator(table.columns[problem.start])
        for goal in problem.goals:
            least = 1 if lesson == 26 else wanted.constraints[0]
            assert least <= len(goal.constraints) <= wanted.constraints[1]
            pairs = [frozenset((c.block, c.other)) for c in goal.constraints]
            assert len(set(pairs)) == len(pairs)
            assert not any(here.holds(c.block, RELATIONS[c.relation], c.other) for c in goal.constraints)
            needed = least_moves(table, problem.start, goal.constraints)
            assert needed is not None
            assert wanted.moves[0] <= needed <= wanted.moves[1]
        assert problem.moves == least_moves(table, problem.start, problem.goals[problem.chosen].constraints)


def test_goals_are_drawn_in_every_way() -> None:
    problems = Shrdlu(lesson=26).reset(np.random.default_rng(0), 150).problems
    constraints = [c for problem in problems for goal in problem.goals for c in goal.constraints]
    assert {c.relation for c in constraints} == {0, 1, 2, 3}
    assert {goal.letter for problem in problems for goal in problem.goals} == set(range(26))
    assert {problem.moves for problem in problems} == set(range(1, 8))
    assert {len(g.constraints) for problem in problems for g in problem.goals} == set(range(1, 7))
    assert {problem.chosen for problem in problems} == set(range(10))
    columns = [problem.boards.columns[problem.start] for problem in problems]
    assert {tuple(map(len, board)) for board in columns} == {
        shape for shape in product(range(4), repeat=3) if sum(shape) == 6
    }


def play(shrdlu: Shrdlu, game: Any, choose: Any) -> Any:
    def idle(inputs: Any, state: Any) -> Any:
        return np.zeros((*inputs.shape[:2], 7)), None

    return rollout(idle, game, shrdlu.action_sizes, choose)


@pytest.mark.parametrize("lesson", [1, 4, 8, 26])
def test_rewards_and_errors_are_those_of_the_simulator(lesson: int) -> None:
    shrdlu = Shrdlu(lesson=lesson, invalid_cost=0.125, undo_cost=2, last_weight=5 if lesson == 4 else 1)
    rng = np.random.default_rng(lesson)
    game = shrdlu.reset(rng, 12)

    def choose(logits: Any, allowed: Any) -> Any:
        """Sometimes a good action, so that goals are reached and undone."""
        wise = game.optimal & allowed & (rng.random((len(logits), 1)) < 0.6)
        return sample_actions(logits, np.where(wise.any(1)[:, None], wise, allowed), (7,), rng)

    done = play(shrdlu, game, choose)
    undone = 0
    for row, problem in enumerate(game.problems):
        shown = sum(len(goal.constraints) for goal in problem.goals) + 1
        assert done.alive[:, row].sum() == shown + problem.moves + 6
        board, due = (
            Simulator(problem.boards.columns[problem.start]),
            len(problem.goals[problem.chosen].constraints),
        )
        reached, rewards = None, []
        for t in range(shown, shown + problem.moves + 6):
            before = count_held(board.state, problem)
            distances = search(board.state, problem.boards.blocks) if lesson < 2 else None
            if distances is not None:
                check_optimal(board.state, problem, distances, done.episode.record.optimal[t, row])
            valid = board.act(int(done.episode.actions[t, row, 0]))
            held = count_held(board.state, problem)
            weight = 5 if lesson == 4 and t + 1 == shown + problem.moves + 6 else 1
            rewards.append(weight * held - 0.125 * (not valid) - 2 * (before == due > held))
            undone += before == due > held
            if reached is None and held == due:
                reached = t - shown + 1
        expected = np.zeros(len(done.alive))
        expected[shown : shown + len(rewards)] = rewards
        np.testing.assert_allclose(done.episode.rewards[:, row], expected, atol=1e-12)
        assert game.right[row] == held / due
        assert game.measures["goal_error"][row] == (held < due)
        assert game.measures["not_optimal"][row] == (held < due or reached != problem.moves)
        assert game.reached[row] == (-1 if reached is None else reached)
    assert undone
    choosing = done.episode.allowed.sum(axis=2) > 1
    np.testing.assert_array_equal(choosing.sum(axis=0), [problem.moves + 6 for problem in game.problems])
    assert not done.inputs[~done.alive].any()


def check_optimal(state: Any, problem: Problem, distances: Any, optimal: Any) -> None:
    due = len(problem.goals[problem.chosen].constraints)
    goals = [columns for columns in distances if count_held(columns, problem) == due]
    left = min(distances[columns] for columns in goals)
    for action in range(6):
        there = Simulator(state)
        there.act(action)
        away = search(there.state, problem.boards.blocks)
        assert optimal[action] == (min(away[columns] for columns in goals) < left)
    assert optimal[6] == (left == 0)


class Program:
    """Reads goals and boards from the inputs alone, and plans by a search of its own."""

    def __init__(self) -> None:
        self.goals: dict[int, list[Any]] = {}
        self.asked: int | None = None

    def __call__(self, inputs: Any) -> int:
        letter, block, relation, other = np.split(inputs[:42], [26, 32, 36])
        squares = inputs[43:].reshape(9, 6)
        columns = tuple(
            tuple(int(s.argmax()) for s in squares[3 * c : 3 * c + 3] if s.any()) for c in range(3)
        )
        if inputs[42]:
            self.asked = int(letter.argmax())
            return 6
        if letter.any():
            self.goals.setdefault(int(letter.argmax()), []).append(
                (int(block.argmax()), RELATIONS[int(relation.argmax())], int(other.argmax()))
            )
            return 6
        assert self.asked is not None
        return self._plan(columns, self.goals[self.asked])

    def _plan(self, start: Any, goal: Any) -> int:
        first: dict[Any, int] = {start: 6}
        queue = deque([start])
        while queue:
            at = queue.popleft()
            if all(Simulator(at).holds(*constraint) for constraint in goal):
                return first[at]
            for action in range(6):
                there = Simulator(at)
                if there.act(action) and there.state not in first:
                    first[there.state] = action if at == start else first[at]
                    queue.append(there.state)
        raise AssertionError


def test_a_program_that_sees_the_inputs_alone_takes_the_fewest_moves() -> None:
    shrdlu = Shrdlu()
    game = shrdlu.reset_training(np.random.default_rng(5), 4)
    programs = [Program() for _ in game.problems]

    def step(inputs: Any, state: Any) -> Any:
        return np.stack(
            [
                [np.eye(7)[one(row) if row.any() else 6] for one, row in zip(programs, rows, strict=True)]
                for rows in inputs
            ]
        ), None

    rollout(step, game, (7,), lambda z, allowed: likeliest_actions(z, allowed, (7,)))
    assert (game.right == 1).all()
    assert not game.measures["not_optimal"].any()


def test_a_tenth_of_the_batches_come_from_earlier_lessons() -> None:
    rng, shrdlu = np.random.default_rng(0), Shrdlu(lesson=3)
    batches = [shrdlu.reset_training(rng, 2).problems for _ in range(1500)]
    three = [sum(problem.boards.blocks == 3 for problem in batch) for batch in batches]
    # Three blocks: all of lessons 0 and 1, half of lesson 2, none of lesson 3.
    shares = [0.1 / 3 * 0.5, 0.1 / 3 * (2 + 0.25)]
    np.testing.assert_allclose(np.bincount(three)[1:] / 1500, shares, atol=0.015)
    assert {len(p.goals) for p in Shrdlu(lesson=0).reset_training(rng, 20).problems} == {1}


def test_a_slot_is_needed_for_each_constraint_and_the_go_cue() -> None:
    for lesson, slots in ((0, 2), (2, 7), (9, 19), (26, 61)):
        assert Shrdlu(lesson=lesson).slots_needed == slots
        problems = Shrdlu(lesson=lesson).reset(np.random.default_rng(0), 50).problems
        assert max(1 + sum(len(goal.constraints) for goal in p.goals) for p in problems) <= slots
    task = ShrdluRun.make_task(
        "shrdlu", Shrdlu(), ImitationSettings(grow="lesson", grow_from=0, pass_at=0.2), seed=0
    )
    assert task.slots_needed == 2
    task.on_scores({"level": 0, "error": 0.1})
    assert task.slots_needed == 3


def test_settings_replace_those_of_the_lesson() -> None:
    shrdlu = Shrdlu(goals=2, blocks=5, constraints=3, moves=2)
    for problem in shrdlu.reset(np.random.default_rng(0), 5).problems:
        assert len(problem.goals) == 2
        assert (problem.boards.blocks, problem.moves) == (5, 2)
        assert [len(goal.constraints) for goal in problem.goals] == [3, 3]
    fewer = Shrdlu(goals=3, blocks=6, constraints=6, moves=1, fewer=True)
    counts = {len(g.constraints) for p in fewer.reset(np.random.default_rng(0), 9).problems for g in p.goals}
    assert counts <= {1, 2, 3}
    with pytest.raises(UserError, match="must be those of some goal, got 6 and 1 with 6 blocks"):
        Shrdlu(goals=3, blocks=6, constraints=6, moves=1).reset(np.random.default_rng(0), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lesson": -1}, "lesson must be from 0 to 26, got -1"),
        ({"lesson": 27}, "lesson must be from 0 to 26, got 27"),
        ({"goals": 27}, "goals must be from 0 to 26, got 27"),
        ({"blocks": 1}, "blocks must be from 2 to 6, or 0, got 1"),
        ({"constraints": 7}, "constraints must be from 0 to 6, got 7"),
        ({"moves": -1}, "moves must be at least 0, got -1"),
        ({"spare_moves": 1001}, "spare_moves must be from 0 to 1,000, got 1,001"),
        ({"undo_cost": -1.0}, "undo_cost must be at least 0 and finite, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shrdlu(**settings)


def test_problems_are_typed() -> None:
    problem = pose("Board 12/3/456; a: put 1 on 2; B: 6 left of 3\n b: 4 under 5; go a")
    assert problem.boards.columns[problem.start] == ((0, 1), (2,), (3, 4, 5))
    assert [goal.letter for goal in problem.goals] == [0, 1]
    assert [[tuple(c) for c in goal.constraints] for goal in problem.goals] == [
        [(0, 0, 1)],
        [(5, 2, 2), (3, 1, 4)],
    ]
    assert (problem.chosen, problem.moves) == (0, 2)
    few = pose("board /35/; 5 on 3; go")
    assert (few.names, few.moves, few.boards.blocks) == ((2, 4), 0, 2)
    assert pose("1 on 2", seed=1).start != pose("1 on 2", seed=2).start
    assert pose("1 on 2; b: 3 on 4; go").chosen == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a goal must have a constraint"),
        ("put 1 onto 2", "a clause must be as in .*, got 'put 1 onto 2'"),
        ("go; 1 on 2", "a clause must be as in .*, got 'go'"),
        ("1 on 1", "must be of two of the blocks 1, 2, 3, 4, 5, 6, got 1 above 1"),
        ("board 1/2/; 1 on 3", "must be of two of the blocks 1, 2, got 1 above 3"),
        ("board 1/2; 1 on 2", "a board must have 3 columns of at most 3 different blocks"),
        ("board 1234//; 1 on 2", "a board must have 3 columns"),
        ("board 11//2; 1 on 2", "a board must have 3 columns"),
        ("board 7//2; 1 on 2", "a board must have 3 columns"),
        ("1 on 2; 2 on 1", "a goal must hold on some board, got"),
        ("1 on 2; go b", "the letter after go must be that of a goal, got B"),
        ("1 on 2;" * 101, "constraints must be at most 100, got 101"),
    ],
)
def test_text_that_is_no_problem_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pose(text)


def test_boards_are_drawn() -> None:
    problem = pose("board 12/3/; put 3 on 2; go")
    numbers = [name + 1 for name in problem.names]
    assert drawn_board(problem.boards, problem.start, numbers) == [". . .", "2 . .", "1 3 ."]
    assert describe(problem, []).splitlines() == ["A: 3 above 2", "go A (1 move needed)"]
