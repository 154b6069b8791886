"""What every engine asks of its arguments, in one place, so that a wrong shape is named and not guessed at."""

from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Inputs, zero_params, zero_state
from numdnc.spec import Spec
from numdnc.tree import leaves, named_leaves


def check_arguments(spec: Spec, params: Any, inputs: Inputs, state: Any) -> None:
    """Raise UserError unless params, inputs and state fit the spec, each other's batch and one float dtype."""
    dtype = leaves(params)[0].dtype
    symbols = np.issubdtype(inputs.dtype, np.integer)
    expected = f"(T, B) of integers or (T, B, {spec.input_size})"
    if inputs.ndim != (2 if symbols else 3) or (not symbols and inputs.shape[2] != spec.input_size):
        raise UserError(f"inputs must have shape {expected}, got {inputs.shape} of {inputs.dtype}.")
    if not symbols and inputs.dtype != dtype:
        raise UserError(
            f"inputs must be {dtype} like the parameters, got {inputs.dtype}. Convert one of them."
        )
    if symbols and inputs.size and (inputs.min() < 0 or inputs.max() >= spec.input_size):
        raise UserError(
            f"integer inputs must lie in 0..{spec.input_size - 1}, got {inputs.min()}..{inputs.max()}."
        )
    _check_tree("params", zero_params(spec, dtype), params)
    _check_tree("state", zero_state(spec, inputs.shape[1], dtype), state)


def _check_tree(owner: str, expected: Any, given: Any) -> None:
    wanted, got = dict(named_leaves(expected)), dict(named_leaves(given))
    if wanted.keys() != got.keys():
        raise UserError(
            f"{owner} must hold {', '.join(wanted)}, got {', '.join(got)}. Make them for this spec."
        )
    for name, array in wanted.items():
        if got[name].shape != array.shape or got[name].dtype != array.dtype:
            raise UserError(
                f"{owner}.{name} must be {array.shape} of {array.dtype}, got {got[name].shape} of {got[name].dtype}."
            )
