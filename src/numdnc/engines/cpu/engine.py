"""The engine `cpu`: products of whole sequences by BLAS, the recurrence by kernels, on every core."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from numdnc.engines.check import check_backward, check_forward
from numdnc.engines.cpu import layout, sequence, teams
from numdnc.engines.cpu.arrays import padded
from numdnc.errors import UserError
from numdnc.params import (
    Affine,
    Array,
    DNCParams,
    DNCState,
    Inputs,
    LSTMParams,
    LSTMState,
    RecurrentParams,
    RecurrentState,
    RNNState,
)
from numdnc.spec import GATES, DNCSpec, Spec
from numdnc.tree import map_leaves, zeros_like

_KINDS = {"lstm": layout.LSTM, "rnn": layout.RNN, "feedforward": layout.FEEDFORWARD}
_STRIDE = 4
"""Steps that are run again for a single step backward, at most: less than this."""


class Tape(NamedTuple):
    """What the backward pass needs of a sequence."""

    inputs: Inputs
    sizes: layout.Sizes
    controller: layout.Controller
    interface: Any
    controller_tape: layout.ControllerTape
    memory_tape: Any
    bypass_mask: Any


class CPUEngine:
    """As fast as a processor allows."""

    name = "cpu"

    def __init__(self, threads: int = 2, together: bool | None = None) -> None:
        self.threads = threads
        self.together = together

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Every model, in float32 and float64."""
        return None if np.dtype(dtype) in (np.float32, np.float64) else f"dtype {np.dtype(dtype)} is not a float32 or 64"

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
    ) -> tuple[Array, Any, Any]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask)
        params = map_leaves(np.ascontiguousarray, params)
        T, B = inputs.shape[:2]
        dtype = params.output.bias.dtype
        sizes = _sizes(spec, T, keep_tape)
        controller = _controller(spec, params, inputs)
        tape = _controller_tape(spec, sizes, T, B, dtype, state)
        memory = isinstance(spec, DNCSpec)
        layers = controller.layers
        widest = padded(max(int(layers[:, 2].max()), spec.interface_size if memory else 0), params.output.bias)
        interface, memory_tape = None, None
        if memory:
            interface = _interface(spec, params)
            memory_tape = _memory_tape(spec, sizes, T, B, dtype, state)
            scratch = layout.Scratch(
                np.empty((self.threads, B * widest), dtype),
                np.empty((B, spec.memory_size), np.int32),
                _padded_link(state.link) if spec.links else np.empty((0, 0, 0), dtype),
                np.empty((self.threads, B, spec.read_heads, spec.memory_size), dtype),
            )
            self._run(
                spec, B, sequence.dnc_forward, sizes, controller, interface, tape, memory_tape, scratch
            )
            reads = memory_tape.reads[1:].reshape(T, B, spec.reads_size)
        else:
            products = np.empty((self.threads, B * widest), dtype)
            reads = np.empty((T + 1, B, 0), dtype)
            self._run(spec, B, sequence.recurrent_forward, sizes, controller, tape, reads, products)
            reads = reads[1:]
        outputs = _outputs(spec, params, tape.hidden[1:], reads, bypass_mask)
        after = _state_after(spec, sizes, tape, memory_tape, scratch.link if memory else None)
        if not keep_tape:
            return outputs, after, None
        return outputs, after, Tape(inputs, sizes, controller, interface, tape, memory_tape, bypass_mask)

    def _run(self, spec: Spec, batch: int, kernel: Any, *arguments: Any) -> None:
        slots = spec.memory_size if isinstance(spec, DNCSpec) else 0
        barrier = np.zeros(teams.BARRIER_SIZE, np.int64)
        together = batch < self.threads if self.together is None else self.together
        run_on(self.threads, kernel, arguments, teams.places(batch, slots, self.threads, together, barrier))

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        if tape is None:
            raise UserError("backward must be given a tape, got None. Call forward with keep_tape=True.")
        T, B = tape.inputs.shape[:2]
        check_backward(spec, params, T, B, d_outputs, d_state)
        params = map_leaves(np.ascontiguousarray, params)
        dtype = params.output.bias.dtype
        sizes, hidden = tape.sizes, tape.controller_tape.hidden[1:]
        memory = isinstance(spec, DNCSpec)
        d2 = d_outputs.reshape(T * B, spec.output_size)
        bypass = hidden if tape.bypass_mask is None else hidden * tape.bypass_mask
        H = spec.hidden_total
        d_out_w = np.empty_like(params.output.weights)
        hidden_out = np.empty((T, B, H), dtype)
        multiply(self.threads, (d_out_w[:H], bypass.reshape(T * B, H).T, d2), (hidden_out.reshape(T * B, H), d2, params.output.weights[:H].T))
        if tape.bypass_mask is not None:
            hidden_out *= tape.bypass_mask
        layers = tape.controller.layers
        by_controller = _controller_gradient(spec, sizes, layers, T, B, dtype, hidden_out, d_state, self.threads)
        if memory:
            RW = spec.reads_size
            reads_out = np.empty((T, B, spec.read_heads, spec.word_size), dtype)
            multiply(self.threads, (d_out_w[H:], tape.memory_tape.reads[1:].reshape(T * B, RW).T, d2),
               (reads_out.reshape(T * B, RW), d2, params.output.weights[H:].T))
            gradient = _memory_gradient(spec, sizes, T, B, dtype, reads_out, d_state, self.threads)
            self._run(
                spec,
                B,
                sequence.dnc_backward,
                sizes,
                tape.controller,
                tape.interface,
                tape.controller_tape,
                tape.memory_tape,
                by_controller,
                gradient,
            )
        else:
            self._run(
                spec, B, sequence.recurrent_backward, sizes, tape.controller, tape.controller_tape, by_controller
            )
        d_output = Affine(d_out_w, d2.sum(axis=0), ())
        d_layers, d_inputs = _layer_gradients(spec, params, tape, by_controller, self.threads)
        d_controller_state = tuple(
            _layer_state(spec, unit, H, by_controller.hidden, by_controller.cell) for H, unit in layers[:, :2]
        )
        if not memory:
            return RecurrentParams(d_layers, d_output), d_inputs, RecurrentState(d_controller_state)
        d_xi = gradient.interface.reshape(T * B, -1)
        d_i = np.empty_like(params.interface.weights)
        multiply(self.threads, (d_i, hidden.reshape(T * B, H).T, d_xi))
        d_interface = Affine(
            d_i,
            *_bias_and_gain(gradient.interface_out, tape.memory_tape.interface_standard, d_xi, spec.normalisation),
        )
        absent = () if not spec.links else None
        d_before = DNCState(
            d_controller_state,
            np.ascontiguousarray(gradient.memory.swapaxes(1, 2)),
            gradient.usage,
            absent if absent is not None else gradient.precedence,
            absent if absent is not None else np.ascontiguousarray(gradient.link[:, :, :spec.memory_size]),
            gradient.write_weights,
            gradient.read_weights,
            by_controller.reads.reshape(B, spec.read_heads, spec.word_size),
        )
        return DNCParams(d_layers, d_interface, d_output, zeros_like(params.initial)), d_inputs, d_before


