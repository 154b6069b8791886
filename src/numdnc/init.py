"""Initial parameters and states, and dropout masks."""

from math import inf, sqrt
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from numdnc.errors import UserError, check_seed
from numdnc.params import Array, DNCParams, LearnedState, state_part_shapes, zero_params, zero_state
from numdnc.spec import DNCSpec, Spec
from numdnc.tree import from_named, map_leaves, named_leaves

InitScheme = Literal["plain", "store"]
"""How parameters are initialised, see `init_params`."""

STORE_BIASES: dict[str, float] = {
    "read_strengths": 6.0,
    "write_strength": 6.0,
    "write_gate": 2.0,
    "allocation_gate": 3.0,
    "free_gates": -4.0,
}
"""Biases of the interface, before activation, that make the memory a store."""
STORE_CONTENT_MODE = 3.0
"""The same of the content mode of each read head; the biases of its other modes are 0."""
NTM_MEMORY = 1e-6
"""Each number of an NTM's memory at the start of a sequence: best of those compared by Collier and Beel 2018."""
_MEMORY_NORM = 0.1
"""Norm of the words that a learned memory is initialised with."""


def init_params(
    spec: Spec,
    seed: int,
    dtype: DTypeLike = np.float32,
    init_scheme: InitScheme = "plain",
    input_scale: float = 1.0,
) -> Any:
    """Parameters drawn from `seed`; both dtypes get the same draws, rounded.

    plain: weights normal with variance 1 / rows, biases 0, gains 1, forget gates open by +1, so that an LSTM remembers
    from the first step (Gers et al. 2000; Jozefowicz et al. 2015). A learned start has hidden values and reads of 0 and
    a memory of random words about 0.1 long: too short to disturb what is written, too long for the cosine to be steep.

    store: the same, but biases of the interface make a DNC's memory an append-only store that is read by content.
    Strengths start at 1 + log(1 + e^6) = 7.0, the write gate at 0.88, the allocation gate at 0.95, free gates at 0.02,
    the content mode (with links of one write head) at 0.91: what is written goes to a free slot and stays, heads find
    what is like their key. It is for feed-forward controllers, and for an LSTM that reads stories; at recall an LSTM
    learned later with it, if at all (docs/results/learning.md, babi.md).

    The weights of the inputs are `input_scale` times as large as that. Variance 1 / rows is meant for numbers of
    variance 1; an input x of zeros and few ones is much shorter and all but drowned in the reads and hidden values.
    sqrt(rows / |x|^2) gives what it adds variance 1: some 5 for the labels of a graph, 20 for the words of a story.
    """
    check_seed(seed)
    if np.dtype(dtype).kind != "f":
        raise UserError(f"dtype must be one of real numbers, such as float32, got {np.dtype(dtype)}.")
    if not 0 < input_scale < inf:
        raise UserError(f"input_scale must be above 0 and finite, got {input_scale}.")
    if init_scheme not in get_args(InitScheme):
        raise UserError(f"init_scheme must be one of {', '.join(get_args(InitScheme))}, got {init_scheme!r}.")
    rng = np.random.default_rng(seed)

    def first(name: str, zeros: Any) -> Any:
        if zeros.ndim == 1 or name == "initial.reads":
            return zeros + zeros.dtype.type(name.endswith("gain"))
        shrink = sqrt(zeros.shape[1]) / _MEMORY_NORM if name == "initial.memory" else sqrt(zeros.shape[0])
        return (rng.standard_normal(zeros.shape) / shrink).astype(dtype)

    blank = zero_params(spec, dtype)
    params = from_named(blank, {name: first(name, zeros) for name, zeros in named_leaves(blank)})
    for layers in filter(None, (params.controller, getattr(params, "reverse_controller", ()))):
        for layer, size in zip(layers, spec.hidden_sizes, strict=True):
            layer.weights[: spec.input_size] *= layer.weights.dtype.type(input_scale)
            if spec.controller == "lstm":
                layer.bias[size : 2 * size] = 1
    if init_scheme == "store":
        _set_store_biases(spec, params)
    return params


def add_layers(spec: Spec, fresh: Any, trained: Any) -> Any:
    """Parameters that compute what those of a trained model with fewer layers do, with the missing ones from `fresh`.

    Every layer has rows of its own in the weights of interface and output. Those of the added layers, which lie on top
    of the others, are 0 until training changes them.
    """
    layers = len(trained.controller)
    sizes = spec.hidden_sizes
    rows = [sum(sizes[:layers])] * sum(sizes[layers:])
    seen: dict[str, Any] = {
        name: getattr(trained, name)._replace(
            weights=np.insert(getattr(trained, name).weights, rows, 0, axis=0)
        )
        for name in ("interface", "output")
        if hasattr(trained, name)
    }
    if getattr(trained, "initial", ()) and fresh.initial:
        states = (*trained.initial.controller, *fresh.initial.controller[layers:])
        seen["initial"] = trained.initial._replace(controller=states)
    return trained._replace(controller=(*trained.controller, *fresh.controller[layers:]), **seen)


