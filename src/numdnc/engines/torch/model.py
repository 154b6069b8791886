"""The whole model over a sequence, on tensors of any device and float dtype.

Axes: T steps, B batch, X input, Y output.
"""

from typing import Any

import torch
from torch import Tensor

from numdnc.engines.torch.controller import affine, controller_step, input_part, reverse_hidden
from numdnc.engines.torch.instructions import follow_instructions
from numdnc.engines.torch.memory import access
from numdnc.engines.torch.ntm import access_ntm
from numdnc.engines.torch.slots import through_nonzero
from numdnc.engines.torch.sparse import access_sparse
from numdnc.spec import NTMSpec, Spec
from numdnc.tree import map_leaves


def forward(
    spec: Spec,
    params: Any,
    inputs: Tensor,
    state: Any,
    bypass_mask: Tensor | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """Outputs (T, B, Y) and the state after the last step; torch differentiates both by all that is passed in.

    inputs (T, B, X), or integers (T, B) that mean one-hot rows; params and state are the trees of `numdnc.params` with
    tensors in place of arrays, all of one dtype and on one device; bypass_mask (T, B, hidden_total) multiplies the
    hidden values on their way to the output; lengths (B,) are the steps of each row, where a second direction begins
    (None: T). Work that does not depend on the previous step is done for all steps at once. Results share no memory
    with arguments.
    """
    B = inputs.shape[1]
    x_parts = [input_part(spec, layer, inputs) for layer in params.controller]
    reverse = reverse_hidden(spec, params.reverse_controller, inputs, lengths) if spec.bidirectional else ()
    hiddens: list[Tensor] = []
    reads: list[Tensor] = []
    seen = x_parts[0].new_zeros(B, 0)
    step_memory: Any = access if spec.sparsity is None else access_sparse
    if isinstance(spec, NTMSpec):
        step_memory = access_ntm
    if spec.sparsity is not None and spec.links and len(x_parts[0]):
        state = state._replace(link_values=through_nonzero(state.link_values))
    # A graph that was recorded from unbind refuses another number of steps; one from part[t] would leave them out.
    for parts in zip(*[part.unbind(0) for part in x_parts], strict=True):
        if spec.has_memory:
            seen = state.reads.reshape(B, spec.reads_size)
        hidden, controller = controller_step(spec, params.controller, parts, seen, state.controller)
        if reverse:
            hidden = torch.cat([hidden, reverse[len(hiddens)]], dim=1)
        hiddens.append(hidden)
        state = state._replace(controller=controller)
        if spec.has_memory:
            state = step_memory(spec, affine(params.interface, hidden), state)
            reads.append(state.reads.reshape(B, spec.reads_size))
    if not hiddens:
        nothing = x_parts[0].new_zeros(0, B, len(params.output.weights))
        return _output(spec, params, nothing), map_leaves(torch.clone, state)
    to_output = torch.stack(hiddens)
    if bypass_mask is not None:
        to_output = to_output * bypass_mask
    if reads:
        to_output = torch.cat([to_output, torch.stack(reads)], dim=2)
    return _output(spec, params, to_output), state


def _output(spec: Spec, params: Any, seen: Tensor) -> Tensor:
    """Outputs (T, B, Y) of all that the output layer sees."""
    outputs = affine(params.output, seen)
    return outputs if spec.instruction_slots is None else follow_instructions(params.instructions, outputs)
