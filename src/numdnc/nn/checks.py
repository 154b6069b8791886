"""Checks of the tensors that are passed to a module; the error names the one that is wrong.

`like` is a parameter of the module: everything must have its dtype and lie on its device.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from numdnc.engines import ENGINE_NAMES
from numdnc.errors import UserError
from numdnc.params import zero_state
from numdnc.spec import DNCSpec, Spec
from numdnc.tree import named_leaves

_EXACT = {torch.float16: 2048, torch.bfloat16: 256}
"""Up to which whole number all are exact in half precision."""


def is_symbols(tensor: Tensor) -> bool:
    """Whether these are integers, which mean one-hot rows."""
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def check_input(spec: Spec, given: Any, axes: tuple[str, ...], like: Tensor) -> int:
    """Return the number of axes before that of X; UserError unless shape (one of `axes`), dtype and device fit."""
    vectors = " or ".join(f"({each}, {spec.input_size})" for each in axes)
    wanted = f"{vectors} of {like.dtype}, or {' or '.join(f'({each})' for each in axes)} of integers, on {like.device}"
    if not isinstance(given, Tensor):
        raise UserError(f"input must be a tensor, {wanted}, got a {type(given).__name__}.")
    if given.layout != torch.strided or given.is_nested:
        raise UserError(
            f"input must be a dense tensor, got a nested or {given.layout} one. Give a padded batch its lengths, "
            "or call to_dense()."
        )
    symbols = is_symbols(given)
    before = given.dim() - (not symbols)
    fits = symbols or (before >= 0 and given.shape[-1] == spec.input_size and given.dtype == like.dtype)
    if before not in (each.count(",") + 1 for each in axes) or not fits or given.device != like.device:
        raise UserError(
            f"input must be {wanted}, got {tuple(given.shape)} of {given.dtype} on {given.device}. "
            "Dtype and device are those of the parameters: move one or the other by .to()."
        )
    return before


def check_arguments(engine: Any, device: Any, dtype: Any, seed: Any) -> None:
    """Raise UserError unless a module can be made with these."""
    if engine not in ENGINE_NAMES:
        raise UserError(f"engine must be one of {', '.join(ENGINE_NAMES)}, got {engine!r}.")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UserError(f"dtype must be a torch dtype of real numbers, such as torch.float32, got {dtype!r}.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"device must be one that torch has here, got {device!r}: {why}") from None
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 1 << 63):
        raise UserError(f"seed must be a whole number from 0 to 2^63 - 1, or None, got {seed!r}.")


def check_precision(spec: Spec, dtype: torch.dtype) -> None:
    """Raise UserError where numbers of slots and ages, which a sparse state holds, are not exact in this dtype."""
    if not isinstance(spec, DNCSpec) or spec.sparsity is None or dtype not in _EXACT:
        return
    most = _EXACT[dtype]
    if spec.recency or (spec.links and spec.memory_size > most):
        what = "no recency" if spec.recency else f"at most {most:,} slots"
        raise UserError(
            f"a sparse DNC in {dtype} must have {what}, since it counts exactly up to {most:,} alone, got "
            f"{'recency' if spec.recency else f'{spec.memory_size:,}'}. Keep its parameters in float32."
        )


def check_symbols(spec: Spec, symbols: Tensor) -> None:
    """Raise UserError unless every symbol is in 0..X - 1. Synchronises with the tensor's device."""
    if not symbols.numel():
        return
    least, most = (int(bound.item()) for bound in symbols.aminmax())
    if least < 0 or most >= spec.input_size:
        raise UserError(f"integer input must lie in 0..{spec.input_size - 1}, got {least}..{most}.")


def check_state(spec: Spec, given: Any, rows: tuple[int, ...], like: Tensor) -> None:
    """Raise UserError unless `given` is a state of this model; rows: (B,), or () without a batch."""
    blank = zero_state(spec, 0)
    wanted, got = dict(named_leaves(blank)), dict(named_leaves(given))
    if type(given) is not type(blank) or wanted.keys() != got.keys():
        raise UserError(
            f"state must be a {type(blank).__name__} of {', '.join(wanted)}, got a {type(given).__name__}"
            f"{' of ' + ', '.join(got) if isinstance(given, tuple) else ''}. "
            "Pass what an earlier call returned, or None."
        )
    for name, leaf in wanted.items():
        shape, tensor = (*rows, *leaf.shape[1:]), got[name]
        needed = f"{shape} of {like.dtype} on {like.device}"
        if not isinstance(tensor, Tensor):
            raise UserError(f"state.{name} must be a tensor {needed}, got a {type(tensor).__name__}.")
        if tensor.layout != torch.strided or tensor.is_nested:
            raise UserError(f"state.{name} must be a dense tensor, got a nested or {tensor.layout} one.")
        if tensor.shape != shape or tensor.dtype != like.dtype or tensor.device != like.device:
            raise UserError(
                f"state.{name} must be {needed}, got {tuple(tensor.shape)} of {tensor.dtype} on {tensor.device}. "
                "Dtype and device are those of the parameters."
            )


def checked_lengths(given: Tensor | Sequence[int], steps: int, batch: int) -> Tensor:
    """Return the lengths on the CPU; UserError unless each is a whole number from 0 to the number of steps."""
    wanted = f"lengths must be {batch} whole numbers from 0 to {steps}, one for each row"
    try:
        lengths = torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{wanted}, got {given!r}.") from None
    if not is_symbols(lengths) or lengths.shape != (batch,):
        raise UserError(f"{wanted}, got {tuple(lengths.shape)} of {lengths.dtype}.")
    if int(lengths.min()) < 0 or int(lengths.max()) > steps:
        raise UserError(f"{wanted}, got {int(lengths.min())}..{int(lengths.max())}.")
    return lengths.long()
