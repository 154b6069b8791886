"""Matrix products over all steps at once, outside the recurrence: the outputs and the gradients of all weights.

X input, Y output, H hidden of all layers, K what a layer sees but for the input, C its pre-activations. Rows are the
steps of all sequences, T B of them.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.sequence import add_to_rows
from numdnc.engines.cpu.kernels.types import Controller, ControllerGradient, ControllerTape
from numdnc.engines.cpu.threads import Product
from numdnc.params import Affine, Array, Inputs, LayerParams, LSTMParams
from numdnc.spec import Spec


class Outputs:
    """y = [h_all ; reads] W + b; hidden (rows, H), reads (rows, R W)."""

    def __init__(self, params: Affine, hidden: Array, reads: Array) -> None:
        H = hidden.shape[1]
        self._bias = params.bias
        self._found = np.empty((len(hidden), len(params.bias)), hidden.dtype)
        self.products: list[Product] = [(self._found, hidden, params.weights[:H])]
        if reads.shape[1]:
            self.products.append((np.empty_like(self._found), reads, params.weights[H:]))

    def sum(self) -> Array:
        """The outputs (rows, Y), once the products have been computed."""
        for more, _, _ in self.products[1:]:
            self._found += more
        self._found += self._bias
        return self._found


def outputs_backward(
    params: Affine,
    hidden: Array,
    reads: Array,
    d_outputs: Array,
    d_hidden: Array,
    d_reads: Array,
) -> tuple[Affine, list[Product]]:
    """Gradients of the parameters, and the products that make them, d_hidden and d_reads."""
    H = hidden.shape[1]
    d_weights = np.empty_like(params.weights)
    products: list[Product] = [
        (d_weights[:H], hidden.T, d_outputs),
        (d_hidden, d_outputs, params.weights[:H].T),
    ]
    if reads.shape[1]:
        products.append((d_weights[H:], reads.T, d_outputs))
        products.append((d_reads, d_outputs, params.weights[H:].T))
    return Affine(d_weights, d_outputs.sum(axis=0)), products


class WeightGradients:
    """Gradients of every layer's parameters and of the inputs (T, B, X)."""

    def __init__(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        controller: Controller,
        tape: ControllerTape,
        gradient: ControllerGradient,
    ) -> None:
        X, (T, B) = spec.input_size, inputs.shape[:2]
        self._spec, self._params, self._inputs = spec, params, inputs
        self._controller, self._tape, self._gradient = controller, tape, gradient
        self._layers = controller.layers.tolist()
        x = inputs.reshape(T * B, X) if inputs.ndim == 3 else None
        self._weights = [np.empty_like(layer.weights) for layer in params]
        self._d_inputs: list[Array] = []
        self.products: list[Product] = []
        for layer, found, row in zip(params, self._weights, self._layers, strict=True):
            _, _, C, gate, K, part, _, _ = row
            d_z = gradient.gates[:, :, gate : gate + C].reshape(T * B, C)
            seen = tape.layer_inputs[:T, :, part : part + K].reshape(T * B, K)
            self.products.append((found[X:], seen.T, d_z))
            if x is not None:
                self._d_inputs.append(np.empty_like(x))
                self.products.append((found[:X], x.T, d_z))
                self.products.append((self._d_inputs[-1], d_z, layer.weights[:X].T))

    def all(self) -> tuple[tuple[LayerParams, ...], Array | None]:
        """All of them, once the products have been computed; of symbols there is none."""
        (T, B), X = self._inputs.shape[:2], self._spec.input_size
        found = []
        for layer, weights, row in zip(self._params, self._weights, self._layers, strict=True):
            H, unit, C, gate = row[:4]
            gates, units = slice(gate, gate + C), slice(unit, unit + H)
            found.append(_layer_gradient(layer, weights, gates, units, self._tape, self._gradient))
            if not self._d_inputs:
                weights[:X] = 0
                add_to_rows(
                    weights,
                    self._controller.input_rows.reshape(-1),
                    self._gradient.gates[:, :, gates].reshape(T * B, C),
                )
        if not self._d_inputs:
            return tuple(found), None
        return tuple(found), sum(self._d_inputs[1:], self._d_inputs[0]).reshape(T, B, X)


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
