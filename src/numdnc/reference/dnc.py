"""One step of the Differentiable Neural Computer: controller, memory, output (Graves et al. 2016, Methods).

Axes: B batch, X input, Y output, R read heads, W word.
"""

from typing import NamedTuple

from numdnc.params import Array, DNCParams, DNCState, Inputs
from numdnc.reference.access import AccessTape, access, access_backward
from numdnc.reference.activations import affine, affine_backward
from numdnc.reference.controller import controller_step, controller_step_backward
from numdnc.reference.interface import parse_interface, parse_interface_backward
from numdnc.spec import DNCSpec


class DNCTape(NamedTuple):
    """What the backward pass needs of one step."""

    controller: list[NamedTuple]
    hidden_all: Array
    access: AccessTape


def dnc_step(
    spec: DNCSpec, params: DNCParams, x: Inputs, before: DNCState
) -> tuple[Array, DNCState, DNCTape]:
    """Outputs (B, Y), the state after, and the tape.

    chi = [x ; reads of t-1],  h_all = controller(chi),  xi = h_all W_xi + b_xi,  y = [h_all ; reads of t] W_y + b_y
    """
    B = len(x)
    hidden_all, controller, tape = controller_step(
        spec, params.controller, x, before.reads.reshape(B, spec.reads_size), before.controller
    )
    xi = affine(params.interface, hidden_all)
    after, access_tape = access(parse_interface(spec, xi), before)
    outputs = affine(params.output, hidden_all, after.reads.reshape(B, spec.reads_size))
    return outputs, after._replace(controller=controller), DNCTape(tape, hidden_all, access_tape)


def dnc_step_backward(
    spec: DNCSpec, params: DNCParams, tape: DNCTape, d_outputs: Array, d_after: DNCState
) -> tuple[DNCParams, Array | None, DNCState]:
    """Gradients by parameters, x and the state before; `d_after` comes from the step after."""
    B = len(d_outputs)
    hidden_all, reads = tape.hidden_all, tape.access.after.reads
    d_output, (d_hidden_output, d_reads) = affine_backward(
        params.output, (hidden_all, reads.reshape(B, spec.reads_size)), d_outputs
    )
    d_after = d_after._replace(reads=d_after.reads + d_reads.reshape(reads.shape))
    d_interface, d_before = access_backward(tape.access, d_after)
    d_xi = parse_interface_backward(tape.access.interface, d_interface)
    d_interface_params, (d_hidden_xi,) = affine_backward(params.interface, (hidden_all,), d_xi)
    d_controller, d_x, d_reads, d_controller_state = controller_step_backward(
        spec, params.controller, tape.controller, d_hidden_output + d_hidden_xi, d_after.controller
    )
    d_before = d_before._replace(controller=d_controller_state, reads=d_reads.reshape(reads.shape))
    return DNCParams(d_controller, d_interface_params, d_output), d_x, d_before
