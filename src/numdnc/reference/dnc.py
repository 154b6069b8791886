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
from numdnc.tree import zeros_like


class DNCTape(NamedTuple):
    """Values saved for the backward pass of one step."""

    controller: list[NamedTuple]
    hidden_all: Array
    access: AccessTape
    bypass_mask: Array | None


def dnc_step(
    spec: DNCSpec, params: DNCParams, x: Inputs, before: DNCState, bypass_mask: Array | None = None
) -> tuple[Array, DNCState, DNCTape]:
    """Outputs (B, Y), the state after, and the tape.

    chi = [x ; reads of t-1],  h_all = controller(chi),  xi = h_all W_xi + b_xi,  y = [h_all ; reads of t] W_y + b_y

    Variations (Franke, Niehues and Waibel 2018): the product h_all W_xi passes layer norm if the interface has a gain;
    the output sees h_all * bypass_mask (B, hidden_total) where there is one.
    """
    B = len(x)
    hidden_all, controller, tape = controller_step(
        spec, params.controller, x, before.reads.reshape(B, spec.reads_size), before.controller
    )
    xi = affine(params.interface, hidden_all)
    after, access_tape = access(spec, parse_interface(spec, xi), before)
    bypass = hidden_all if bypass_mask is None else hidden_all * bypass_mask
    outputs = affine(params.output, bypass, after.reads.reshape(B, spec.reads_size))
    return outputs, after._replace(controller=controller), DNCTape(tape, hidden_all, access_tape, bypass_mask)


def dnc_step_backward(
    spec: DNCSpec, params: DNCParams, tape: DNCTape, d_outputs: Array, d_after: DNCState
) -> tuple[DNCParams, Array | None, DNCState]:
    """Gradients with respect to parameters, x and the state before; `d_after` comes from the step after."""
    B = len(d_outputs)
    hidden_all, reads = tape.hidden_all, tape.access.after.reads
    bypass = hidden_all if tape.bypass_mask is None else hidden_all * tape.bypass_mask
    d_output, (d_hidden_output, d_reads) = affine_backward(
        params.output, (bypass, reads.reshape(B, spec.reads_size)), d_outputs
    )
    if tape.bypass_mask is not None:
        d_hidden_output = d_hidden_output * tape.bypass_mask
    d_after = d_after._replace(reads=d_after.reads + d_reads.reshape(reads.shape))
    d_interface, d_before = access_backward(spec, tape.access, d_after)
    d_xi = parse_interface_backward(tape.access.interface, d_interface)
    d_interface_params, (d_hidden_xi,) = affine_backward(params.interface, (hidden_all,), d_xi)
    d_controller, d_x, d_reads, d_controller_state = controller_step_backward(
        spec, params.controller, tape.controller, d_hidden_output + d_hidden_xi, d_after.controller
    )
    d_before = d_before._replace(controller=d_controller_state, reads=d_reads.reshape(reads.shape))
    d_initial = zeros_like(params.initial)  # it enters only through the state before the first step
    return DNCParams(d_controller, d_interface_params, d_output, d_initial), d_x, d_before
