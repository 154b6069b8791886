"""One step of an RNN or LSTM as a model of its own: controller and output, no external memory."""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, Inputs, RecurrentParams, RecurrentState
from numdnc.reference.activations import affine, affine_backward
from numdnc.reference.controller import controller_step, controller_step_backward
from numdnc.spec import LSTMSpec, RNNSpec


class RecurrentTape(NamedTuple):
    """Values saved for the backward pass of one step."""

    controller: list[Any]
    hidden_all: Array


def recurrent_step(
    spec: RNNSpec | LSTMSpec, params: RecurrentParams, x: Inputs, before: RecurrentState
) -> tuple[Array, RecurrentState, RecurrentTape]:
    """y = h_all W_y + b_y: outputs (B, Y), the state after, and the tape."""
    nothing_read = np.zeros((len(x), 0), params.output.bias.dtype)
    hidden_all, controller, tape = controller_step(
        spec, params.controller, x, nothing_read, before.controller
    )
    outputs = affine(params.output, hidden_all)
    return outputs, RecurrentState(controller), RecurrentTape(tape, hidden_all)


def recurrent_step_backward(
    spec: RNNSpec | LSTMSpec,
    params: RecurrentParams,
    tape: RecurrentTape,
    d_outputs: Array,
    d_after: RecurrentState,
) -> tuple[RecurrentParams, Array | None, RecurrentState]:
    """Gradients with respect to parameters, x and the state before; `d_after` comes from the step after."""
    d_output, (d_hidden_all,) = affine_backward(params.output, (tape.hidden_all,), d_outputs)
    d_controller, d_x, _, d_state = controller_step_backward(
        spec, params.controller, tape.controller, d_hidden_all, d_after.controller
    )
    return RecurrentParams(d_controller, d_output), d_x, RecurrentState(d_state)
