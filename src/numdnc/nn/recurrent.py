"""Base class of the modules: parameters, checks, choice of the engine.

Axes: T steps, B batch, X input, Y output, H hidden.
"""

import dataclasses
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from numdnc.engines.check_sparse import check_sparse_state
from numdnc.engines.torch import model
from numdnc.errors import UserError
from numdnc.init import InitScheme, init_params
from numdnc.nn import gpu
from numdnc.nn.checks import (
    check_arguments,
    check_input,
    check_precision,
    check_state,
    check_symbols,
    checked_lengths,
    is_symbols,
)
from numdnc.nn.operators import DTYPES, describe, run_engine
from numdnc.nn.recorders import OPAQUE, find_recorder, refuse_lengths, refuse_symbolic_trace
from numdnc.nn.states import (
    initial_state,
    over_lengths,
    over_packed,
    over_whole_packed,
    over_whole_rows,
)
from numdnc.params import zero_params
from numdnc.spec import DNCSpec, Spec
from numdnc.tree import from_named, leaves, map_leaves, named_leaves

_SIZES = ("hidden_sizes", "memory_size", "word_size", "read_heads")
State = TypeVar("State")
"""`DNCState[Tensor]`, `NTMState[Tensor]` or `RecurrentState[Tensor]`."""


class _ParameterGroup(nn.Module):
    """Parameters with a common prefix of their names."""

    def extra_repr(self) -> str:
        """Names and shapes."""
        return ", ".join(f"{name}={tuple(p.shape)}" for name, p in self.named_parameters(recurse=False))


