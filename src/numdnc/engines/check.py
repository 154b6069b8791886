"""Checks of the arguments of every engine; the error names the argument that is wrong."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numdnc.engines.check_sparse import check_sparse_state
from numdnc.errors import UserError
from numdnc.params import zero_params, zero_state
from numdnc.spec import Spec
from numdnc.tree import named_leaves

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def refuse_dtype(dtype: DTypeLike) -> str | None:
    """Return the reason why an engine of float32 and float64 cannot compute in this dtype, or None."""
    return None if np.dtype(dtype) in _FLOATS else f"dtype {np.dtype(dtype)} is not a float32 or 64"


def check_forward(
    spec: Spec, params: Any, inputs: Any, state: Any, bypass_mask: Any, lengths: Any = None
) -> None:
    """Raise UserError unless all arguments fit the spec and agree in steps, batch and float dtype."""
    dtype = _float_dtype(params)
    _check_tree("params", _expected_params(spec, dtype), params)
    symbols = isinstance(inputs, np.ndarray) and inputs.dtype.kind in "iu"
    if not symbols or inputs.ndim != 2:
        _check_vectors(spec, dtype, inputs)
    if symbols and inputs.size and _out_of_range(inputs, spec.input_size):
        raise UserError(
            f"integer inputs must lie in 0..{spec.input_size - 1}, got {inputs.min()}..{inputs.max()}."
        )
    _check_tree("state", _expected_state(spec, inputs.shape[1], dtype), state)
    if spec.sparsity is not None:
        check_sparse_state(spec, state)
    if bypass_mask is not None:
        if not spec.bypass_dropout:
            raise UserError(
                "bypass_mask must be None for a model without bypass dropout, got one. Set DNCSpec.bypass_dropout."
            )
        _check_leaf("bypass_mask", (*inputs.shape[:2], spec.hidden_total), dtype, bypass_mask)
    if lengths is not None:
        _check_lengths(len(inputs), inputs.shape[1], lengths)


def check_tape(engine: str, kind: type[Any], spec: Spec, tape: Any) -> None:
    """Raise UserError unless the tape is from a forward pass of this engine and spec; `kind` is its class of tapes."""
    if tape is None:
        raise UserError("backward must be given a tape, got None. Call forward with keep_tape=True.")
    if not isinstance(tape, kind):
        raise UserError(
            f"backward of the engine {engine} must be given a tape of its own forward, "
            f"got a {type(tape).__name__} of {type(tape).__module__}. Call both of the same engine."
        )
    if tape.spec != spec:
        raise UserError(
            f"backward must be given a tape of the same model, {spec}, got one of {tape.spec}. "
            "Call it with the spec that forward was called with."
        )


def check_backward(spec: Spec, params: Any, steps: int, batch: int, d_outputs: Any, d_state: Any) -> None:
    """Raise UserError unless params and gradients have the shapes and dtype of this many steps and this batch."""
    dtype = _float_dtype(params)
    _check_tree("params", _expected_params(spec, dtype), params)
    _check_leaf("d_outputs", (steps, batch, spec.output_size), dtype, d_outputs)
    _check_tree("d_state", _expected_state(spec, batch, dtype), d_state)


def _check_lengths(steps: int, batch: int, lengths: Any) -> None:
    wanted = f"lengths must be an array ({batch},) of integers from 0 to {steps}"
    if not isinstance(lengths, np.ndarray):
        raise UserError(f"{wanted}, got a {type(lengths).__name__}.")
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise UserError(f"{wanted}, got {lengths.shape} of {lengths.dtype}.")
    if batch and (lengths.min() < 0 or lengths.max() > steps):
        raise UserError(f"{wanted}, got {lengths.min()}..{lengths.max()}.")


def _check_vectors(spec: Spec, dtype: np.dtype[Any], inputs: Any) -> None:
    expected = f"(T, B) of integers or (T, B, {spec.input_size}) of {dtype}"
    if not isinstance(inputs, np.ndarray):
        raise UserError(f"inputs must be an array {expected}, got a {type(inputs).__name__}.")
    if inputs.ndim != 3 or inputs.shape[2] != spec.input_size or inputs.dtype != dtype:
        raise UserError(f"inputs must be {expected}, got {inputs.shape} of {inputs.dtype}.")


_expected_params = lru_cache(maxsize=8)(zero_params)
_expected_state = lru_cache(maxsize=8)(zero_state)
"""Trees of the right shapes. Their values are never read, so they take no physical memory."""


def _float_dtype(params: Any) -> np.dtype[Any]:
    """Dtype of the parameters; float32 if there are none, which `_check_tree` then reports."""
    first = _first_leaf(params)
    if not isinstance(first, np.ndarray):
        return _FLOATS[0]
    if first.dtype not in _FLOATS:
        raise UserError(f"params must be of float32 or float64, got {first.dtype}.")
    dtype: np.dtype[Any] = first.dtype
    return dtype


def _first_leaf(tree: Any) -> Any:
    """First leaf of a tree, or None."""
    if not isinstance(tree, tuple):
        return tree
    return next((leaf for branch in tree if (leaf := _first_leaf(branch)) is not None), None)


def _out_of_range(symbols: Any, count: int) -> bool:
    """Whether a symbol is not in 0..count - 1. As unsigned integers, negative ones are larger than all others."""
    return bool(symbols.view(symbols.dtype.str.replace("i", "u")).max() >= count)


def _check_tree(owner: str, expected: Any, given: Any) -> None:
    if _alike(expected, given):
        return
    wanted, got = dict(named_leaves(expected)), dict(named_leaves(given))
    if wanted.keys() != got.keys() or _branches(expected) != _branches(given):
        held = "None" if given is None else f"{', '.join(got) or 'no array'} in {_branches(given)} tuples"
        raise UserError(
            f"{owner} must hold {', '.join(wanted) or 'no array'} in {_branches(expected)} tuples, got {held}. "
            "Make them for this spec."
        )
    for name, array in wanted.items():
        _check_leaf(f"{owner}.{name}", array.shape, array.dtype, got[name])


def _alike(expected: Any, given: Any) -> bool:
    """Whether every node of a tree has the type of the expected one, and its length or its shape and dtype."""
    if type(given) is not type(expected):
        return False
    if isinstance(expected, tuple):
        return len(expected) == len(given) and all(map(_alike, expected, given))
    return bool(expected.shape == given.shape and expected.dtype == given.dtype)


def _check_leaf(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], given: Any) -> None:
    if not isinstance(given, np.ndarray):
        raise UserError(f"{name} must be an array {shape} of {dtype}, got a {type(given).__name__}.")
    if given.shape != shape or given.dtype != dtype:
        raise UserError(f"{name} must be {shape} of {dtype}, got {given.shape} of {given.dtype}.")


def _branches(tree: Any) -> int:
    """Number of tuples in a tree, those without arrays included."""
    return 1 + sum(map(_branches, tree)) if isinstance(tree, tuple) else 0
