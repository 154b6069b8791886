"""Choosing slots, and rows at slots, so that torch remembers the slots and not the whole.

Axes: B batch, N slots, A slots chosen.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def largest(values: Tensor, count: int) -> Tensor:
    """The slots of the `count` largest values (.., N) in rising order (.., count), ties by index; no gradient."""
    values, N = values.detach(), values.shape[-1]
    least = values.topk(count, dim=-1).values[..., -1:]
    above, equal = values > least, values == least
    wanted = count - above.sum(-1, keepdim=True)
    kept = above | (equal & (equal.cumsum(-1) <= wanted))
    falling = torch.arange(N, 0, -1, device=values.device)
    return (kept * falling).topk(count, dim=-1).indices


def rising(keys: Tensor) -> Tensor:
    """The positions of whole numbers (.., A) by rising number, ties by position; ONNX has no stable sort."""
    count = keys.shape[-1]
    different = keys * count + torch.arange(count, device=keys.device)
    return different.topk(count, dim=-1, largest=False).indices


def through_nonzero(weights: Tensor) -> Tensor:
    """The same weights, without a gradient where they are 0."""
    return torch.where(weights != 0, weights, 0)


def cut(mix: Callable[..., Tensor], weightings: Sequence[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The slots of the `count` largest weights of a mix of weightings (.., N), and the mix with all others 0.

    mix is elementwise; with a gradient it is computed at these slots alone.
    """
    with torch.no_grad():
        slots = largest(mix(*weightings), count)
    kept = through_nonzero(mix(*(entries_at(weights, slots) for weights in weightings)))
    return slots, torch.zeros_like(weightings[0]).scatter(-1, slots, kept)


def rows_of(tensor: Tensor, slots: Tensor) -> Tensor:
    """Rows of a tensor (B, N, ..) at slots (B, ..), which torch remembers by their slots alone."""
    batch = torch.arange(tensor.shape[0], device=tensor.device)
    return tensor[batch.reshape(-1, *[1] * (slots.dim() - 1)), slots]


def entries_at(weights: Tensor, slots: Tensor) -> Tensor:
    """Entries of weights (.., N) at slots (.., A), of which torch keeps only the slots; gather would keep weights."""
    return rows_of(weights.flatten(0, -2), slots.flatten(0, -2)).reshape(slots.shape)


def with_rows(tensor: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
    """A copy of a tensor (B, N, ..) with other rows at slots (B, A), all different."""
    batch = torch.arange(tensor.shape[0], device=tensor.device)[:, None]
    return tensor.index_put((batch, slots), rows)
