"""Outputs made with instructions; see `numdnc.reference.instructions`. Axes: Y output, W word, S instructions."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from numdnc.spec import EPSILON


def follow_instructions(params: Any, told: Tensor) -> Tensor:
    """Outputs (.., Y) of told (.., W + Y W + Y): the vector v, then a key and a strength of each output."""
    rows, Y = params.rows, len(params.bias)
    W = rows.shape[1]
    v, keys, strengths = told.split([W, Y * W, Y], dim=-1)
    keys = keys.unflatten(-1, (Y, W))
    norms = ((keys**2).sum(-1, keepdim=True) + EPSILON).sqrt() * ((rows**2).sum(-1) + EPSILON).sqrt()
    strengths = 1 + torch.logaddexp(strengths, strengths.new_zeros(()))
    weights = functional.softmax(strengths[..., None] * (keys @ rows.T) / norms, dim=-1)
    return ((weights @ rows) * v[..., None, :]).sum(-1) + params.bias
