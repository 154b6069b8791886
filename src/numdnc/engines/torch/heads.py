"""Parts of a DNC that each write head has of its own: one tensor for each head. Axes: B batch, V write heads."""

from collections.abc import Sequence

import torch
from torch import Tensor

from numdnc.spec import DNCSpec


def split_heads(spec: DNCSpec, part: Tensor) -> tuple[Tensor, ...]:
    """Tensors (B, ..), from one that has no axis of heads if there is one head, else (B, V, ..)."""
    return (part,) if spec.write_heads == 1 else part.unbind(1)


def join_heads(spec: DNCSpec, tensors: Sequence[Tensor]) -> Tensor:
    """The part that `split_heads` splits into these tensors."""
    return tensors[0] if spec.write_heads == 1 else torch.stack(tuple(tensors), dim=1)


def stack_heads(spec: DNCSpec, part: Tensor) -> Tensor:
    """A part as (B, V, ..), for look-ups, which take several keys at once."""
    return part[:, None] if spec.write_heads == 1 else part
