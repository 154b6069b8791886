"""Environments of Gymnasium's interface side by side: what they are given and what comes back, beside one by itself."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from numdnc.reinforcement import rollout, sample_actions
from numdnc.tasks.gym import GymEnvironment, GymSettings, gym_environment

EXAMPLES = Path(__file__).parents[2] / "examples"


class Counter(gymnasium.Env[Any, Any]):
    """Ends after as many steps as its seed says; the reward is what was done."""

    observation_space = spaces.Tuple((spaces.Discrete(3, start=1), spaces.Box(-9, 9, (1,))))
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = self.first = int(self.np_random.integers(1, 6))
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        assert self.left > 0, "a step after the end"
        assert action.dtype == self.action_space.dtype
        self.left -= 1
        return self._seen(), 10.0 * action[0] + action[1], self.left == 0, False, {}

    def _seen(self) -> Any:
        return self.left % 3 + 1, np.array([self.left], np.float32)


class Shifted(gymnasium.Env[Any, Any]):
    """Takes the actions 5 and 6; each is its reward."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.Discrete(2, start=5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return 0, {}

    def step(self, action: int) -> Any:
        return 0, float(action), False, False, {}


def act(environment: GymEnvironment, count: int) -> Any:
    rng = np.random.default_rng(1)
    episodes = environment.reset(np.random.default_rng(0), count)
    sizes = environment.action_sizes

    def step(inputs: Any, state: Any) -> Any:
        return np.zeros((1, count, environment.output_size)), None

    return episodes, rollout(step, episodes, sizes, lambda z, may: sample_actions(z, may, sizes, rng))


def test_episodes_of_different_lengths_side_by_side() -> None:
    environment = GymEnvironment(GymSettings(env="counter", goal=20), Counter)
    assert (environment.input_size, environment.output_size, environment.action_sizes) == (4, 5, (2, 3))
    episodes, done = act(environment, 12)
    seeds = np.random.default_rng(0).integers(1 << 31, size=12).tolist()
    for row, seed in enumerate(seeds):
        alone = Counter()
        alone.reset(seed=seed)
        steps, total = alone.first, 0.0
        assert done.alive[:, row].sum() == steps
        for t in range(steps):
            number, (left,) = alone._seen()
            assert done.inputs[t, row].tolist() == [*np.eye(3)[number - 1], left]
            action = done.episode.actions[t, row]
            _, reward, _, _, _ = alone.step(action)
            assert done.episode.rewards[t, row] == reward
            total += reward
        assert episodes.right[row] == (total >= 20)
    assert not done.inputs[~done.alive].any()
    assert not done.episode.rewards[~done.alive].any()
    assert (done.episode.actions[~done.alive] == 0).all()
    assert episodes.right.any()
    assert not episodes.right.all()


def test_an_episode_without_an_end_is_cut_and_actions_may_begin_elsewhere() -> None:
    environment = GymEnvironment(GymSettings(env="shifted", max_steps=7), Shifted)
    _, done = act(environment, 3)
    assert done.alive.all()
    assert len(done.alive) == 7
    np.testing.assert_array_equal(done.episode.rewards, done.episode.actions[..., 0] + 5)


def test_the_examples_reward_who_remembers() -> None:
    for name, goal in (("t_maze", 1.0), ("repeat_previous", 16.0)):
        source = f"{EXAMPLES / 'memory_environments.py'}:{name}"
        environment = gym_environment(GymSettings(env=source, goal=goal), source)
        episodes, seen = environment.reset(np.random.default_rng(3), 8), []
        total = np.zeros(8)
        while episodes.observation.alive.any():
            seen.append(episodes.observation.inputs)
            now = seen[-1]
            if name == "t_maze":
                action = np.where(now[:, 2] == 1, 1 + (seen[0][:, 1] == 1), 0)
            else:
                action = seen[-5].argmax(axis=1) if len(seen) > 4 else np.zeros(8, int)
            total += episodes.step(action[:, None], np.zeros((8, 4)))
        assert (total == goal).all()
        assert episodes.right.all()
