"""The modules. Axes: T steps, B batch, X input, Y output, H hidden, N slots, W word, R read heads, V write heads."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from numdnc.errors import UserError
from numdnc.init import InitScheme
from numdnc.model_options import ControllerKind, SecondMemory
from numdnc.nn.recurrent import Recurrent, fields_of
from numdnc.params import DNCState, NTMState, RecurrentState
from numdnc.spec import DNCSpec, LSTMSpec, NTMSpec, RNNSpec, Spec


class _WithoutMemory(Recurrent[RecurrentState[Tensor]]):
    """RNN and LSTM, which take the same arguments."""

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
        init_scheme: InitScheme = "plain",
        input_scale: float = 1.0,
        seed: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = _layers(hidden_size, num_layers)
        spec = self._spec(input_size=input_size, output_size=output_size, hidden_sizes=sizes)
        super().__init__(spec, batch_first, engine, init_scheme, input_scale, seed, device, dtype)


class RNN(_WithoutMemory):
    """A deep tanh network with recurrence and the skip connections of the paper's controller, and a linear output.

    Arguments, with their defaults:

        input_size: X, width of an input vector, or number of symbols if inputs are integers.
        hidden_size: H of each layer, or a tuple of one for each layer.
        output_size: Y, width of an output vector.
        num_layers: Number of layers; left out if hidden_size is a tuple. Every layer sees the input, and the output
            sees every layer. Default: 1.
        batch_first: Padded input and output are (B, T, ..), not (T, B, ..). States always have the batch first.
            Default: False.
        engine: "cpu", "gpu", "torch" or "reference"; "auto" is "cpu" for float32 and float64 on the CPU, "gpu" on a
            GPU if the extra `gpu` is installed and that engine has the model, else "torch"; "torch" under tracing,
            export and transforms of torch too. Default: "auto".
        init_scheme: How parameters are initialised, see `numdnc.init_params`. Default: "plain".
        input_scale: Factor of the initial weights of the inputs, see there. Default: 1.0.
        seed: Seed of the initial parameters; None takes one from torch's generator. Default: None.
        device, dtype: Those of the parameters, as in torch; None takes its defaults. Default: None.

    Called with input (T, B, X) it gives output (T, B, Y) and a `RecurrentState` whose `controller[layer].hidden` is
    (B, H); see `forward`.
    """

    _spec = RNNSpec


class LSTM(_WithoutMemory):
    """A deep LSTM with the skip connections of the paper's controller, and a linear output.

    Arguments, with their defaults:

        input_size: X, width of an input vector, or number of symbols if inputs are integers.
        hidden_size: H of each layer, or a tuple of one for each layer.
        output_size: Y, width of an output vector.
        num_layers: Number of layers; left out if hidden_size is a tuple. Every layer sees the input, and the output
            sees every layer. Default: 1.
        batch_first: Padded input and output are (B, T, ..), not (T, B, ..). States always have the batch first.
            Default: False.
        engine: "cpu", "gpu", "torch" or "reference"; "auto" is "cpu" for float32 and float64 on the CPU, "gpu" on a
            GPU if the extra `gpu` is installed and that engine has the model, else "torch"; "torch" under tracing,
            export and transforms of torch too. Default: "auto".
        init_scheme: How parameters are initialised, see `numdnc.init_params`. Default: "plain".
        input_scale: Factor of the initial weights of the inputs, see there. Default: 1.0.
        seed: Seed of the initial parameters; None takes one from torch's generator. Default: None.
        device, dtype: Those of the parameters, as in torch; None takes its defaults. Default: None.

    Called with input (T, B, X) it gives output (T, B, Y) and a `RecurrentState` whose `controller[layer].hidden` and
    `.cell` are (B, H); see `forward`.
    """

    _spec = LSTMSpec


class DNC(Recurrent[DNCState[Tensor]]):
    """A Differentiable Neural Computer (Graves et al. 2016), with the variations of `numdnc.DNCSpec`.

    Arguments, with their defaults:

        input_size: X, width of an input vector, or number of symbols if inputs are integers.
        hidden_size: H of each controller layer, or a tuple of one for each layer.
        output_size: Y, width of an output vector.
        num_layers: Number of controller layers; left out if hidden_size is a tuple. Every layer sees the input, and the
            output sees every layer. Default: 1.
        controller: The network that drives the memory: lstm, rnn or feedforward. Default: "lstm".
        memory_size: N, number of memory slots. Default: 16.
        word_size: W, numbers per slot. Default: 16.
        read_heads: R, number of read heads. Default: 1.
        write_heads: V, number of write heads. Default: 1.
        masking: Compare keys with the memory only in the columns that a learned mask lets through (Csordas and
            Schmidhuber 2019). Default: False.
        mask_floor: Weight of a column that is masked, in [0, 1]; needs masking. Default: 0.0.
        deallocation: Erase a slot when it is freed (Csordas and Schmidhuber 2019). Default: False.
        sharpness: Sharpen the forward and backward weightings by learned strengths (Csordas and Schmidhuber 2019);
            needs links. Default: False.
        links: Temporal links between slots; without them heads read by content alone (Franke, Niehues and Waibel 2018).
            Default: True.
        normalisation: Layer norm on the interface and in an LSTM controller (Franke, Niehues and Waibel 2018). Default:
            False.
        bypass_dropout: Share of the hidden values, in [0, 1), dropped in training on their way past the memory to the
            output (Franke, Niehues and Waibel 2018). Default: 0.0.
        learned_state: Learn the memory and the controller's state at the start of a sequence, from batches that begin
            sequences (of a text: the first window of an epoch). Default: False.
        sparsity: K, in 1..N: cut every read and write weighting to its K largest entries, and every row and column of
            the links (after Rae et al. 2016). A step then keeps no more for larger N, and passes over the memory
            once. Default: None.
        recency: Write to the least recently used slot or to where was read last, as SAM does (Rae et al. 2016); needs
            sparsity. With links it is SDNC. Default: False.
        bidirectional: Let memory and output also see a second LSTM, which reads the inputs from the last to the first
            (Franke, Niehues and Waibel 2018); for whole sequences only, so not for texts. Default: False.
        second_memory: Let heads of its own write to and read from a second memory, of the same size, after the first
            (MT-DNC 2025): `own` write vectors, or the product over heads of what the step `reads` from the first.
            Default: "none".
        instruction_slots: S: give the model a learned memory of this many words that is never written, from which each
            output reads by content the weights that it is made with (after ksluck/sl-dnhc). Default: None.
        batch_first: Padded input and output are (B, T, ..), not (T, B, ..). States always have the batch first.
            Default: False.
        engine: "cpu", "gpu", "torch" or "reference"; "auto" is "cpu" for float32 and float64 on the CPU, "gpu" on a
            GPU if the extra `gpu` is installed and that engine has the model, else "torch"; "torch" under tracing,
            export and transforms of torch too. Default: "auto".
        init_scheme: How parameters are initialised, "plain" or "store" (the memory starts as a store), see
            `numdnc.init_params`. Default: "plain".
        input_scale: Factor of the initial weights of the inputs, see there. Default: 1.0.
        seed: Seed of the initial parameters; None takes one from torch's generator. Default: None.
        device, dtype: Those of the parameters, as in torch; None takes its defaults. Default: None.

    Called with input (T, B, X) it gives output (T, B, Y) and a `DNCState`: `memory` (B, N, W), `usage` (B, N),
    `link` (B, N, N), `precedence` (B, N), `write_weights` (B, N), `read_weights` (B, R, N), `reads` (B, R, W) and
    `controller[layer].hidden` and `.cell` (B, H); see `forward`. With sparsity `link_slots` and `link_values` (B, N, K)
    take the place of `link`, with recency `age` (B, N) that of `usage`. With several write heads `link`, `precedence`
    and `write_weights` have an axis of them after B. Of two memories all but the controller's have an axis of these
    after B.
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
        write_heads: int = DNCSpec.write_heads,
        controller: ControllerKind = DNCSpec.controller,
        masking: bool = DNCSpec.masking,
        mask_floor: float = DNCSpec.mask_floor,
        deallocation: bool = DNCSpec.deallocation,
        sharpness: bool = DNCSpec.sharpness,
        links: bool = DNCSpec.links,
        normalisation: bool = DNCSpec.normalisation,
        bypass_dropout: float = DNCSpec.bypass_dropout,
        learned_state: bool = DNCSpec.learned_state,
        sparsity: int | None = DNCSpec.sparsity,
        recency: bool = DNCSpec.recency,
        bidirectional: bool = DNCSpec.bidirectional,
        second_memory: SecondMemory = DNCSpec.second_memory,
        instruction_slots: int | None = DNCSpec.instruction_slots,
        batch_first: bool = False,
        engine: str = "auto",
        init_scheme: InitScheme = "plain",
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
            write_heads=write_heads,
            masking=masking,
            mask_floor=mask_floor,
            deallocation=deallocation,
            sharpness=sharpness,
            links=links,
            normalisation=normalisation,
            bypass_dropout=bypass_dropout,
            learned_state=learned_state,
            sparsity=sparsity,
            recency=recency,
            bidirectional=bidirectional,
            second_memory=second_memory,
            instruction_slots=instruction_slots,
        )
        super().__init__(spec, batch_first, engine, init_scheme, input_scale, seed, device, dtype)


