"""Engines: how a model is computed. All offer the same two calls and agree with the engine `reference`."""

from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import DTypeLike

from numdnc.errors import UserError
from numdnc.params import Array, Inputs
from numdnc.spec import Spec


class Engine(Protocol):
    """Computes whole sequences. Axes: T steps, B batch, X input, Y output.

    Arrays are float32 or float64, the same in params, state and inputs; inputs may be integers instead. Nothing
    that is passed in is changed. T and B may be anything, T = 0 too.
    """

    name: str
    stores_all_links: bool
    """Whether a tape holds the links of every step, or few of them."""

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """None, or the reason why this engine cannot compute this model in this dtype."""
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
    ) -> tuple[Array, Any, Any]:
        """Outputs (T, B, Y), the state after the last step, and the tape for `backward` (None unless kept).

        inputs (T, B, X), or integer symbols (T, B) in [0, X) that mean one-hot rows. bypass_mask (T, B, hidden_total)
        multiplies the hidden values on their way to the output, for a spec with `bypass_dropout`; None lets them pass
        whole. Engines draw nothing at random. The tape may refer to what was passed in: leave that as it is until
        `backward` has run.
        """
        ...

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """Gradients of a loss by params, inputs (None for symbols) and the state before the first step.

        d_outputs (T, B, Y) and d_state are the loss's gradients by the outputs and by the final state. A learned
        start (`params.initial`) acts through the state alone: its gradient is 0 here, see `initial_state_backward`.
        """
        ...


_MODULES = {
    "cpu": "numdnc.engines.cpu",
    "reference": "numdnc.engines.reference",
    "torch": "numdnc.engines.torch",
}
"""Where each engine's `ENGINE` lives; imported only when asked for."""

AUTO = ("cpu", "reference")
"""What "auto" tries, fastest first: all that needs no extra to be installed."""
ENGINE_NAMES = ("auto", *_MODULES)


def get_engine(name: str) -> Engine:
    """The engine of this name, not "auto"; torch:DEVICE is torch on another device than the CPU."""
    kind, _, device = name.partition(":")
    if kind not in _MODULES or (device and kind != "torch"):
        raise UserError(f"engine must be one of {', '.join(ENGINE_NAMES)}, got {name!r}.")
    module = import_module(_MODULES[kind])
    return cast(Engine, module.engine_on(device) if device else module.ENGINE)


def select_engine(name: str, spec: Spec, dtype: DTypeLike = np.float32) -> Engine:
    """The engine asked for, or the reason why it cannot; "auto" takes the fastest that can (its name says which)."""
    reasons = []
    for candidate in AUTO if name == "auto" else (name,):
        engine = get_engine(candidate)
        reason = engine.supports(spec, dtype)
        if reason is None:
            return engine
        reasons.append(f"{candidate}: {reason}")
    raise UserError(f"engine {name!r} must be able to run this model, but {'; '.join(reasons)}.")
