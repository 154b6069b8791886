"""Gradient descent: clipping, four update rules, learning-rate schedules.

g is the gradient, p a parameter, eta the learning rate of this iteration; every rule is elementwise and computed by a
kernel, in one pass over memory.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from numdnc.errors import UserError
from numdnc.tree import from_leaves, leaves, map_leaves, zeros_like

Optimizer = Literal["adam", "rmsprop", "adagrad", "sgd"]
Schedule = Literal["constant", "cosine", "plateau"]

_MOMENTS = {"adam": 2, "rmsprop": 2, "adagrad": 1, "sgd": 1}
_FINAL_RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Settings of the optimizer."""

    optimizer: Optimizer = "adam"
    """Update rule: adam, rmsprop, adagrad or sgd (with momentum)."""
    learning_rate: float = 5e-3
    """Peak learning rate."""
    schedule: Schedule = "cosine"
    """constant; cosine: falls to 5 % of the learning rate at the number of steps the run was started with; plateau:
    halves after `patience` reports without a better score, down to 1/64, and is the learning rate again at
    each later level of a curriculum."""
    patience: int = 10
    """Reports without a better score after which the schedule plateau halves the rate, each time."""
    warmup: int = 0
    """Iterations over which the learning rate rises linearly from 0."""
    momentum: float = 0.9
    """Momentum of sgd and rmsprop; 0 = none."""
    weight_decay: float = 0.0
    """Decoupled weight decay: at each update matrices (weights, a learned memory; not biases) shrink by learning rate
    * this (Loshchilov and Hutter 2019); 0 = none."""
    weight_noise: float = 0.0
    """Standard deviation of normal noise that is added to matrices (not biases) for the gradient, drawn anew at each
    update; it keeps a model from memorising a small text (Graves 2011, 2013); 0 = none."""
    clip_norm: float = 5.0
    """Scale the gradient down to this norm if its norm is larger; 0 = off."""
    clip_value: float = 0.0
    """Clip every element of the gradient to [-this, this]; 0 = off."""

    def __post_init__(self) -> None:
        for name, allowed in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise UserError(f"learning_rate must be a number above 0, got {self.learning_rate}.")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum must lie in [0, 1), got {self.momentum}.")
        if self.patience < 1:
            raise UserError(f"patience must be at least 1, got {self.patience}.")
        for name in ("warmup", "weight_decay", "weight_noise", "clip_norm", "clip_value"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be at least 0, got {getattr(self, name)}.")


def learning_rate_at(settings: OptimizerSettings, iteration: int, horizon: int) -> float:
    """Learning rate eta of an iteration, counted from 1; constant after iteration `horizon`.

    Of the schedule plateau it is the peak, of which a run keeps its own share (`Run.learning_rate`).
    """
    rate = settings.learning_rate * min(1, iteration / max(1, settings.warmup))
    if settings.schedule != "cosine":
        return rate
    progress = min(1, iteration / horizon)
    return rate * (_FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def with_noise(settings: OptimizerSettings, params: Any, seed: int, iteration: int) -> Any:
    """Parameters with weight noise, for the gradient of an iteration; they depend on `seed` and `iteration` alone."""
    if not settings.weight_noise:
        return params
    rng = np.random.default_rng([seed, iteration])

    def noisy(p: Any) -> Any:
        noise = rng.standard_normal(p.shape, dtype=p.dtype)
        return p + p.dtype.type(settings.weight_noise) * noise if p.ndim > 1 else p

    return map_leaves(noisy, params)


def gradient_norm(gradient: Any) -> float:
    """Euclidean norm of the whole gradient, computed in float64."""
    kernels = _kernels()
    return math.sqrt(sum(kernels.sum_of_squares(leaf.reshape(-1)) for leaf in leaves(gradient)))


def clip(settings: OptimizerSettings, gradient: Any, norm: float) -> Any:
    """The gradient, scaled to `clip_norm` if its norm is larger, then each element clipped to `clip_value`."""
    if 0 < settings.clip_norm < norm:
        gradient = map_leaves(lambda g: g * g.dtype.type(settings.clip_norm / norm), gradient)
    if settings.clip_value:
        gradient = map_leaves(lambda g: np.clip(g, -settings.clip_value, settings.clip_value), gradient)
    return gradient


def first_moments(settings: OptimizerSettings, params: Any) -> tuple[Any, ...]:
    """The moments of an optimizer before its first update: trees of zeros."""
    return tuple(zeros_like(params) for _ in range(moment_count(settings)))


def moment_count(settings: OptimizerSettings) -> int:
    """Number of moments of an optimizer, each a tree like the parameters."""
    return _MOMENTS[settings.optimizer]


def update(
    settings: OptimizerSettings,
    params: Any,
    gradient: Any,
    moments: tuple[Any, ...],
    rate: float,
    iteration: int,
) -> tuple[Any, tuple[Any, ...]]:
    """Parameters and moments after an update: weight decay, W *= 1 - eta lambda, then one of

        sgd      v = mu v + g                                       p -= eta v
        adagrad  s = s + g^2                                        p -= eta g / (sqrt(s) + eps)
        rmsprop  s = .9 s + .1 g^2,  v = mu v + g / (sqrt(s) + eps)   p -= eta v
        adam     m = .9 m + .1 g,  s = .999 s + .001 g^2            p -= eta m' / (sqrt(s') + eps)

    where m' = m / (1 - .9^t), s' = s / (1 - .999^t) (Kingma and Ba 2015); t is the iteration, from 1.
    """
    if settings.weight_decay:
        keep = 1 - rate * settings.weight_decay
        params = map_leaves(lambda p: p * keep if p.ndim > 1 else p, params)
    before = [leaves(tree) for tree in (params, gradient, *moments)]
    after = [[np.empty(leaf.shape, leaf.dtype) for leaf in each] for each in (before[0], *before[2:])]
    numbers: tuple[float, ...] = (rate,)
    if settings.optimizer == "adam":
        numbers = rate / (1 - 0.9**iteration), 1 / (1 - 0.999**iteration)
    elif settings.optimizer in ("sgd", "rmsprop"):
        numbers = rate, settings.momentum
    kernel = getattr(_kernels(), settings.optimizer)
    for arrays in zip(*before, *after, strict=True):
        kernel(*(array.reshape(-1) for array in arrays), *map(arrays[0].dtype.type, numbers))
    moved, *changed = (from_leaves(*each) for each in zip((params, *moments), after, strict=True))
    return moved, tuple(changed)


def _kernels() -> Any:
    """The rules in machine code. Imported late: Numba takes longer to import than settings may take to read."""
    from numdnc.engines.cpu.kernels import optimizers

    return optimizers
