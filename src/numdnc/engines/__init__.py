"""Engines compute models. They all have the same two methods and agree with the engine `reference`."""

from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.errors import UserError
from numdnc.params import Array, Inputs
from numdnc.spec import Spec


class Engine(Protocol):
    """Computes whole sequences. Axes: T steps, B batch, X input, Y output.

    Arrays are float32 or float64, the same in params, state and inputs; inputs may be integers instead. Arguments
    are never modified. T and B may be any size, 0 included.
    """

    name: str
    stores_all_links: bool
    """Whether a tape holds the link matrix of every step, or of a few steps only."""
    expands_links: bool
    """Whether it makes link matrices of the lists of a sparse model."""

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Return None, or the reason why this engine cannot compute this model in this dtype."""
        ...

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
        lengths: NDArray[np.integer] | None = None,
    ) -> tuple[Array, Any, Any]:
        """Return outputs (T, B, Y), the state after the last step, and the tape for `backward` (None unless kept).

        inputs (T, B, X), or integer symbols (T, B) in [0, X) that mean one-hot rows. bypass_mask (T, B, hidden_total)
        multiplies the hidden values on their way to the output, for a spec with `bypass_dropout`; None multiplies by 1.
        lengths (B,), each from 0 to T, say where the second direction of a bidirectional DNC begins in each row; None
        means T. Nothing else depends on them: all T steps of all rows are computed. Engines draw no random numbers. The
        tape may refer to the arguments: do not modify them until `backward` has run.
        """
        ...

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """Return the gradients of a loss with respect to params, inputs (None for symbols) and the initial state.

        d_outputs (T, B, Y) and d_state are the gradients of the loss with respect to the outputs and the final state. A
        learned initial state (`params.initial`) acts through the state alone: its gradient is 0 here, see
        `initial_state_backward`.
        """
        ...


_MODULES = {
    "cpu": "numdnc.engines.cpu",
    "reference": "numdnc.engines.reference",
    "torch": "numdnc.engines.torch",
    "gpu": "numdnc.engines.gpu.cuda",
}
"""The module of each engine's `ENGINE`; imported only when it is asked for."""

AUTO = ("cpu", "reference")
"""The engines that "auto" tries, fastest first: those that need no optional package."""
ENGINE_NAMES = ("auto", *_MODULES)


def get_engine(name: str) -> Engine:
    """Return the engine of this name, which must not be "auto"; torch:DEVICE is the engine torch on a device."""
    kind, _, device = name.partition(":")
    if kind not in _MODULES or (device and kind != "torch"):
        raise UserError(f"engine must be one of {', '.join(ENGINE_NAMES)}, got {name!r}.")
    module = import_module(_MODULES[kind])
    return cast(Engine, module.engine_on(device) if device else module.ENGINE)


def select_engine(name: str, spec: Spec, dtype: DTypeLike = np.float32) -> Engine:
    """Return the engine of this name, or the fastest that can run this model for "auto"; UserError with the reason."""
    reasons = []
    for candidate in AUTO if name == "auto" else (name,):
        engine = get_engine(candidate)
        reason = engine.supports(spec, dtype)
        if reason is None:
            return engine
        reasons.append(f"{candidate}: {reason}")
    raise UserError(f"engine {name!r} must be able to run this model, but {'; '.join(reasons)}.")
