"""A batch of any size, in as few launches as its sequences need: a launch takes one for each block of the device.

Axes: T steps, B batch.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from numdnc.engines.gpu import sequence
from numdnc.engines.gpu.sequence import Launcher
from numdnc.spec import DNCSpec, Spec
from numdnc.tree import map_leaves


class Parts(NamedTuple):
    """The tapes of some launches, of rows that follow each other; none without steps or rows."""

    rows: list[slice]
    tapes: list[Any]
    inputs: Tensor


def forward_of_rows(
    launcher: Launcher,
    spec: Spec,
    params: Any,
    inputs: Tensor,
    state: Any,
    mask: Tensor | None,
    *,
    keep_tape: bool,
) -> tuple[Tensor, Any, Parts | None]:
    """Outputs (T, B, Y), the state after the last step, and the tapes; see `Engine.forward`."""
    assert isinstance(spec, DNCSpec)
    T, B = inputs.shape[:2]
    rows = split_rows(B, launcher.blocks) if T else []
    found = [
        sequence.forward(
            *(launcher, spec, params, inputs[:, part], map_leaves(lambda leaf: leaf[part], state)),  # noqa: B023
            None if mask is None else mask[:, part],
            keep_tape=keep_tape,
        )
        for part in rows
    ]
    parts = Parts(rows, [tape for _, _, tape in found], inputs) if keep_tape else None
    if not found:
        outputs = params.output.bias.new_zeros(T, B, spec.output_size)
        return outputs, map_leaves(torch.clone, state), parts
    after = map_leaves(lambda *leaves: torch.cat(leaves), *(state for _, state, _ in found))
    return torch.cat([outputs for outputs, _, _ in found], 1), after, parts


def backward_of_rows(
    launcher: Launcher, params: Any, parts: Parts, d_outputs: Tensor, d_state: Any
) -> tuple[Any, Tensor | None, Any]:
    """Gradients by params, inputs (None for symbols) and the initial state; see `Engine.backward`."""
    found = [
        sequence.backward(
            *(launcher, params, tape, d_outputs[:, part], map_leaves(lambda leaf: leaf[part], d_state))  # noqa: B023
        )
        for part, tape in zip(parts.rows, parts.tapes, strict=True)
    ]
    vectors = parts.inputs.is_floating_point()
    if not found:
        zero = map_leaves(torch.zeros_like, params)
        return zero, torch.zeros_like(parts.inputs) if vectors else None, map_leaves(torch.clone, d_state)
    d_params = map_leaves(lambda *leaves: sum(leaves[1:], leaves[0]), *(d for d, _, _ in found))
    d_inputs = torch.cat([d for _, d, _ in found if d is not None], 1) if vectors else None
    return d_params, d_inputs, map_leaves(lambda *leaves: torch.cat(leaves), *(d for _, _, d in found))


def split_rows(batch: int, most: int) -> list[slice]:
    """Slices of at most this many rows, as equal as can be."""
    launches = -(-batch // most)
    ends = [batch * i // launches for i in range(launches + 1)] if launches else []
    return [slice(start, stop) for start, stop in pairwise(ends)]
