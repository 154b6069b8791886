"""Matrix products over all steps at once, outside the recurrence: the outputs and the gradients of all weights.

X input, Y output, H hidden of all layers, K what a layer sees but for the input, C its pre-activations. Rows are the
steps of all sequences, T B of them.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.sequence import add_to_rows
from numdnc.engines.cpu.kernels.types import Controller, ControllerGradient, ControllerTape
from numdnc.engines.cpu.threads import matmul
from numdnc.params import Affine, Array, Inputs, LayerParams, LSTMParams
from numdnc.spec import Spec


def outputs(threads: int, params: Affine, hidden: Array, reads: Array) -> Array:
    """y = [h_all ; reads] W + b; hidden (rows, H), reads (rows, R W)."""
    H = hidden.shape[1]
    found = np.empty((len(hidden), len(params.bias)), hidden.dtype)
    if not reads.shape[1]:
        matmul(threads, (found, hidden, params.weights))
    else:
        more = np.empty_like(found)
        matmul(threads, (found, hidden, params.weights[:H]), (more, reads, params.weights[H:]))
        found += more
    found += params.bias
    return found


def outputs_backward(
    threads: int,
    params: Affine,
    hidden: Array,
    reads: Array,
    d_outputs: Array,
    d_hidden: Array,
    d_reads: Array,
) -> Affine:
    """Return the gradients of the parameters; write those of hidden and reads into d_hidden and d_reads."""
    H = hidden.shape[1]
    d_weights = np.empty_like(params.weights)
    products = [(d_weights[:H], hidden.T, d_outputs), (d_hidden, d_outputs, params.weights[:H].T)]
    if reads.shape[1]:
        products.append((d_weights[H:], reads.T, d_outputs))
        products.append((d_reads, d_outputs, params.weights[H:].T))
    matmul(threads, *products)
    return Affine(d_weights, d_outputs.sum(axis=0))


def weight_gradients(
    threads: int,
    spec: Spec,
    params: Any,
    inputs: Inputs,
    controller: Controller,
    tape: ControllerTape,
    gradient: ControllerGradient,
    interface: tuple[Array, Array, Array] | None,
) -> tuple[tuple[LayerParams, ...], Array | None]:
    """Gradients of every layer's parameters and of the inputs (T, B, X), None for symbols.

    `interface`, if any, is one more product to compute with the others: threads are slow to wake.
    """
    X, (T, B) = spec.input_size, inputs.shape[:2]
    vectors = not np.issubdtype(inputs.dtype, np.integer)
    x = inputs.reshape(T * B, X) if vectors else None
    products = [] if interface is None else [interface]
    d_weights, d_inputs = [], []
    for layer, (_, _, C, gate, K, part, _, _) in zip(params, controller.layers.tolist(), strict=True):
        d_z = gradient.gates[:, :, gate : gate + C].reshape(T * B, C)
        seen = tape.layer_inputs[:T, :, part : part + K].reshape(T * B, K)
        d_weights.append(np.empty_like(layer.weights))
        products.append((d_weights[-1][X:], seen.T, d_z))
        if x is not None:
            d_inputs.append(np.empty_like(x))
            products.append((d_weights[-1][:X], x.T, d_z))
            products.append((d_inputs[-1], d_z, layer.weights[:X].T))
    matmul(threads, *products)
    found = []
    for layer, found_weights, row in zip(params, d_weights, controller.layers.tolist(), strict=True):
        H, unit, C, gate = row[:4]
        found.append(
            _layer_gradient(
                layer, found_weights, slice(gate, gate + C), slice(unit, unit + H), tape, gradient
            )
        )
        if x is None:
            found_weights[:X] = 0
            add_to_rows(
                found_weights,
                controller.input_rows.reshape(-1),
                gradient.gates[:, :, gate : gate + C].reshape(T * B, C),
            )
    return tuple(found), sum(d_inputs[1:], d_inputs[0]).reshape(T, B, X) if x is not None else None


def _layer_gradient(
    layer: LayerParams,
    d_weights: Array,
    gates: slice,
    units: slice,
    tape: ControllerTape,
    gradient: ControllerGradient,
) -> LayerParams:
    """The gradient of one layer, given that of its weights; gates and units are its columns."""
    steps = len(gradient.gates)
    d_z, standard = gradient.gates[:, :, gates], tape.standard[:steps, :, gates]
    bias, gain = bias_and_gain(layer.gain, d_z, gradient.gates_out[:, :, gates], standard)
    if not isinstance(layer, LSTMParams):
        return Affine(d_weights, bias, gain)
    d_cell, standard = gradient.cell_out[:, :, units], tape.cell_standard[:steps, :, units]
    cell_bias, cell_gain = bias_and_gain(layer.cell_gain, d_cell, d_cell, standard)
    absent = isinstance(cell_gain, tuple)
    return LSTMParams(d_weights, bias, gain, cell_gain, () if absent else cell_bias)


def bias_and_gain(gain: Any, d_z: Array, d_out: Array, standard: Array) -> tuple[Array, Any]:
    """Gradients of bias and gain: from d_z (T, B, C), or with layer norm from that of its result, d_out (T, B, C)."""
    if isinstance(gain, tuple):
        return d_z.sum(axis=(0, 1)), ()
    return d_out.sum(axis=(0, 1)), (d_out * standard).sum(axis=(0, 1))