def multiply(threads: int, *products: Any) -> None:
    """out = a b of each (out, a, b); every thread does its rows of all."""
    def part(thread: int) -> None:
        for out, a, b in products:
            first, last = len(out) * thread // threads, len(out) * (thread + 1) // threads
            np.matmul(a[first:last], b, out=out[first:last])
    if threads == 1:
        part(0)
        return
    with _blas().limit(limits=1):
        others = [_POOL.submit(part, thread) for thread in range(1, threads)]
        part(0)
        for other in others:
            other.result()


from functools import cache
@cache
def _blas():
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController().select(user_api="blas")


def run_on(threads: int, kernel: Any, arguments: Any, places: Any) -> None:
    if threads == 1:
        kernel(*arguments, places[0])
        return
    others = [_POOL.submit(kernel, *arguments, place) for place in places[1:]]
    kernel(*arguments, places[0])
    for other in others:
        other.result()


from concurrent.futures import ThreadPoolExecutor

_POOL = ThreadPoolExecutor(1)


def _sizes(spec: Spec, T: int, keep_tape: bool) -> layout.Sizes:
    kept = (T + 1, max(T, 1)) if keep_tape else (2, 1)
    segment = _STRIDE * max(1, round((T / _STRIDE) ** 0.5))
    common = (T, *kept, _KINDS[spec.controller], int(spec.normalisation), spec.reads_size)
    if not isinstance(spec, DNCSpec):
        return layout.Sizes(*common)
    return layout.Sizes(
        *common,
        spec.memory_size,
        spec.word_size,
        spec.read_heads,
        int(spec.links),
        int(spec.masking),
        int(spec.deallocation),
        int(spec.sharpness),
        spec.mask_floor,
        segment,
        _STRIDE,
    )


