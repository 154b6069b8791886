"""Products that do not wait for the recurrence: the outputs and every gradient of weights, of all steps at once.

X input, Y output, H hidden of all layers, K what a layer sees but for the input, C its pre-activations. Rows are the
steps of all sequences, T B of them.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.layout import Controller, ControllerGradient, ControllerTape
from numdnc.engines.cpu.kernels.sequence import add_to_rows
from numdnc.engines.cpu.threads import multiply
from numdnc.params import Affine, Array, Inputs, LayerParams, LSTMParams
from numdnc.spec import Spec


def outputs(threads: int, params: Affine, hidden: Array, reads: Array) -> Array:
    """y = [h_all ; reads] W + b; hidden (rows, H), reads (rows, R W)."""
    H, dtype = hidden.shape[1], hidden.dtype
    found, more = np.empty((2, len(hidden), len(params.bias)), dtype)
    multiply(threads, (found, hidden, params.weights[:H]), (more, reads, params.weights[H:]))
    found += more
    found += params.bias
    return found


def outputs_backward(
    threads: int, params: Affine, hidden: Array, reads: Array, d_outputs: Array
) -> tuple[Affine, Array, Array]:
    """Gradients by parameters, hidden and reads; d_outputs (rows, Y)."""
    H = hidden.shape[1]
    d_weights, d_hidden, d_reads = np.empty_like(params.weights), np.empty_like(hidden), np.empty_like(reads)
    multiply(
        threads,
        (d_weights[:H], hidden.T, d_outputs),
        (d_weights[H:], reads.T, d_outputs),
        (d_hidden, d_outputs, params.weights[:H].T),
        (d_reads, d_outputs, params.weights[H:].T),
    )
    return Affine(d_weights, d_outputs.sum(axis=0)), d_hidden, d_reads


def interface_gradient(
    threads: int, params: Affine, hidden: Array, d_xi: Array, d_out: Array, standard: Array
) -> Affine:
    """Gradients by the interface's parameters; d_xi (rows, I) by the product, the others as `_bias_and_gain` says."""
    d_weights = np.empty_like(params.weights)
    multiply(threads, (d_weights, hidden.T, d_xi))
    return Affine(d_weights, *_bias_and_gain(params.gain, d_xi, d_out, standard))


def layer_gradients(
    threads: int,
    spec: Spec,
    params: Any,
    inputs: Inputs,
    controller: Controller,
    tape: ControllerTape,
    gradient: ControllerGradient,
) -> tuple[tuple[LayerParams, ...], Array | None]:
    """Gradients by every layer's parameters and by the inputs (T, B, X), None for symbols."""
    X, (T, B) = spec.input_size, inputs.shape[:2]
    vectors = not np.issubdtype(inputs.dtype, np.integer)
    d_inputs = np.zeros((T * B, X), gradient.gates.dtype) if vectors else None
    found: list[LayerParams] = []
    for layer, (H, unit, C, gate, K, part, _, _) in zip(params, controller.layers, strict=True):
        gates, units = slice(gate, gate + C), slice(unit, unit + H)
        d_z = gradient.gates[:, :, gates].reshape(T * B, C)
        seen = tape.parts[:T, :, part : part + K].reshape(T * B, K)
        d_weights = np.empty_like(layer.weights)
        products = [(d_weights[X:], seen.T, d_z)]
        if d_inputs is not None:
            d_here = np.empty_like(d_inputs)
            products.append((d_weights[:X], inputs.reshape(T * B, X).T, d_z))
            products.append((d_here, d_z, layer.weights[:X].T))
        multiply(threads, *products)
        if d_inputs is not None:
            d_inputs += d_here
        else:
            d_weights[:X] = 0
            add_to_rows(d_weights, controller.rows.reshape(-1), d_z)
        bias, gain = _bias_and_gain(
            layer.gain, d_z, gradient.gates_out[:, :, gates], tape.standard[:T, :, gates]
        )
        if isinstance(layer, LSTMParams):
            d_cell = gradient.cell_out[:, :, units]
            cell_bias, cell_gain = _bias_and_gain(
                layer.cell_gain, d_cell, d_cell, tape.cell_standard[:T, :, units]
            )
            absent = isinstance(cell_gain, tuple)
            found.append(LSTMParams(d_weights, bias, gain, cell_gain, () if absent else cell_bias))
        else:
            found.append(Affine(d_weights, bias, gain))
    return tuple(found), None if d_inputs is None else d_inputs.reshape(T, B, X)


def _bias_and_gain(gain: Any, d_z: Array, d_out: Array, standard: Array) -> tuple[Array, Any]:
    """Gradients by bias and gain: from d_z (rows, C), or with layer norm from that by its result d_out (T, B, C)."""
    if isinstance(gain, tuple):
        return d_z.sum(axis=0), ()
    return d_out.sum(axis=(0, 1)), (d_out * standard).sum(axis=(0, 1))
