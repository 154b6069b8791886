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
    # As matrices: PyTorch takes a product of more axes another way if a gradient is asked.
    flat = told.reshape(-1, told.shape[-1])
    vectors, keys, strengths = flat.split([W, Y * W, Y], dim=1)
    keys = keys.reshape(-1, W)
    lengths = [((vector**2).sum(-1) + EPSILON).sqrt() for vector in (keys, rows)]
    cosines = (keys @ rows.T) / (lengths[0][:, None] * lengths[1])
    strengths = 1 + torch.logaddexp(strengths, strengths.new_zeros(()))
    weights = functional.softmax(strengths.reshape(-1, 1) * cosines, dim=1).unflatten(0, (-1, Y))
    outputs = (weights * (vectors @ rows.T)[:, None]).sum(-1) + params.bias
    return outputs.reshape(*told.shape[:-1], Y)