class Recurrent(nn.Module, Generic[State]):
    """Base class of the modules. Parameters have the names of checkpoints: `controller.0.weights`, .."""

    def __init__(
        self,
        spec: Spec,
        batch_first: bool,
        engine: str,
        init_scheme: InitScheme,
        input_scale: float,
        seed: int | None,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        check_arguments(engine, device, dtype, seed)
        self.spec = spec
        self._model = describe(spec)
        self.batch_first = bool(batch_first)
        self.engine = engine
        self.init_scheme: InitScheme = init_scheme
        self.input_scale = input_scale
        self.origin: dict[str, Any] | None = None
        """The run that the parameters came from, if any; `numdnc export --to run` makes a new run of it."""
        blank = zero_params(spec)
        for name, leaf in named_leaves(blank):
            *path, last = name.split(".")
            part: Any = self
            for step in path:
                if not hasattr(part, step):
                    part.add_module(step, _ParameterGroup())
                part = getattr(part, step)
            part.register_parameter(last, nn.Parameter(torch.empty(leaf.shape, device=device, dtype=dtype)))
        self._names = from_named(blank, {name: name for name, _ in named_leaves(blank)})
        self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw the parameters as `numdnc.init_params` does; without a seed, take one from torch's generator."""
        if seed is None:
            seed = int(torch.randint(2**62, (), device="cpu").item())
        dtype = DTYPES.get(self._like().dtype, np.float32)
        drawn = init_params(self.spec, seed, dtype, self.init_scheme, self.input_scale)
        with torch.no_grad():
            map_leaves(lambda p, array: p.copy_(torch.from_numpy(array)), self.params(), drawn)

    def __prepare_scriptable__(self) -> Any:
        """Raise UserError; `torch.jit.script` calls this."""
        raise UserError(
            f"torch.jit.script cannot read the code of numdnc.nn.{type(self).__name__}. "
            "Use torch.export, or torch.jit.trace, at a fixed number of steps."
        )

    def params(self) -> Any:
        """Return the parameters as a tree of tensors, as engines take them."""
        return map_leaves(lambda name: attrgetter(name)(self), self._names)

    def reset_rows(self, state: State, rows: Tensor) -> State:
        """Return the state with the initial state in some rows of the batch; rows (B,) of booleans, True where.

        UserError for rows of another shape or dtype.
        """
        first = next(iter(leaves(state)), None)
        batch = len(first) if isinstance(first, Tensor) and first.dim() else 0
        self._checked_state((batch,), () if state is None else state)
        if not isinstance(rows, Tensor) or rows.dtype != torch.bool or rows.shape != (batch,):
            got = f"{tuple(rows.shape)} of {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
            raise UserError(f"rows must be a tensor ({batch},) of booleans, got {got}.")

        def chosen(old: Tensor, new: Tensor) -> Tensor:
            return torch.where(rows.to(old.device).reshape(-1, *[1] * (old.dim() - 1)), new, old)

        return map_leaves(chosen, state, self._checked_state((batch,), None))

    def extra_repr(self) -> str:
        """Sizes, and arguments that are not the default."""
        given = {
            field.name: (getattr(self.spec, field.name), field.default) for field in fields_of(self.spec)
        }
        given |= {"batch_first": (self.batch_first, False), "engine": (self.engine, "auto")}
        shown = {
            name: value for name, (value, default) in given.items() if value != default or name in _SIZES
        }
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    @overload
    def forward(
        self,
        input: Tensor,
        state: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor, State]: ...

    @overload
    def forward(  # type: ignore[overload-cannot-match]  # to a checker without torch both are of any type
        self,
        input: PackedSequence,
        state: State | None = None,
        lengths: None = None,
    ) -> tuple[PackedSequence, State]: ...

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 (torch's name)
        state: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Output (T, B, Y), or as the input is, and the state after the last step.

        input: (T, B, X), with batch_first (B, T, X), without a batch (T, X), or a PackedSequence of (.., X); integers
            without the last axis mean one-hot rows.
        state: as an earlier call returned it, a state of `numdnc.params` (`DNCState`, ..) of tensors with the batch
            as the first axis, if there is one; None for the initial state, from which a bidirectional DNC must begin.
        lengths: (B,), each from 0 to T. Input beyond a row's length is ignored, its output there is 0 and its final
            state is that at its end; a row of length 0 keeps its state. A bidirectional DNC computes rows of equal
            length together.

        Results share no memory with arguments or parameters. Under autocast everything is computed in the dtype of the
        parameters. Invalid arguments raise `numdnc.UserError`.
        """
        like = self._like()
        refuse_symbolic_trace(like)
        kind = like.device.type
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            return self._forward(input, state, lengths)
        with torch.autocast(kind, enabled=False):
            state = None if state is None else map_leaves(lambda leaf: _as_dtype(leaf, like.dtype), state)
            return self._forward(_as_dtype(input, like.dtype), state, lengths)

    if TYPE_CHECKING:
        __call__ = forward

    def _forward(self, given: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
        like, packed = self._like(), isinstance(given, PackedSequence)
        if packed or lengths is not None:
            refuse_lengths()
        if packed:
            check_input(self.spec, given.data, ("rows",), like)
            if lengths is not None:
                raise UserError("lengths must be None with a PackedSequence, which holds them, got some.")
            state = self._checked_state((int(given.batch_sizes[0]),), state)
            if self.spec.bidirectional:
                return over_whole_packed(self._run, given, state)
            return over_packed(self._run, given, state)
        names = ("B, T", "T") if self.batch_first else ("T, B", "T")
        batched = check_input(self.spec, given, names, like) == 2
        if not batched:
            if lengths is not None:
                raise UserError("lengths must be None for input without a batch, got some. Cut the input.")
            state = map_leaves(lambda leaf: leaf[None], self._checked_state((), state))
            output, state = self._run(given[:, None], state)
            return output[:, 0], map_leaves(lambda leaf: leaf[0], state)
        inputs = given.transpose(0, 1) if self.batch_first else given
        T, B = inputs.shape[:2]
        state = self._checked_state((B,), state)
        if lengths is None or not B:
            output, state = self._run(inputs, state)
        else:
            over = over_whole_rows if self.spec.bidirectional else over_lengths
            output, state = over(self._run, inputs, checked_lengths(lengths, T, B), state)
        return output.transpose(0, 1) if self.batch_first else output, state

    def _run(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return outputs (T, B, Y) and final state of sequences (T, B, ..) of equal length."""
        spec, params, like = self.spec, self.params(), self._like()
        check_precision(spec, like.dtype)
        T, B = inputs.shape[:2]
        recorder = find_recorder([*leaves(params), inputs, *leaves(state)])
        if is_symbols(inputs):
            inputs = inputs.long()
            if like.device.type == "cpu" and not self._recorded(recorder):
                check_symbols(spec, inputs)
        mask = None
        if spec.learned_state:
            # A learned initial state acts through the state alone; with another state it has no gradient, not even 0.
            params = params._replace(initial=map_leaves(lambda leaf: leaf.detach(), params.initial))
        if self.training and spec.bypass_dropout:
            mask = nn.functional.dropout(like.new_ones(T, B, spec.hidden_total), spec.bypass_dropout)
        if T and self._uses_gpu(recorder):
            return gpu.run_gpu(spec, params, inputs, state, mask)
        if self._uses_torch(recorder) or not T:
            if isinstance(spec, DNCSpec) and spec.sparsity is not None and not self._recorded(recorder):
                check_sparse_state(spec, map_leaves(lambda leaf: leaf.detach().double().cpu().numpy(), state))
            return model.forward(spec, params, inputs, state, mask)
        return run_engine(self.engine, self._model, params, inputs, state, mask, self._recorded(recorder))

    @staticmethod
    def _recorded(recorder: str | None) -> bool:
        """Whether operations are recorded, whose values are not known yet."""
        return recorder is not None or torch.compiler.is_compiling()

    def _uses_gpu(self, recorder: str | None) -> bool:
        """Whether to compute with the engine `gpu`: asked for by name or, where it can, chosen for tensors on a GPU.

        UserError if it was asked for and cannot.
        """
        like, recorded = self._like(), self._recorded(recorder)
        if self.engine == "auto":
            found = like.is_cuda and like.dtype in DTYPES and not recorded
            return found and gpu.refusal(self.spec, like.device) is None
        if self.engine != "gpu":
            return False
        reason = gpu.refusal(self.spec, like.device)
        if like.dtype not in DTYPES:
            reason = f"parameters must be of float32 or float64, got {like.dtype}"
        if recorded:
            reason = f"{recorder or 'torch.compile'} must see every operation"
        if reason is not None:
            raise UserError(
                f"the engine gpu must be able to run this model, but {reason}. Take the engine auto or torch."
            )
        return True

    def _uses_torch(self, recorder: str | None) -> bool:
        """Whether to compute with torch's operations rather than an engine of NumPy arrays."""
        like = self._like()
        if self.engine == "torch":
            return True
        fits = like.device.type == "cpu" and like.dtype in DTYPES
        if self.engine == "auto":
            return not fits or recorder is not None
        if not fits:
            raise UserError(
                f"parameters must be of float32 or float64 on the CPU for the engine {self.engine}, "
                f"got {like.dtype} on {like.device}. Take the engine auto or torch."
            )
        if recorder in OPAQUE:
            raise UserError(
                f"the engine must be torch under {recorder}, which must see every operation, got {self.engine}. "
                "Make the module with engine='torch'."
            )
        return False

    def _like(self) -> Tensor:
        """One of the parameters, which all have the same dtype and device."""
        return attrgetter("output.bias")(self)

    def _checked_state(self, rows: tuple[int, ...], state: Any) -> Any:
        """Check and return a state, or make the initial one if it is None. rows: (B,), or ()."""
        like = self._like()
        if state is not None:
            if self.spec.bidirectional:
                raise UserError(
                    "state must be None for a bidirectional DNC, got one: its second direction begins at the last "
                    "step, so that a sequence cannot be computed in chunks. Pass whole sequences."
                )
            check_state(self.spec, state, rows, like)
            return state
        initial = getattr(self.params(), "initial", ())
        if rows:
            return initial_state(self.spec, initial, rows[0], like)
        return map_leaves(lambda leaf: leaf[0], initial_state(self.spec, initial, 1, like))


def fields_of(spec: Spec) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a spec, in order."""
    return dataclasses.fields(spec)


def _as_dtype(given: Any, dtype: Any) -> Any:
    """Cast what autocast has cast to half precision back to the dtype of the parameters."""
    if isinstance(given, PackedSequence):
        return given._replace(data=_as_dtype(given.data, dtype))
    if isinstance(given, Tensor) and given.dtype in (torch.float16, torch.bfloat16):
        return given.to(dtype)
    return given
