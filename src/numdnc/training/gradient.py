"""The loss of a batch and its gradient by the parameters: what every update of a training starts from.

Axes: T steps, B batch, X input, Y output.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.errors import UserError
from numdnc.init import initial_state, initial_state_backward
from numdnc.params import Array, cast_inputs
from numdnc.spec import Spec
from numdnc.tasks import Batch, Feedback
from numdnc.tasks.sequences import sequence_lengths
from numdnc.training.workers import SINGLE, Workers
from numdnc.tree import map_leaves, zeros_like

Loss = Callable[[Array, Batch], tuple[float, float, Array]]
"""`Task.loss`: (outputs, batch) -> (loss in nats per prediction, number of predictions, gradient by the outputs)."""
MakeFeedback = Callable[[Array, Batch], Feedback | None]
"""`Differentiable.feedback`: (outputs, batch) -> the way back from inputs to outputs; None if there is none."""


def no_feedback(outputs: Array, batch: Batch) -> Feedback | None:
    """Nothing flows from inputs to outputs."""
    return None


PART_OF_A_SEQUENCE = (
    "a bidirectional DNC must be given whole sequences, got a part of one: its second direction begins at the last "
    "step. Train a model without --bidirectional to go on step by step or window by window."
)


class LossAndGradient(NamedTuple):
    """The result of `loss_and_gradient`."""

    loss: float
    """In nats per prediction, a mean over the predictions of all workers."""
    predictions: float
    """Number of those predictions."""
    gradient: Any
    """d loss / d params, a tree like the parameters."""
    outputs: Array
    """(T, B, Y), of this worker's sequences."""
    state: Any
    """After the last step, of this worker's sequences."""
    d_inputs: Array | None
    """(T, B, X), of this worker's own loss; None for symbols."""
    d_state: Any
    """Gradient of this worker's own loss by the state before the first step."""


def loss_and_gradient(
    spec: Spec,
    params: Any,
    engine: Engine,
    batch: Batch,
    loss: Loss,
    *,
    state: Any = None,
    d_final_state: Any = None,
    bypass_mask: Array | None = None,
    lengths: NDArray[np.integer] | None = None,
    feedback: MakeFeedback = no_feedback,
    workers: Workers = SINGLE,
) -> LossAndGradient:
    """Run a model over a batch and back.

        task = SequenceTask("copy", Copy(), SequenceSettings(), seed=0)
        found = loss_and_gradient(spec, params, engine, task.next_batch(), task.loss)

    Sequences start in the model's initial state, to which the gradient of a learned state flows back, or go on from
    `state`, which is a constant. `d_final_state`, zero by default, is what else depends on the state after the last
    step. `lengths` (B,), which only a bidirectional model needs, are by default those of the batch without its padding.
    With `feedback` gradients flow from the inputs of a step on to the outputs that made them, step by step.
    Of several `workers`, which all pass the same batch, mask and lengths, each computes its own sequences (`state` is
    that of these), and loss and gradient are averaged over all.
    """
    rows = workers.shard(batch.inputs.shape[1])
    batch = batch._replace(inputs=cast_inputs(batch.inputs, params)).rows(rows)
    mask = None if bypass_mask is None else bypass_mask[:, rows]
    before = initial_state(spec, params, batch.inputs.shape[1]) if state is None else state
    if spec.bidirectional:
        if not batch.starts_sequence:
            raise UserError(PART_OF_A_SEQUENCE)
        lengths = sequence_lengths(batch) if lengths is None else lengths[rows]
    outputs, after, tape = engine.forward(
        *(spec, params, batch.inputs, before), keep_tape=True, bypass_mask=mask, lengths=lengths
    )
    value, count, d_outputs = loss(outputs, batch)
    d_after = zeros_like(after) if d_final_state is None else d_final_state
    way_back = feedback(outputs, batch)
    if way_back is None:
        gradient, d_inputs, d_before = engine.backward(spec, params, tape, d_outputs, d_after)
    else:
        gradient, d_inputs, d_before = _step_by_step(
            *(spec, params, engine, batch.inputs, before, mask, d_outputs, d_after, way_back)
        )
    if state is None:
        gradient = initial_state_backward(spec, gradient, d_before)
    gradient, value, count = workers.all_reduce_mean(gradient, value, count)
    return LossAndGradient(value, count, gradient, outputs, after, d_inputs, d_before)


def _step_by_step(
    spec: Spec,
    params: Any,
    engine: Engine,
    inputs: Array,
    state: Any,
    mask: Array | None,
    d_outputs: Array,
    d_state: Any,
    way_back: Feedback,
) -> tuple[Any, Array, Any]:
    """`Engine.backward` of a sequence in which outputs became inputs of later steps."""
    tapes, d_inputs = [], np.zeros_like(inputs)
    for t in range(len(inputs)):
        _, state, tape = engine.forward(
            *(spec, params, inputs[t : t + 1], state),
            keep_tape=True,
            bypass_mask=None if mask is None else mask[t : t + 1],
        )
        tapes.append(tape)
    gradient, following = zeros_like(params), None
    for t in reversed(range(len(inputs))):
        added = way_back.backward(t, following)
        d_output = d_outputs[t] if added is None else d_outputs[t] + added
        one, d_input, d_state = engine.backward(spec, params, tapes.pop(), d_output[None], d_state)
        gradient = map_leaves(np.add, gradient, one)
        assert d_input is not None  # symbols have no gradient, so nothing can flow back from them
        d_inputs[t] = following = d_input[0]
    return gradient, d_inputs, d_state
