"""One step of a model with a memory, a DNC or an NTM: controller, memory, output (Graves et al. 2016, Methods).

Axes: B batch, X input, Y output, R read heads, W word.
"""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, DNCParams, Inputs
from numdnc.reference.access import AccessTape
from numdnc.reference.activations import affine, affine_backward
from numdnc.reference.controller import controller_step, controller_step_backward
from numdnc.reference.instructions import (
    InstructionTape,
    follow_instructions,
    follow_instructions_backward,
)
from numdnc.reference.interface import parse_interface, parse_interface_backward
from numdnc.reference.memories import MemoriesTape, access_memories, access_memories_backward
from numdnc.reference.ntm import NTMAccessTape, access_ntm, access_ntm_backward
from numdnc.spec import DNCSpec, NTMSpec
from numdnc.tree import zeros_like

_MEMORIES: dict[str, tuple[Any, Any]] = {
    "dnc": (access_memories, access_memories_backward),
    "ntm": (access_ntm, access_ntm_backward),
}
"""A step of the memory of each kind of model, and its backward function."""


class DNCTape(NamedTuple):
    """Values saved for the backward pass of one step."""

    controller: list[NamedTuple]
    hidden_all: Array
    access: AccessTape | MemoriesTape | NTMAccessTape
    bypass_mask: Array | None
    instructions: InstructionTape | None


def dnc_step(
    spec: DNCSpec | NTMSpec,
    params: DNCParams,
    x: Inputs,
    before: Any,
    bypass_mask: Array | None = None,
    reverse: Array | None = None,
) -> tuple[Array, Any, DNCTape]:
    """Outputs (B, Y), the state after, and the tape.

    chi = [x ; reads of t-1],  h_all = controller(chi),  xi = h_all W_xi + b_xi,  y = [h_all ; reads of t] W_y + b_y

    Variations (Franke, Niehues and Waibel 2018): the product h_all W_xi passes layer norm if the interface has a gain;
    the output sees h_all * bypass_mask (B, hidden_total) where there is one; with two directions h_all is
    [controller(chi) ; reverse], `reverse` (B, H) being the step's hidden values of `reverse_hidden`. With instructions
    y is what these are told (`follow_instructions`), and their outputs are those of the model.
    """
    B, (step_memory, _) = len(x), _MEMORIES[spec.kind]
    hidden_all, controller, tape = controller_step(
        spec, params.controller, x, before.reads.reshape(B, spec.reads_size), before.controller
    )
    if reverse is not None:
        hidden_all = np.concatenate([hidden_all, reverse], axis=1)
    xi = affine(params.interface, hidden_all)
    after, access_tape = step_memory(spec, parse_interface(spec, xi), before)
    bypass = hidden_all if bypass_mask is None else hidden_all * bypass_mask
    outputs = affine(params.output, bypass, after.reads.reshape(B, spec.reads_size))
    followed = None
    if params.instructions:
        outputs, followed = follow_instructions(params.instructions, outputs)
    saved = DNCTape(tape, hidden_all, access_tape, bypass_mask, followed)
    return outputs, after._replace(controller=controller), saved


def dnc_step_backward(
    spec: DNCSpec | NTMSpec, params: DNCParams, tape: DNCTape, d_outputs: Array, d_after: Any
) -> tuple[DNCParams, Array | None, Any, Array]:
    """Gradients with respect to parameters, x, the state before and `reverse`; `d_after` comes from the step after.

    The last is (B, 0) without a second direction.
    """
    B, (_, step_memory_backward) = len(d_outputs), _MEMORIES[spec.kind]
    d_instructions: Any = ()
    if tape.instructions is not None:
        d_instructions, d_outputs = follow_instructions_backward(tape.instructions, d_outputs)
    hidden_all, reads = tape.hidden_all, tape.access.after.reads
    bypass = hidden_all if tape.bypass_mask is None else hidden_all * tape.bypass_mask
    d_output, (d_hidden_output, d_reads) = affine_backward(
        params.output, (bypass, reads.reshape(B, spec.reads_size)), d_outputs
    )
    if tape.bypass_mask is not None:
        d_hidden_output = d_hidden_output * tape.bypass_mask
    d_after = d_after._replace(reads=d_after.reads + d_reads.reshape(reads.shape))
    d_interface, d_before = step_memory_backward(spec, tape.access, d_after)
    d_xi = parse_interface_backward(tape.access.interface, d_interface)
    d_interface_params, (d_hidden_xi,) = affine_backward(params.interface, (hidden_all,), d_xi)
    d_hidden, d_reverse = np.split(d_hidden_output + d_hidden_xi, [sum(spec.hidden_sizes)], axis=1)
    d_controller, d_x, d_reads, d_controller_state = controller_step_backward(
        spec, params.controller, tape.controller, d_hidden, d_after.controller
    )
    d_before = d_before._replace(controller=d_controller_state, reads=d_reads.reshape(reads.shape))
    # Learned initial state and second direction enter only through the state before the first step and `reverse`.
    elsewhere = zeros_like((params.initial, params.reverse_controller))
    d_params = DNCParams(d_controller, d_interface_params, d_output, *elsewhere, d_instructions)
    return d_params, d_x, d_before, d_reverse
