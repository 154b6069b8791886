"""What is recorded of a batch of episodes besides the inputs of each step."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from numdnc.params import Array


class Episode(NamedTuple):
    """Actions and rewards. Axes: T steps, B episodes side by side, A actions a step, L logits of all of them."""

    actions: NDArray[Any]  # (T, B, A) whole numbers, the a-th one below the size of the a-th action
    allowed: NDArray[Any]  # (T, B, L) booleans: where only one is allowed, nothing was chosen
    rewards: Array  # (T, B), 0 after the end of an episode
    advantages: Array  # (T, B): how much better than expected the return was
    record: Any = ()  # what else the environment keeps, a tree of arrays (T, B, ..)
