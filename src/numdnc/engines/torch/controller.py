"""The controller's layers and the affine map. Axes: T steps, B batch, X input, H hidden, K reads side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from numdnc.params import LSTMState, RNNState
from numdnc.spec import EPSILON, Spec


def affine(params: Any, vectors: Tensor) -> Tensor:
    """v W + b over the last axis of v; with a gain, layer_norm(v W) gain + b."""
    if isinstance(params.gain, Tensor):
        return _layer_norm(vectors @ params.weights, params.gain, params.bias)
    return vectors @ params.weights + params.bias


def input_part(spec: Spec, params: Any, inputs: Tensor) -> Tensor:
    """Part of a layer's z that the inputs give, for all steps (T, B, columns); with the bias if there is no layer norm.

    inputs (T, B, X), or integers (T, B) that mean one-hot rows, which are looked up.
    """
    rows = params.weights[: spec.input_size]
    product = inputs @ rows if inputs.is_floating_point() else functional.embedding(inputs, rows)
    return product if isinstance(params.gain, Tensor) else product + params.bias


def controller_step(
    spec: Spec, params: tuple[Any, ...], x_parts: Sequence[Tensor], reads: Tensor, state: tuple[Any, ...]
) -> tuple[Tensor, tuple[Any, ...]]:
    """h_all (B, hidden_total) and the state after; x_parts (B, columns) of each layer, reads (B, K) of the step before.

    Every layer sees the input, the reads, its own hidden values and those of the layer below (Graves et al. 2016).
    """
    hiddens: list[Tensor] = []
    after: list[Any] = []
    for layer, x_part, before in zip(params, x_parts, state, strict=True):
        own = [before.hidden] if spec.controller != "feedforward" else []
        seen = torch.cat([reads, *own, *hiddens[-1:]], dim=1)
        z = torch.addmm(x_part, seen, layer.weights[spec.input_size :])
        if isinstance(layer.gain, Tensor):
            z = _layer_norm(z, layer.gain, layer.bias)
        if spec.controller == "lstm":
            after.append(_lstm(layer, z, before))
            hiddens.append(after[-1].hidden)
        else:
            hiddens.append(torch.tanh(z))
            after.append(RNNState(hiddens[-1]) if spec.controller == "rnn" else ())
    return torch.cat(hiddens, dim=1), tuple(after)


def _lstm(params: Any, z: Tensor, before: LSTMState) -> LSTMState:
    """i, f, g, o from z (B, 4 H); c = f c + i g, h = o tanh(c), with layer norm of c if the layer has it."""
    i, f, g, o = z.chunk(4, dim=1)
    cell = torch.sigmoid(f) * before.cell + torch.sigmoid(i) * torch.tanh(g)
    output_cell = cell
    if isinstance(params.cell_gain, Tensor):
        output_cell = _layer_norm(cell, params.cell_gain, params.cell_bias)
    return LSTMState(torch.sigmoid(o) * torch.tanh(output_cell), cell)


def _layer_norm(z: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Layer norm over the last axis. Centred first: torch's own is less exact where two numbers are about equal."""
    centred = z - z.mean(-1, keepdim=True)
    return gain * centred / (centred.square().mean(-1, keepdim=True) + EPSILON).sqrt() + bias