def _controller(spec: Spec, params: Any, inputs: Inputs) -> layout.Controller:
    X, (T, B) = spec.input_size, inputs.shape[:2]
    symbols = np.issubdtype(inputs.dtype, np.integer)
    dtype = params.output.bias.dtype
    x = None if symbols else np.ascontiguousarray(inputs).reshape(T * B, X)
    rows = np.ascontiguousarray(inputs, np.int64) if symbols else np.arange(T * B).reshape(T, B)
    layers, unit, gate, part, weight, table = [], 0, 0, 0, 0, 0
    weights, tables = [], []
    for size, layer in zip(spec.hidden_sizes, params.controller, strict=True):
        C = GATES[spec.controller] * size
        K = len(layer.weights) - X
        layers.append((size, unit, C, gate, K, part, weight, table))
        weights.append(_padded(layer.weights[X:]).ravel())
        tables.append((layer.weights[:X] if symbols else x @ layer.weights[:X]).ravel())
        unit, gate, part = unit + size, gate + C, part + K
        weight, table = weight + K * padded(C, layer.bias), table + tables[-1].size
    def side_by_side(name: str) -> Array:
        found = [getattr(layer, name) for layer in params.controller if not isinstance(getattr(layer, name, ()), tuple)]
        return np.concatenate(found) if found else np.empty(0, dtype)
    return layout.Controller(
        np.array(layers, np.int64),
        weights[0] if len(weights) == 1 else np.concatenate(weights),
        side_by_side("bias"),
        side_by_side("gain"),
        side_by_side("cell_gain"),
        side_by_side("cell_bias"),
        tables[0] if len(tables) == 1 else np.concatenate(tables),
        rows,
    )


def _padded(weights):
    found = np.zeros((len(weights), padded(weights.shape[1], weights)), weights.dtype)
    found[:, : weights.shape[1]] = weights
    return found


def _padded_link(link):
    B, N = link.shape[:2]
    found = np.zeros((B, N, padded(N, link)), link.dtype)
    found[:, :, :N] = link
    return found


def _interface(spec: DNCSpec, params: Any) -> layout.Interface:
    at, first = {}, 0
    for name, size in spec.interface_sizes.items():
        at[name] = first
        first += size
    p = params.interface
    gain = np.empty(0, p.bias.dtype) if isinstance(p.gain, tuple) else p.gain
    return layout.Interface(layout.InterfaceAt(**at), _padded(p.weights), p.bias, gain)


def _controller_tape(spec: Spec, sizes: layout.Sizes, T: int, B: int, dtype: Any, state: Any) -> layout.ControllerTape:
    S, D, H, L = sizes.kept_states, sizes.kept_steps, spec.hidden_total, len(spec.hidden_sizes)
    C = GATES[spec.controller] * H
    lstm = spec.controller == "lstm"
    own = 0 if spec.controller == "feedforward" else H
    P = L * spec.reads_size + own + sum(spec.hidden_sizes[:-1])
    def empty(*shape: int, there: bool = True) -> Array:
        return np.empty(shape if there else (0,) * len(shape), dtype)
    gates_normed = lstm and sizes.normalised
    hidden, cell = empty(T + 1, B, H), empty(S, B, H, there=lstm)
    unit = 0
    for layer, size in zip(state.controller, spec.hidden_sizes, strict=True):
        if layer:
            hidden[0, :, unit : unit + size] = layer.hidden
        if lstm:
            cell[0, :, unit : unit + size] = layer.cell
        unit += size
    return layout.ControllerTape(
        empty(D, B, P),
        empty(D, B, C),
        hidden,
        cell,
        empty(D, B, H, there=lstm),
        empty(D, B, C, there=gates_normed),
        empty(D, B, L, there=gates_normed),
        empty(D, B, H, there=gates_normed),
        empty(D, B, L, there=gates_normed),
    )


