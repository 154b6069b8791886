"""The modules. Axes: T steps, B batch, X input, Y output, H hidden."""

import dataclasses
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from numdnc.engines import Engine, select_engine
from numdnc.engines.torch import model
from numdnc.errors import UserError
from numdnc.init import Start, init_params
from numdnc.nn.arrays import compute
from numdnc.nn.checks import check_input, check_state, checked_lengths, is_symbols
from numdnc.nn.states import first_state, over_packed
from numdnc.params import zero_params
from numdnc.spec import ControllerKind, DNCSpec, LSTMSpec, RNNSpec, Spec
from numdnc.tree import from_named, map_leaves, named_leaves

_ARRAYS: dict[Any, Any] = {torch.float32: np.float32, torch.float64: np.float64}
"""The dtypes in which engines of arrays compute."""


class _Part(nn.Module):
    """Parameters that lie under one name."""

    def extra_repr(self) -> str:
        """Names and shapes."""
        return ", ".join(f"{name}={tuple(p.shape)}" for name, p in self.named_parameters(recurse=False))


class _Recurrent(nn.Module):
    """What the three modules share. Parameters have the names that checkpoints use: `controller.0.weights`, ..

    batch_first: padded input and its output are (B, T, ..); a state has its batch first in any case. engine: how it is
    computed: auto (`cpu` on the CPU in float32 and float64, else `torch`), or an engine's name. start, input_scale and
    seed: how parameters start, see `numdnc.init_params`; without a seed torch's generator settles them.
    """

    def __init__(
        self,
        spec: Spec,
        batch_first: bool,
        engine: str,
        start: Start,
        input_scale: float,
        seed: int | None,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.batch_first = batch_first
        self.engine = engine
        self.start: Start = start
        self.input_scale = input_scale
        self.origin: dict[str, Any] | None = None
        """What the run was that the parameters came from, if any: `numdnc export --to run` makes another of it."""
        blank = zero_params(spec)
        for name, leaf in named_leaves(blank):
            *path, last = name.split(".")
            part: Any = self
            for step in path:
                if not hasattr(part, step):
                    part.add_module(step, _Part())
                part = getattr(part, step)
            part.register_parameter(last, nn.Parameter(torch.empty(leaf.shape, device=device, dtype=dtype)))
        self._names = from_named(blank, {name: name for name, _ in named_leaves(blank)})
        self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw the parameters as `numdnc.init_params` does, from a seed or else from torch's generator."""
        if seed is None:
            seed = int(torch.randint(2**62, (), device="cpu").item())
        dtype = _ARRAYS.get(self._like().dtype, np.float32)
        drawn = init_params(self.spec, seed, dtype, self.start, self.input_scale)
        with torch.no_grad():
            map_leaves(lambda p, array: p.copy_(torch.from_numpy(array)), self.params(), drawn)

    def params(self) -> Any:
        """The parameters as the tree that engines take, with tensors as its leaves."""
        return map_leaves(lambda name: attrgetter(name)(self), self._names)

    def extra_repr(self) -> str:
        """Sizes, and what is not the paper's model or the default."""
        given = {field.name: (getattr(self.spec, field.name), field.default) for field in _fields(self.spec)}
        given |= {"batch_first": (self.batch_first, False), "engine": (self.engine, "auto")}
        return ", ".join(f"{name}={value!r}" for name, (value, default) in given.items() if value != default)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 (torch's name)
        state: Any = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Any, Any]:
        """Output (T, B, Y), or as the input is, and the state after the last step.

        input: (T, B, X), with batch_first (B, T, X), without a batch (T, X), or a PackedSequence of (.., X); integers
        without the last axis mean one-hot rows. lengths (B,), from 1 to T: what lies beyond a row's length is not
        looked at, its output there is 0 and its state is that at its end. state: as an earlier call returned it, a tree
        of tensors (`numdnc.params.DNCState` or `RecurrentState`) with the batch as the first axis, if there is one;
        None for where sequences start. Under autocast all is computed in the dtype of the parameters. UserError says
        what does not fit.
        """
        like = self._like()
        kind = like.device.type
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            return self._forward(input, state, lengths)
        with torch.autocast(kind, enabled=False):
            state = None if state is None else map_leaves(lambda leaf: _restored(leaf, like.dtype), state)
            return self._forward(_restored(input, like.dtype), state, lengths)

    def _forward(self, given: Any, state: Any, lengths: Any) -> tuple[Any, Any]:
        like, packed = self._like(), isinstance(given, PackedSequence)
        if packed:
            check_input(self.spec, given.data, ("rows",), like)
            if lengths is not None:
                raise UserError("lengths must be None with a PackedSequence, which holds them, got some.")
            return over_packed(self._run, given, self._state_of((int(given.batch_sizes[0]),), state))
        names = ("B, T", "T") if self.batch_first else ("T, B", "T")
        batched = check_input(self.spec, given, names, like) == 2
        if not batched:
            if lengths is not None:
                raise UserError("lengths must be None for input without a batch, got some. Cut the input.")
            state = map_leaves(lambda leaf: leaf[None], self._state_of((), state))
            output, state = self._run(given[:, None], state)
            return output[:, 0], map_leaves(lambda leaf: leaf[0], state)
        inputs = given.transpose(0, 1) if self.batch_first else given
        T, B = inputs.shape[:2]
        state = self._state_of((B,), state)
        if lengths is None or not B:
            output, state = self._run(inputs, state)
        else:
            cut = pack_padded_sequence(inputs, checked_lengths(lengths, T, B), enforce_sorted=False)
            cut, state = over_packed(self._run, cut, state)
            output, _ = pad_packed_sequence(cut, total_length=T)
        return output.transpose(0, 1) if self.batch_first else output, state

    def _run(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Outputs (T, B, Y) and the state after of sequences (T, B, ..) that are all of one length."""
        spec, params, like = self.spec, self.params(), self._like()
        T, B = inputs.shape[:2]
        if not T:
            return like.new_zeros(0, B, spec.output_size), state
        if is_symbols(inputs):
            inputs = inputs.long()
        mask = None
        if isinstance(spec, DNCSpec):
            # A learned start acts through the state alone: where one is carried on, it has no gradient, not even 0.
            params = params._replace(initial=map_leaves(lambda leaf: leaf.detach(), params.initial))
            if self.training and spec.bypass_dropout:
                mask = nn.functional.dropout(like.new_ones(T, B, spec.hidden_total), spec.bypass_dropout)
        engine = self._engine_of_arrays()
        if engine is None:
            return model.forward(spec, params, inputs, state, mask)
        return compute(engine, spec, params, inputs, state, mask)

    def _engine_of_arrays(self) -> Engine | None:
        """The engine of NumPy arrays that computes; None where torch's own operations do."""
        like = self._like()
        fits = like.device.type == "cpu" and like.dtype in _ARRAYS
        if self.engine == "torch" or (self.engine == "auto" and not fits):
            return None
        if not fits:
            raise UserError(
                f"parameters must be of float32 or float64 on the CPU for the engine {self.engine}, "
                f"got {like.dtype} on {like.device}. Take the engine auto or torch."
            )
        return select_engine(self.engine, self.spec, _ARRAYS[like.dtype])

    def _like(self) -> Tensor:
        """One of the parameters, for their dtype and device."""
        return attrgetter("output.bias")(self)

    def _state_of(self, rows: tuple[int, ...], state: Any) -> Any:
        """The state given, checked; where none is, that in which sequences start. rows: (B,), or ()."""
        like = self._like()
        if state is not None:
            check_state(self.spec, state, rows, like)
            return state
        initial = getattr(self.params(), "initial", ())
        if rows:
            return first_state(self.spec, initial, rows[0], like)
        return map_leaves(lambda leaf: leaf[0], first_state(self.spec, initial, 1, like))


class _WithoutMemory(_Recurrent):
    """RNN and LSTM take the same arguments."""

    _spec: ClassVar[type[RNNSpec | LSTMSpec]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        output_size: int,
        *,
        num_layers: int = 1,
        batch_first: bool = False,
        engine: str = "auto",
        start: Start = "plain",
        input_scale: float = 1.0,
        seed: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = _layers(hidden_size, num_layers)
        spec = self._spec(input_size=input_size, output_size=output_size, hidden_sizes=sizes)
        super().__init__(spec, batch_first, engine, start, input_scale, seed, device, dtype)


class RNN(_WithoutMemory):
    """A deep tanh network with recurrence and the skip connections of the paper's controller, and a linear output.

    hidden_size: H, or one for each layer. The other arguments are those of `_Recurrent`; see docs/torch.md.
    """

    _spec = RNNSpec


class LSTM(_WithoutMemory):
    """A deep LSTM with the skip connections of the paper's controller, and a linear output; arguments as for `RNN`."""

    _spec = LSTMSpec


class DNC(_Recurrent):
    """A Differentiable Neural Computer (Graves et al. 2016); variations as in `numdnc.DNCSpec`, the rest as for `RNN`.

    bypass_dropout acts in training mode only; its masks are torch's.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        output_size: int,
        *,
        num_layers: int = 1,
        memory_size: int = DNCSpec.memory_size,
        word_size: int = DNCSpec.word_size,
        read_heads: int = DNCSpec.read_heads,
        controller: ControllerKind = DNCSpec.controller,
        masking: bool = DNCSpec.masking,
        mask_floor: float = DNCSpec.mask_floor,
        deallocation: bool = DNCSpec.deallocation,
        sharpness: bool = DNCSpec.sharpness,
        links: bool = DNCSpec.links,
        normalisation: bool = DNCSpec.normalisation,
        bypass_dropout: float = DNCSpec.bypass_dropout,
        learned_state: bool = DNCSpec.learned_state,
        batch_first: bool = False,
        engine: str = "auto",
        start: Start = "plain",
        input_scale: float = 1.0,
        seed: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        spec = DNCSpec(
            input_size=input_size,
            output_size=output_size,
            hidden_sizes=_layers(hidden_size, num_layers),
            controller=controller,
            memory_size=memory_size,
            word_size=word_size,
            read_heads=read_heads,
            masking=masking,
            mask_floor=mask_floor,
            deallocation=deallocation,
            sharpness=sharpness,
            links=links,
            normalisation=normalisation,
            bypass_dropout=bypass_dropout,
            learned_state=learned_state,
        )
        super().__init__(spec, batch_first, engine, start, input_scale, seed, device, dtype)


Module = RNN | LSTM | DNC

_MODULES: dict[type[Spec], type[Module]] = {RNNSpec: RNN, LSTMSpec: LSTM, DNCSpec: DNC}


def module_for(spec: Spec, **options: Any) -> Module:
    """The module of a spec; options are those that are no field of it."""
    fields = {field.name: getattr(spec, field.name) for field in _fields(spec)}
    return _MODULES[type(spec)](hidden_size=fields.pop("hidden_sizes"), **fields, **options)


def _fields(spec: Spec) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(spec)


def _layers(hidden_size: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """H of each layer."""
    if isinstance(hidden_size, Sequence):
        if num_layers not in (1, len(hidden_size)):
            raise UserError(
                f"num_layers must be left out where hidden_size gives each layer's, got {num_layers} for {hidden_size}."
            )
        return tuple(hidden_size)
    if not isinstance(num_layers, int) or num_layers < 1:
        raise UserError(f"num_layers must be a whole number of at least 1, got {num_layers!r}.")
    return (hidden_size,) * num_layers


def _restored(given: Any, dtype: Any) -> Any:
    """What autocast has made half as precise, in the dtype of the parameters; all else as it is."""
    if isinstance(given, PackedSequence):
        return given._replace(data=_restored(given.data, dtype))
    if isinstance(given, Tensor) and given.dtype in (torch.float16, torch.bfloat16):
        return given.to(dtype)
    return given
