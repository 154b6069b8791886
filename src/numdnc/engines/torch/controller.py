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


def reverse_hidden(
    spec: Spec, params: tuple[Any, ...], inputs: Tensor, lengths: Tensor | None
) -> tuple[Tensor, ...]:
    """Hidden values (B, H) of the second direction at each step, 0 beyond a row's end; lengths (B,), None for T.

    inputs as for `input_part`. Each row is turned around, so that it begins with its last step and its padding is last.
    """
    T, B = inputs.shape[:2]
    if not T:
        return ()
    steps, rows = torch.arange(T, device=inputs.device)[:, None], torch.arange(B, device=inputs.device)
    mirrored = (T if lengths is None else lengths) - 1 - steps
    outside, mirrored = (mirrored < 0)[..., None], mirrored.clamp(min=0)
    turned = inputs[mirrored, rows]
    x_parts = [input_part(spec, layer, turned) for layer in params]
    nothing = x_parts[0].new_zeros(B, 0)
    state: Any = tuple(LSTMState(*x_parts[0].new_zeros(2, B, size)) for size in spec.hidden_sizes)
    hiddens = []
    for parts in zip(*[part.unbind(0) for part in x_parts], strict=True):
        hidden, state = controller_step(spec, params, parts, nothing, state)
        hiddens.append(hidden)
    return tuple(torch.stack(hiddens)[mirrored, rows].masked_fill(outside, 0).unbind(0))


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
