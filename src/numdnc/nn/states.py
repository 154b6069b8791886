"""States as trees of tensors: the NamedTuples of `numdnc.params`, with the batch as the first axis of every leaf."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from numdnc.params import zero_state
from numdnc.spec import Spec
from numdnc.tree import map_leaves


def detach(state: Any) -> Any:
    """The same state without its history: gradients end here, as at the cuts of truncated back-propagation."""
    return map_leaves(lambda leaf: leaf.detach(), state)


def first_state(spec: Spec, initial: Any, batch: int, like: Tensor) -> Any:
    """Where every sequence starts, of the dtype and on the device of `like`.

    initial: what the model has learned of it (`numdnc.params.LearnedState`), or ().
    """

    def zeros(leaf: Any) -> Tensor:
        return like.new_zeros(batch, *leaf.shape[1:])

    state = map_leaves(zeros, zero_state(spec, 0))
    if not initial:
        return state
    learned = map_leaves(lambda leaf: leaf.expand(batch, *leaf.shape), initial)
    return state._replace(controller=learned.controller, memory=learned.memory)


def over_packed(
    step: Callable[[Tensor, Any], tuple[Tensor, Any]], packed: PackedSequence, state: Any
) -> tuple[PackedSequence, Any]:
    """Outputs of sequences of several lengths, packed alike, and the state of each at its own end.

    `step(inputs, state)` is called once for each stretch in which no sequence ends, with the rows that go on: nothing
    is computed for padding. Axes of its inputs and outputs: T steps, B rows, and their own.
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


def _in_order(state: Any, order: Tensor | None) -> Any:
    return state if order is None else map_leaves(lambda leaf: leaf[order], state)
