"""A run: the state of a training after some iterations, and its checkpoint."""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine, select_engine
from numdnc.errors import UserError, check_seed
from numdnc.init import InitScheme, init_params, initial_state
from numdnc.params import Array, Inputs, cast_inputs
from numdnc.schema import Count, Finite, Size
from numdnc.spec import Spec
from numdnc.tasks import Forward
from numdnc.training.gradient import PART_OF_A_SEQUENCE
from numdnc.training.optimizers import OptimizerSettings, first_moments, learning_rate_at
from numdnc.tree import map_leaves

Precision = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of a run that do not change once it has started."""

    steps: int = 2000
    """Number of training iterations; the cosine schedule ends there."""
    report_every: int = 100
    """Iterations between reports; each scores the held-out data and saves a checkpoint."""
    early_stop: int = 0
    """Stop after this many reports without a better score, and again after as many more; 0 = never."""
    average_decay: float = 0.0
    """Score, and use for all but training, an average of the parameters over some 1 / (1 - this) updates, for example
    0.998; 0 = the parameters as they are. A model that tries its actions acts by the average in training too."""
    restart_above: float = 0.0
    """Go back to the parameters of the best checkpoint once a score is more than this times the best one on the same
    level, which means that training has collapsed; not for a policy, whose loss may be negative; 0 = never."""
    slots_per_vector: float = 0.0
    """Let the memory grow to this many slots for each vector that sequences of the current level make it hold; not for
    a text or a learned initial state; 0 = never."""
    precision: Precision = "float32"
    """float32 or float64."""
    seed: int = 0
    """Seed of initial parameters, data order and samples."""
    init_scheme: InitScheme = "plain"
    """How parameters are initialised: plain, or store (a dnc's memory starts append-only, read by content)."""
    input_scale: float = 1.0
    """Factor for the initial weights of the inputs; above 1 for sparse inputs (mostly zeros, few ones)."""
    start_from: str = ""
    """Folder of a trained run, a checkpoint, or model:NAME, with whose parameters training begins in place of random
    ones; of any task with as many inputs and outputs. Memory size and sparsity may differ, and the controller may have
    fewer layers there, or be feedforward where it is rnn here: what is added changes nothing at first."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("report_every", 1), ("early_stop", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.precision not in get_args(Precision):
            raise UserError(f"precision must be float32 or float64, got {self.precision!r}.")
        if self.init_scheme not in get_args(InitScheme):
            raise UserError(
                f"init_scheme must be one of {', '.join(get_args(InitScheme))}, got {self.init_scheme!r}."
            )
        if not 0 < self.input_scale < math.inf:
            raise UserError(f"input_scale must be above 0 and finite, got {self.input_scale}.")
        if not 0 <= self.average_decay < 1:
            raise UserError(f"average_decay must lie in [0, 1), got {self.average_decay}.")
        if not (self.restart_above == 0 or 1 < self.restart_above < math.inf):
            raise UserError(f"restart_above must be 0 or above 1, got {self.restart_above}.")
        if not 0 <= self.slots_per_vector < math.inf:
            raise UserError(f"slots_per_vector must be at least 0 and finite, got {self.slots_per_vector}.")
        check_seed(self.seed)


@dataclass(kw_only=True)
class Progress:
    """What a checkpoint stores of a run as JSON, besides its settings."""

    task: dict[str, Any]
    """What the task is recreated from."""
    engine_name: str
    position: dict[str, Any]
    """The task's `position`."""
    batch: Size
    """Number of sequences in a batch."""
    carries_state: bool = True
    """Whether a batch may go on from the state that the one before ended in; if not, no state is kept or stored."""
    iteration: Count = 0
    target: Count = 0
    """Iteration at which training stops."""
    seconds: Finite = 0.0
    best_score: Finite | None = None
    best_iteration: Count = 0
    best_level: Finite = 0.0
    """Curriculum level of that score: any score on a later level is better."""
    rate_scale: Finite = 1.0
    """Learning rate of the schedule plateau, as a share of its peak."""
    rate_iteration: Count = 0
    """Iteration at which that share was last set."""
    restarts: Count = 0
    """How often the run went back to its best checkpoint."""
    recent_nats: Finite = 0.0
    """Sum of the losses since the last report, and the number of predictions in it."""
    recent_count: Finite = 0
    solved_iteration: Count | None = None
    """Iteration of the first report at which the task was solved, ..."""
    solved_seconds: Finite | None = None
    """... and the seconds of training until then."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What the checkpoint of a trained model, with its parameters alone, says besides what every checkpoint does."""

    dtype: Literal["float16", "float32", "float64"]
    """In which its parameters are stored; they are computed with in the precision of the run."""
    recipe: str
    """Name of the recipe that trained it; empty if none did."""
    score: str
    """Its score, in words."""


class Critic(NamedTuple):
    """The parameters and the moments of the optimizer of a model that a policy is trained with, see critic.py."""

    params: Any
    moments: tuple[Any, ...]


@dataclass(kw_only=True)
class Run(Progress):
    """Everything that an iteration changes, and the settings it needs."""

    spec: Spec
    training: TrainingSettings
    optimizer: OptimizerSettings
    params: Any
    moments: tuple[Any, ...]
    state: Any
    """The model's state before the next batch; empty where no state is carried."""
    average: tuple[Any, ...] = ()
    """With `average_decay`, the one average of the parameters."""
    critic_spec: Spec | None = None
    critic: Critic | tuple[()] = ()
    """The critic of a policy; other runs have none."""
    trained_model: TrainedModel | None = None
    """Set if the run was loaded from a trained model, which cannot be trained further."""

    @property
    def engine(self) -> Engine:
        """The engine that computes the model."""
        return select_engine(self.engine_name, self.spec, self.training.precision)

    @property
    def stagnates(self) -> bool:
        """Whether `early_stop` reports, or a multiple of them, have been no better than the best; False in between."""
        every, patience = self.training.report_every, self.training.early_stop
        since_best = (self.iteration - self.best_iteration) // every
        return patience > 0 and self.iteration % every == 0 and since_best > 0 and since_best % patience == 0

    @property
    def evaluated(self) -> Any:
        """The parameters that are scored and used: their average, if there is one."""
        return self.average[0] if self.average else self.params

    def update_average(self) -> None:
        """Move the average towards the parameters after an update; it begins with averages over fewer updates.

        a += (1 - d) (p - a),   d = min(average_decay, (1 + t) / (10 + t)),   t the iteration
        """
        decay = min(self.training.average_decay, (1 + self.iteration) / (10 + self.iteration))
        self.average = map_leaves(
            lambda a, p: a + (1 - decay) * (p - a), self.average, (self.params,) * len(self.average)
        )

    @property
    def learning_rate(self) -> float:
        """Learning rate of the current iteration."""
        return self.rate_scale * learning_rate_at(self.optimizer, self.iteration, self.training.steps)

    def forward(
        self, inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None
    ) -> tuple[Array, Any]:
        """`Forward` with the parameters that are scored and used."""
        return forward_with(self.engine, self.spec, self.evaluated)(inputs, state, lengths)


def new_run(
    spec: Spec,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    *,
    task: dict[str, Any],
    position: dict[str, Any],
    batch: int,
    engine: str,
    params: Any = None,
    critic_spec: Spec | None = None,
) -> Run:
    """A run before its first iteration, with these parameters or random ones, and those of a critic if it has one."""
    if params is None:
        params = init_params(
            spec, training.seed, training.precision, training.init_scheme, training.input_scale
        )
    critic: Critic | tuple[()] = ()
    if critic_spec is not None:
        values = init_params(critic_spec, training.seed, training.precision)
        critic = Critic(values, first_moments(optimizer, values))
    return Run(
        spec=spec,
        critic_spec=critic_spec,
        critic=critic,
        training=training,
        optimizer=optimizer,
        task=task,
        engine_name=engine,
        params=params,
        moments=first_moments(optimizer, params),
        state=initial_state(spec, params, batch),
        average=(params,) if training.average_decay else (),
        position=position,
        batch=batch,
        target=training.steps,
    )


def forward_with(engine: Engine, spec: Spec, params: Any) -> Forward:
    """The model as a function of inputs and state."""

    def forward(inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None) -> tuple[Array, Any]:
        if state is None:
            state = initial_state(spec, params, inputs.shape[1])
        elif spec.bidirectional:
            raise UserError(PART_OF_A_SEQUENCE)
        inputs = cast_inputs(inputs, params)
        lengths = lengths if spec.bidirectional else None
        outputs, state, _ = engine.forward(spec, params, inputs, state, keep_tape=False, lengths=lengths)
        return outputs, state

    return forward


def finite_forward(engine: Engine, spec: Spec, params: Any) -> Forward:
    """`forward_with`, but with a UserError if an output is not finite."""
    plain = forward_with(engine, spec, params)

    def forward(inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None) -> tuple[Array, Any]:
        with np.errstate(all="ignore"):  # overflow ends in an error in words
            outputs, state = plain(inputs, state, lengths)
        if not np.isfinite(outputs).all():
            raise UserError(
                "outputs of the model must be finite, got some that are not: its parameters are too large. "
                "Use another checkpoint; `numdnc diagnose` says more."
            )
        return outputs, state

    return forward