def _memory_tape(spec: DNCSpec, sizes: layout.Sizes, T: int, B: int, dtype: Any, state: DNCState) -> layout.MemoryTape:
    S, D = sizes.kept_states, sizes.kept_steps
    N, W, R, I = spec.memory_size, spec.word_size, spec.read_heads, spec.interface_size
    def empty(*shape: int, there: bool = True) -> Array:
        return np.empty(shape if there else (0,) * len(shape), dtype)
    kept = -(-T // sizes.segment) if S == T + 1 and spec.links else 0
    tape = layout.MemoryTape(
        empty(D, B, I),
        empty(D, B, I, there=spec.normalisation),
        empty(D, B, there=spec.normalisation),
        empty(S, B, W, N),
        empty(S, B, N),
        empty(S, B, N),
        empty(S, B, N, there=spec.links),
        empty(S, B, N),
        empty(S, B, R, N),
        empty(T + 1, B, R, W),
        empty(D, B, N),
        np.empty((D, B, N), np.int32),
        empty(D, B, N),
        empty(D, B, 1, N),
        empty(D, B, 1, N),
        empty(D, B, 1, N, there=spec.masking),
        empty(D, B, R, N),
        empty(D, B, R, N),
        empty(D, B, R, N, there=spec.masking),
        empty(D, B, R, N, there=spec.links),
        empty(D, B, R, N, there=spec.links),
        empty(D, B, R, N, there=spec.sharpness),
        empty(D, B, R, N, there=spec.sharpness),
        empty(kept, B, N, padded(N, state.memory), there=kept > 0),
    )
    tape.memory[0] = state.memory.swapaxes(1, 2)
    for name in ("usage", "write_weights", "read_weights", "reads") + (("precedence",) if spec.links else ()):
        getattr(tape, name)[0] = getattr(state, name)
    return tape


def _outputs(spec: Spec, params: Any, hidden: Array, reads: Array, mask: Array | None) -> Array:
    T, B = hidden.shape[:2]
    bypass = hidden if mask is None else hidden * mask
    H = spec.hidden_total
    outputs = bypass.reshape(T * B, H) @ params.output.weights[:H]
    if reads.shape[2]:
        outputs += reads.reshape(T * B, -1) @ params.output.weights[H:]
    outputs += params.output.bias
    return outputs.reshape(T, B, spec.output_size)


def _layer_state(spec: Spec, unit: int, H: int, hidden: Array, cell: Array) -> Any:
    if spec.controller == "feedforward":
        return ()
    own = hidden[:, unit : unit + H].copy()
    return LSTMState(own, cell[:, unit : unit + H].copy()) if spec.controller == "lstm" else RNNState(own)


def _state_after(spec: Spec, sizes: layout.Sizes, tape: Any, memory: Any, link: Any) -> Any:
    last = sizes.steps % sizes.kept_states
    layers, unit = [], 0
    for size in spec.hidden_sizes:
        layers.append(_layer_state(spec, unit, size, tape.hidden[-1], tape.cell[last] if len(tape.cell) else tape.cell))
        unit += size
    if memory is None:
        return RecurrentState(tuple(layers))
    return DNCState(
        tuple(layers),
        np.ascontiguousarray(memory.memory[last].swapaxes(1, 2)).copy(),
        memory.usage[last].copy(),
        memory.precedence[last].copy() if spec.links else (),
        np.ascontiguousarray(link[:, :, : spec.memory_size]) if spec.links else (),
        memory.write_weights[last].copy(),
        memory.read_weights[last].copy(),
        memory.reads[-1].copy(),
    )


def _controller_gradient(spec: Spec, sizes: Any, layers: Any, T: int, B: int, dtype: Any, hidden_out: Array, d_state: Any, threads: int) -> Any:
    H, G = spec.hidden_total, GATES[spec.controller] * spec.hidden_total
    lstm = spec.controller == "lstm"
    normed = lstm and sizes.normalised
    def empty(*shape: int, there: bool = True) -> Array:
        return np.empty(shape if there else (0,) * len(shape), dtype)
    hidden, cell = empty(B, H), empty(B, H, there=lstm)
    for layer, (size, unit) in zip(d_state.controller, layers[:, :2], strict=True):
        if layer:
            hidden[:, unit : unit + size] = layer.hidden
        if lstm:
            cell[:, unit : unit + size] = layer.cell
    reads = np.array(d_state.reads).reshape(B, -1) if isinstance(d_state, DNCState) else empty(B, 0)
    return layout.ControllerGradient(
        hidden_out,
        empty(T, B, G),
        empty(T, B, G, there=normed),
        empty(T, B, H, there=normed),
        hidden,
        cell,
        empty(B, H),
        reads,
        empty(threads, B * int(layers[:, 2].max())),
        empty(threads, B * int(layers[:, 4].max())),
    )


def _memory_gradient(spec: DNCSpec, sizes: Any, T: int, B: int, dtype: Any, reads_out: Array, d_state: Any, threads: int) -> Any:
    N, R, I = spec.memory_size, spec.read_heads, spec.interface_size
    def empty(*shape: int, there: bool = True) -> Array:
        return np.empty(shape if there else (0,) * len(shape), dtype)
    links = spec.links
    return layout.MemoryGradient(
        reads_out,
        empty(T, B, I),
        empty(T, B, I, there=spec.normalisation),
        np.ascontiguousarray(d_state.memory.swapaxes(1, 2)).copy(),
        np.array(d_state.usage),
        np.array(d_state.precedence) if links else empty(0, 0),
        _padded_link(d_state.link) if links else empty(0, 0, 0),
        np.array(d_state.write_weights),
        np.array(d_state.read_weights),
        empty(B, R, N),
        empty(B, R, N),
        empty(B, R, N, there=links),
        empty(B, R, N, there=links),
        empty(B, N),
        empty(B, 1, N),
        empty(B, N),
        empty(B, N),
        empty(B, N),
        empty(B, 2 * R, N, there=links),
        empty(B, N, 2 * R, there=links),
        empty(sizes.segment // sizes.stride, B, N, padded(N, reads_out), there=links),
        empty(threads, 2, 4, padded(N, reads_out)),
        empty(threads, B, R, N, there=links),
        empty(threads, 2, B, N, there=links),
        empty(threads, B, N, there=links),
    )


def _bias_and_gain(d_out: Array, standard: Array, d_z: Array, normalised: bool) -> tuple[Any, Any]:
    if not normalised:
        return d_z.sum(axis=0), ()
    return d_out.sum(axis=(0, 1)), (d_out * standard).sum(axis=(0, 1))


def _layer_gradients(spec: Spec, params: Any, tape: Tape, by: layout.ControllerGradient, threads: int) -> Any:
    T, B = tape.inputs.shape[:2]
    X = spec.input_size
    symbols = np.issubdtype(tape.inputs.dtype, np.integer)
    x = None if symbols else np.ascontiguousarray(tape.inputs).reshape(T * B, X)
    d_x = None if symbols else np.zeros((T * B, X), params.output.bias.dtype)
    found = []
    saved = tape.controller_tape
    normed = spec.controller == "lstm" and spec.normalisation
    for layer, (H, unit, C, gate, K, part, _, _) in zip(params.controller, tape.controller.layers, strict=True):
        d_z = by.gates[:, :, gate : gate + C].reshape(T * B, C)
        parts = saved.parts[:, :, part : part + K]
        parts = parts.reshape(-1, K)[: T * B]
        d_w = np.empty_like(layer.weights)
        if symbols:
            multiply(threads, (d_w[X:], parts.T, d_z))
            d_w[:X] = 0
            sequence.add_to_rows(d_w, tape.controller.rows.reshape(-1), d_z, 0, C)
        else:
            more = np.empty_like(d_x)
            multiply(threads, (d_w[X:], parts.T, d_z), (d_w[:X], x.T, d_z), (more, d_z, layer.weights[:X].T))
            d_x += more
        d_out = by.gates_out[:, :, gate : gate + C]
        d_bias, d_gain = _bias_and_gain(d_out, saved.standard[:T, :, gate : gate + C], d_z, normed)
        if isinstance(layer, LSTMParams):
            cells = ((), ())
            if normed:
                d_shown = by.cell_out[:, :, unit : unit + H]
                d_cell_bias, d_cell_gain = _bias_and_gain(d_shown, saved.cell_standard[:T, :, unit : unit + H], d_shown, True)
                cells = (d_cell_gain, d_cell_bias)
            found.append(LSTMParams(d_w, d_bias, d_gain, *cells))
        else:
            found.append(Affine(d_w, d_bias, d_gain))
    return tuple(found), None if symbols else d_x.reshape(T, B, X)


ENGINE = CPUEngine()
