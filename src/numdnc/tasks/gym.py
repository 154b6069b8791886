"""Environments of Gymnasium's interface, many side by side, as an `Environment`.

Observations of any space that has a fixed width are flattened, numbers one-hot. Axes: B episodes, X input, A actions a
step, L logits of all of them.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError, missing_package
from numdnc.params import Array
from numdnc.reinforcement import Observation
from numdnc.tasks.custom import load_function

_ENVIRONMENT = "an environment must be MODULE:FUNCTION"
_MOST_STEPS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class GymSettings:
    """An environment of Gymnasium's interface: actions are chosen at each step, rewards come of them."""

    env: str = ""
    """Name in Gymnasium's registry, such as CartPole-v1; or MODULE:FUNCTION or FILE.py:FUNCTION, which makes one."""
    max_steps: int = 200
    """An episode ends after this many steps at the latest."""
    goal: float = math.inf
    """An episode is right if its return is at least this; training ends once all are."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_steps <= _MOST_STEPS:
            raise UserError(f"max_steps must be from 1 to {_MOST_STEPS:,}, got {self.max_steps:,}.")
        if math.isnan(self.goal):
            raise UserError("goal must be a number, got nan.")


class GymEnvironment:
    """An `Environment` whose episodes are those of environments of Gymnasium's interface.

    `make` makes one of them; `B` are used at once and begun anew for later episodes.
    """

    def __init__(self, settings: GymSettings, make: Callable[[], Any]) -> None:
        self.settings, self._make = settings, make
        self._pool: list[Any] = []
        one = self.environments(1)[0]
        try:
            self._space, actions = one.observation_space, one.action_space
        except Exception as error:  # noqa: BLE001 - a third party's environment may lack anything
            self.fail(error)
        self._spaces = gymnasium_for(settings.env).spaces
        self.action_sizes = _action_sizes(self._spaces, actions)
        self._actions = actions
        try:
            self.input_size = int(self._spaces.flatdim(self._space))
        except (ValueError, NotImplementedError):
            raise UserError(
                f"observation_space must have a fixed width, got {self._space}. Use Box, Discrete or a tuple of them."
            ) from None
        self.output_size = sum(self.action_sizes)
        # What is wrong with an environment is mostly seen at its first step, and had better be before a run begins.
        self.reset(np.random.default_rng(0), 1).step(
            np.zeros((1, len(self.action_sizes)), int), np.zeros((1, self.output_size))
        )

    @property
    def resolved_settings(self) -> dict[str, Any]:
        """The settings as JSON; the goal as text if it is infinite."""
        return {name: str(v) if v == math.inf else v for name, v in asdict(self.settings).items()}

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        several = len(self.action_sizes) > 1
        return tuple(
            f"action {f'{part}: ' if several else ''}{value}"
            for part, size in enumerate(self.action_sizes)
            for value in range(size)
        )

    def reset(self, rng: np.random.Generator, count: int) -> "GymEpisodes":
        """Begin `count` episodes; each environment is given a seed drawn from `rng`."""
        return GymEpisodes(self, rng.integers(1 << 31, size=count).tolist())

    def environments(self, count: int) -> list[Any]:
        """Environments for `count` episodes side by side."""
        while len(self._pool) < count:
            try:
                self._pool.append(self._make())
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
                self.fail(error)
        return self._pool[:count]

    def encode(self, observation: Any) -> Array:
        """An observation as X numbers."""
        try:
            flat = np.asarray(self._spaces.flatten(self._space, observation), np.float32)
        except Exception as error:  # noqa: BLE001 - an observation that is none of its space fails in any way
            self.fail(error)
        if flat.shape != (self.input_size,) or not np.isfinite(flat).all():
            raise UserError(
                f"the environment {self.settings.env} must give observations of {self._space} that are finite, got "
                f"{str(observation)[:80]}. Fix it there."
            )
        return flat

    def decode(self, actions: NDArray[Any]) -> Any:
        """Actions (A,) as the environment takes them."""
        if isinstance(self._actions, self._spaces.Discrete):
            return int(actions[0] + self._actions.start)
        return actions.astype(self._actions.dtype)

    def fail(self, error: Exception) -> NoReturn:
        """Say that the environment's code failed."""
        raise UserError(
            f"the environment {self.settings.env} must follow Gymnasium's interface, got {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}. Fix it there."
        ) from None