class NTM(Recurrent[NTMState[Tensor]]):
    """A Neural Turing Machine (Graves et al. 2014).

    Arguments, with their defaults:

        input_size: X, width of an input vector, or number of symbols if inputs are integers.
        hidden_size: H of each controller layer, or a tuple of one for each layer.
        output_size: Y, width of an output vector.
        num_layers: Number of controller layers; left out if hidden_size is a tuple. Every layer sees the input, and the
            output sees every layer. Default: 1.
        controller: The network that drives the memory: lstm, rnn or feedforward. Default: "lstm".
        memory_size: N, number of memory slots. Default: 16.
        word_size: W, numbers per slot. Default: 16.
        read_heads: R, number of read heads. Default: 1.
        write_heads: V, number of write heads. Default: 1.
        shift_range: Largest shift of a head in one step, in slots; S = 2 shift_range + 1 shifts. Default: 1.
        learned_state: Learn the memory, what was read and the controller's state at the start of a sequence. Default:
            False.
        batch_first: Padded input and output are (B, T, ..), not (T, B, ..). States always have the batch first.
            Default: False.
        engine: "cpu", "gpu", "torch" or "reference"; "auto" is "cpu" for float32 and float64 on the CPU, "gpu" on a
            GPU if the extra `gpu` is installed and that engine has the model, else "torch"; "torch" under tracing,
            export and transforms of torch too. Default: "auto".
        init_scheme: How parameters are initialised, see `numdnc.init_params`. Default: "plain".
        input_scale: Factor of the initial weights of the inputs, see there. Default: 1.0.
        seed: Seed of the initial parameters; None takes one from torch's generator. Default: None.
        device, dtype: Those of the parameters, as in torch; None takes its defaults. Default: None.

    Called with input (T, B, X) it gives output (T, B, Y) and an `NTMState`: `memory` (B, N, W), `write_weights`
    (B, V, N), `read_weights` (B, R, N), `reads` (B, R, W) and `controller[layer].hidden` and `.cell` (B, H); see
    `forward`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        output_size: int,
        *,
        num_layers: int = 1,
        memory_size: int = NTMSpec.memory_size,
        word_size: int = NTMSpec.word_size,
        read_heads: int = NTMSpec.read_heads,
        controller: ControllerKind = NTMSpec.controller,
        write_heads: int = NTMSpec.write_heads,
        shift_range: int = NTMSpec.shift_range,
        learned_state: bool = NTMSpec.learned_state,
        batch_first: bool = False,
        engine: str = "auto",
        init_scheme: InitScheme = "plain",
        input_scale: float = 1.0,
        seed: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        spec = NTMSpec(
            input_size=input_size,
            output_size=output_size,
            hidden_sizes=_layers(hidden_size, num_layers),
            controller=controller,
            memory_size=memory_size,
            word_size=word_size,
            read_heads=read_heads,
            write_heads=write_heads,
            shift_range=shift_range,
            learned_state=learned_state,
        )
        super().__init__(spec, batch_first, engine, init_scheme, input_scale, seed, device, dtype)


Module = RNN | LSTM | DNC | NTM

_MODULES: dict[type[Spec], type[Module]] = {RNNSpec: RNN, LSTMSpec: LSTM, DNCSpec: DNC, NTMSpec: NTM}


def module_for(spec: Spec, **options: Any) -> Module:
    """Make the module of a spec; options are the arguments that are not fields of the spec."""
    fields = {field.name: getattr(spec, field.name) for field in fields_of(spec)}
    return _MODULES[type(spec)](hidden_size=fields.pop("hidden_sizes"), **fields, **options)


def _layers(hidden_size: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    """H of each layer, from the arguments of a module."""
    if isinstance(hidden_size, Sequence):
        if num_layers not in (1, len(hidden_size)):
            raise UserError(
                f"num_layers must be left out where hidden_size gives each layer's, got {num_layers} for {hidden_size}."
            )
        return tuple(hidden_size)
    if not isinstance(num_layers, int) or num_layers < 1:
        raise UserError(f"num_layers must be a whole number of at least 1, got {num_layers!r}.")
    return (hidden_size,) * num_layers
