"""Parameters in the layout that kernels use. X input, H hidden, C pre-activations of a layer, T steps, B batch."""

from typing import Any

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.types import Controller, InterfaceParams
from numdnc.engines.cpu.plans import Plan
from numdnc.engines.cpu.threads import Product
from numdnc.params import Affine, Array, Inputs
from numdnc.spec import Spec


def pack_controller(
    spec: Spec, plan: Plan, params: Any, inputs: Inputs, controller: Controller
) -> list[Product]:
    """Pack the parameters of all layers, and the contribution of each input to their pre-activations.

    For symbols that is a row of the weights; for vectors it is a row of a product of all steps, to be computed.
    """
    X, symbols = spec.input_size, inputs.ndim == 2
    controller.layers[:] = plan.layers
    controller.input_rows[:] = inputs if symbols else plan.input_rows
    products: list[Product] = []
    for layer, row in zip(params.controller, plan.layers.tolist(), strict=True):
        H, unit, C, gate, _, _, weight, table = row
        _pack_rows(controller.weights[weight:], layer.weights[X:])
        gates, units = slice(gate, gate + C), slice(unit, unit + H)
        controller.bias[gates] = layer.bias
        if plan.sizes.normalised_layers:
            controller.gain[gates] = layer.gain
            controller.cell_gain[units] = layer.cell_gain
            controller.cell_bias[units] = layer.cell_bias
        rows = X if symbols else inputs.shape[0] * inputs.shape[1]
        found = controller.input_products[table : table + rows * C].reshape(rows, C)
        if symbols:
            found[:] = layer.weights[:X]
        else:
            products.append((found, inputs.reshape(rows, X), layer.weights[:X]))
    return products


def pack_interface(plan: Plan, params: Affine, interface: InterfaceParams) -> None:
    """Pack the interface's parameters."""
    _pack_rows(interface.weights.reshape(-1), params.weights)
    interface.bias[:] = params.bias
    if plan.sizes.normalised:
        interface.gain[:] = params.gain
    interface.spans[:] = plan.spans


def _pack_rows(flat: Array, rows: Array) -> None:
    """Copy rows (K, C) into flat memory, each padded with zeros to the width that `padded` gives."""
    K, C = rows.shape
    width = padded(C, flat)
    found = flat[: K * width].reshape(K, width)
    found[:, :C] = rows
    found[:, C:] = 0