def add_recurrence(spec: Spec, fresh: Any, trained: Any) -> Any:
    """Parameters for the controller rnn that compute what those of a trained feed-forward model do.

    A layer's weights of its own hidden values of the step before are 0 until training changes them.
    """
    outside = spec.input_size + spec.reads_size
    layers = tuple(
        layer._replace(weights=np.insert(layer.weights, [outside] * layer.bias.size, 0, axis=0))
        for layer in trained.controller
    )
    initial = trained.initial
    if initial and fresh.initial:
        initial = initial._replace(controller=fresh.initial.controller[: len(layers)])
    return trained._replace(controller=layers, initial=initial)


def add_output(trained: Any) -> Any:
    """Parameters that compute what those of a trained model do, and one more output, the last, which is 0."""
    output = trained.output
    return trained._replace(
        output=output._replace(
            weights=np.pad(output.weights, ((0, 0), (0, 1))), bias=np.pad(output.bias, (0, 1))
        )
    )


def drop_output(trained: Any) -> Any:
    """Parameters that compute what those of a trained model do, but for its last output."""
    output = trained.output
    return trained._replace(output=output._replace(weights=output.weights[:, :-1], bias=output.bias[:-1]))


def initial_state(spec: Spec, params: Any, batch: int) -> Any:
    """State in which the sequences of a batch start: zeros, `start_values`, and what the model has learned."""
    state = zero_state(spec, batch, params.output.bias.dtype)
    for name, values in start_values(spec).items():
        getattr(state, name)[...] = values
    if not spec.learned_state:
        return state
    if not params.initial:
        raise UserError(
            "params.initial must be present for a spec with learned_state, got none. "
            "Make the parameters for this spec."
        )

    def spread(learned: Any) -> Any:
        return np.repeat(learned[None], batch, axis=0)

    return with_learned(state, map_leaves(spread, params.initial))


def start_values(spec: Spec) -> dict[str, Array]:
    """Name of a part of the memory's state -> its values, without the batch axis, where sequences do not start at 0.

    The memory of an NTM starts at `NTM_MEMORY`, and every head at slot 0: if slots began alike in all, no head could
    ever tell one from another.
    """
    if spec.kind != "ntm":
        return {}
    parts = {name: np.zeros(shape) for name, shape in state_part_shapes(spec).items()}
    parts["memory"][...] = NTM_MEMORY
    for weights in ("write_weights", "read_weights"):
        parts[weights][:, 0] = 1
    return {name: parts[name] for name in ("memory", "write_weights", "read_weights")}


def with_learned(state: Any, learned: LearnedState) -> Any:
    """The state with the learned parts, which have the batch as their first axis, in place of its own."""
    parts = learned._asdict().items()
    replaced = {name: part for name, part in parts if name == "controller" or not isinstance(part, tuple)}
    return state._replace(**replaced)


def initial_state_backward(spec: Spec, d_params: Any, d_state: Any) -> Any:
    """Add the gradient through `initial_state`, summed over the batch, to the gradient with respect to parameters."""
    if not spec.learned_state:
        return d_params
    reads = d_state.reads if spec.kind == "ntm" else ()
    d_learned = map_leaves(lambda d: d.sum(axis=0), LearnedState(d_state.controller, d_state.memory, reads))
    return d_params._replace(initial=map_leaves(np.add, d_params.initial, d_learned))


def draw_bypass_mask(
    spec: Spec, steps: int, batch: int, rng: np.random.Generator, dtype: DTypeLike = np.float32
) -> Array | None:
    """Draw the `bypass_mask` (T, B, hidden_total) that training passes to `Engine.forward`; None without dropout.

    A factor is 0 with probability q = `spec.bypass_dropout`, else 1 / (1 - q). Its mean is 1, so that evaluation, which
    drops nothing, needs no rescaling (Srivastava et al. 2014; Franke, Niehues and Waibel 2018).
    """
    if not spec.bypass_dropout:
        return None
    passes = rng.random((steps, batch, spec.hidden_total)) >= spec.bypass_dropout
    mask: Array = passes.astype(dtype) / np.asarray(1 - spec.bypass_dropout, dtype)
    return mask


def _set_store_biases(spec: Spec, params: DNCParams) -> None:
    if not isinstance(spec, DNCSpec):
        raise UserError(
            f"init_scheme must be plain for a model other than a dnc, got store for a {spec.kind}."
        )
    V = spec.write_heads
    modes = np.repeat([0.0, STORE_CONTENT_MODE, 0.0], [V, 1, V])
    biases: dict[str, Any] = {**STORE_BIASES, "read_modes": modes}
    for name in biases.keys() & spec.interface_parts.keys():
        first = spec.interface_offsets[name]
        part = params.interface.bias[first : first + spec.interface_sizes[name]]
        part.reshape(spec.interface_shapes[name])[...] = biases[name]
