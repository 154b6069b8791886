"""States as trees of tensors: the NamedTuples of `numdnc.params`, with the batch as the first axis of every leaf."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from numdnc.init import start_values, with_learned
from numdnc.params import DNCState, LSTMState, NTMState, RecurrentState, RNNState, state_shapes
from numdnc.spec import Spec
from numdnc.tree import map_leaves

for _kind in (DNCState, NTMState, RecurrentState, LSTMState, RNNState):
    torch.serialization.add_safe_globals(
        [_kind]
    )  # torch.load takes a saved state as it is, by weights_only=True ..
    torch.utils._pytree._register_namedtuple(
        _kind, serialized_type_name=f"numdnc.{_kind.__name__}"
    )  # .. export too

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""From inputs (T, B, ..) and a state to outputs and the final state."""


def detach(state: Any) -> Any:
    """Detach a state from its graph, as between the windows of truncated back-propagation through time."""
    return map_leaves(lambda leaf: leaf.detach(), state)


def initial_state(spec: Spec, initial: Any, batch: int, like: Tensor) -> Any:
    """Make the initial state, with the dtype and device of `like`.

    initial: its learned part (`numdnc.params.LearnedState`), or ().
    """

    def zeros(shape: Any) -> Tensor:
        return like.new_zeros(shape.sizes)

    def spread(leaf: Tensor) -> Tensor:
        return leaf.expand(batch, *leaf.shape)

    state = map_leaves(zeros, state_shapes(spec, batch))
    starts = {name: spread(torch.from_numpy(values).to(like)) for name, values in start_values(spec).items()}
    if starts:
        state = state._replace(**starts)
    return with_learned(state, map_leaves(spread, initial)) if initial else state


def over_lengths(step: Step, inputs: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Return outputs (T, B, ..), 0 beyond each row's end, and the state of each row at its own end.

    inputs (T, B, ..), lengths (B,) from 0 to T and on the CPU; `step` as for `over_packed`.
    """
    T, B = inputs.shape[:2]
    order = lengths.argsort(descending=True, stable=True)
    begun = order[: int((lengths > 0).sum())]  # the other rows keep their state
    if not len(begun):
        output, state = step(inputs[:0], state)
        return functional.pad(output, (0, 0, 0, 0, 0, T)), state
    packed = pack_padded_sequence(inputs[:, begun.to(inputs.device)], lengths[begun])
    packed, state = over_packed(step, packed, _in_order(state, order))
    output, _ = pad_packed_sequence(packed, total_length=T)
    output = functional.pad(output, (0, 0, 0, B - len(begun)))
    back = order.argsort()
    return output[:, back.to(output.device)], _in_order(state, back)


def over_packed(step: Step, packed: PackedSequence, state: Any) -> tuple[PackedSequence, Any]:
    """Return outputs of packed sequences, packed in the same way, and the state of each at its own end.

    `step(inputs, state)` is called once for each stretch in which no sequence ends, with the rows that go on: nothing
    is computed for padding. Rows of `state` beyond the packed ones are returned unchanged.
    """
    data, outputs, ended = packed.data, [], []
    state = _in_order(state, packed.sorted_indices)
    for rows, alike in groupby(packed.batch_sizes.tolist()):
        steps = len(list(alike))
        ended.append(map_leaves(lambda leaf, first=rows: leaf[first:], state))
        state = map_leaves(lambda leaf, last=rows: leaf[:last], state)
        stretch, data = data[: steps * rows], data[steps * rows :]
        output, state = step(stretch.reshape(steps, rows, *stretch.shape[1:]), state)
        outputs.append(output.flatten(0, 1))
    state = map_leaves(lambda *parts: torch.cat(parts), state, *reversed(ended))
    whole = packed._replace(data=torch.cat(outputs))
    return whole, _in_order(state, packed.unsorted_indices)


def over_whole_rows(step: Step, inputs: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The same as `over_lengths` for a model that must see whole sequences: a call for all rows of the same length."""
    found, outputs, ended = [], [], []
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        output, after = step(inputs[:length, rows.to(inputs.device)], _in_order(state, rows))
        found.append(rows)
        outputs.append(functional.pad(output, (0, 0, 0, 0, 0, len(inputs) - length)))
        ended.append(after)
    back = torch.cat(found).argsort()
    state = map_leaves(lambda *parts: torch.cat(parts), *ended)
    return torch.cat(outputs, dim=1)[:, back.to(inputs.device)], _in_order(state, back)


def over_whole_packed(step: Step, packed: PackedSequence, state: Any) -> tuple[PackedSequence, Any]:
    """The same as `over_packed` for a model that must see whole sequences."""
    inputs, lengths = pad_packed_sequence(packed)
    output, state = over_whole_rows(step, inputs, lengths, state)
    order = packed.sorted_indices
    output = output if order is None else output[:, order]
    data = pack_padded_sequence(output, lengths.sort(descending=True).values).data
    return packed._replace(data=data), state


def _in_order(state: Any, order: Tensor | None) -> Any:
    return state if order is None else map_leaves(lambda leaf: leaf[order.to(leaf.device)], state)