class GymEpisodes:
    """Episodes side by side, each in an environment of its own."""

    def __init__(self, environment: GymEnvironment, seeds: list[int]) -> None:
        self._environment, self._all = environment, environment.environments(len(seeds))
        self._alive, self._returns, self._t = np.ones(len(seeds), bool), np.zeros(len(seeds)), 0
        self._seen = np.zeros((len(seeds), environment.input_size), np.float32)
        for row, (env, seed) in enumerate(zip(self._all, seeds, strict=True)):
            try:
                observation, _ = env.reset(seed=seed)
            except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
                environment.fail(error)
            self._seen[row] = environment.encode(observation)
        self.observation = self._observe()

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the return reaches the goal."""
        found: NDArray[np.bool_] = self._returns >= self._environment.settings.goal
        return found

    def step(self, actions: NDArray[Any], outputs: Array) -> Array:
        """Act in each environment whose episode goes on; return the rewards."""
        environment = self._environment
        rewards, self._seen, alive = np.zeros(len(self._all)), np.zeros_like(self._seen), self._alive.copy()
        self._t += 1
        for row in np.flatnonzero(self._alive):
            try:
                observation, reward, terminated, truncated, _ = self._all[row].step(
                    environment.decode(actions[row])
                )
                rewards[row] = float(reward)
            except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
                environment.fail(error)
            if not math.isfinite(rewards[row]):
                raise UserError(
                    f"rewards of {environment.settings.env} must be finite, got {reward}. Fix it there."
                )
            alive[row] = not (terminated or truncated or self._t >= environment.settings.max_steps)
            if alive[row]:
                self._seen[row] = environment.encode(observation)
        self._alive = alive
        self._returns = self._returns + rewards
        self.observation = self._observe()
        return rewards.astype(outputs.dtype)

    def record(self) -> tuple[()]:
        """Nothing besides actions and rewards."""
        return ()

    def _observe(self) -> Observation:
        sizes = self._environment.action_sizes
        allowed = np.ones((len(self._all), sum(sizes)), bool)
        allowed[~self._alive] = np.concatenate([np.arange(size) == 0 for size in sizes])
        return Observation(self._seen, allowed, self._alive)


def gymnasium_for(what: str) -> Any:
    """The package gymnasium; UserError if it is not installed."""
    try:
        import gymnasium
    except ImportError:
        raise missing_package(f"the environment {what}", "gymnasium") from None
    return gymnasium


def gym_environment(settings: GymSettings, source: str | None) -> GymEnvironment:
    """The environment of a name in Gymnasium's registry or, with `source`, that of a function."""
    if not settings.env:
        raise UserError("the environment must be named, got none. Give it with --env NAME.")
    gymnasium = gymnasium_for(settings.env)
    if source is not None:
        return GymEnvironment(settings, load_function(source, _ENVIRONMENT))
    if settings.env not in gymnasium.registry:
        raise UserError(
            f"the environment must be one that Gymnasium knows, or MODULE:FUNCTION, got {settings.env!r}. "
            "`python -c 'import gymnasium; gymnasium.pprint_registry()'` lists them."
        )
    return GymEnvironment(settings, lambda: gymnasium.make(settings.env))


def is_function(env: str) -> bool:
    """Whether an environment is named by MODULE:FUNCTION, whose code is the user's own."""
    return ":" in env


def _action_sizes(spaces: Any, space: Any) -> tuple[int, ...]:
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return tuple(int(size) for size in space.nvec)
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return (2,) * int(space.shape[0])
    raise UserError(
        f"action_space must be Discrete, MultiDiscrete or MultiBinary with one axis, got {space}. Wrap the environment."
    )
