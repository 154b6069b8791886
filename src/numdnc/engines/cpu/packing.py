"""Parameters in the layout that kernels use. X input, H hidden, C pre-activations of a layer, T steps, B batch."""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.types import Controller, InterfaceParams
from numdnc.engines.cpu.plans import Plan
from numdnc.engines.cpu.threads import matmul
from numdnc.params import Array, Inputs
from numdnc.spec import Spec


def pack_controller(
    spec: Spec, plan: Plan, params: Any, inputs: Inputs, controller: Controller, threads: int
) -> Controller:
    """Pack the weights of all layers, and compute the contribution of each input to their pre-activations.

    For symbols that is a row of the weights; for vectors it is a row of their product, made of all steps at once.
    """
    X, layers = spec.input_size, params.controller
    symbols = inputs.ndim == 2
    products = []
    for layer, (_, _, C, _, _, _, first, product) in zip(layers, plan.layers.tolist(), strict=True):
        _pack_rows(controller.weights[first:], layer.weights[X:])
        if not symbols:
            x = inputs.reshape(-1, X)
            found = controller.input_products[product : product + len(x) * C].reshape(-1, C)
            products.append((found, x, layer.weights[:X]))
    if products:
        matmul(threads, *products)
    if symbols:
        controller = controller._replace(
            input_products=_concatenate([layer.weights[:X].reshape(-1) for layer in layers])
        )
    return controller._replace(
        layers=plan.layers,
        bias=_concatenate([layer.bias for layer in layers]),
        gain=_concatenate_if_any(layers, "gain"),
        cell_gain=_concatenate_if_any(layers, "cell_gain"),
        cell_bias=_concatenate_if_any(layers, "cell_bias"),
        input_rows=_for_kernels(inputs, np.int64) if symbols else plan.input_rows,
    )


def pack_interface(plan: Plan, params: Any, interface: InterfaceParams) -> InterfaceParams:
    """Pack the interface's parameters, with the positions of its parts."""
    bias, gain = _for_kernels(params.bias), params.gain
    gain = bias[:0] if isinstance(gain, tuple) else _for_kernels(gain)
    _pack_rows(interface.weights.reshape(-1), params.weights)
    return interface._replace(bias=bias, gain=gain, spans=plan.spans, offsets=plan.offsets)


def _pack_rows(flat: Array, rows: Array) -> None:
    """Copy rows (K, C) into flat memory, each padded with zeros to the width that `padded` gives."""
    K, C = rows.shape
    width = padded(C, flat)
    found = flat[: K * width].reshape(K, width)
    found[:, :C] = rows
    found[:, C:] = 0


def _concatenate(parts: list[Array]) -> Array:
    return _for_kernels(parts[0]) if len(parts) == 1 else np.concatenate(parts)


def _concatenate_if_any(layers: Any, name: str) -> Array:
    parts: list[Any] = [getattr(layer, name, ()) for layer in layers]
    return np.empty(0, layers[0].bias.dtype) if isinstance(parts[0], tuple) else _concatenate(parts)


def _for_kernels(array: Array, dtype: Any = None) -> Array:
    """The array contiguous and writeable: for a read-only one, Numba would compile the kernels again."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable and dtype in (None, array.dtype):
        return array
    return np.require(array, dtype, ["C", "W"])
