"""Forward and backward of a whole sequence on tensors: a launch, and products over all steps around it.

Axes: T steps, B sequences, X input, Y output, H hidden, N slots, W word, R read heads.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from numdnc.engines.gpu.declarations import Problem, fields
from numdnc.engines.gpu.plan import Plan, activation_codes
from numdnc.params import Affine, LSTMParams, LSTMState, RNNState, memory_state
from numdnc.spec import DNCSpec
from numdnc.tree import map_leaves


class Launcher(Protocol):
    """A device that runs the kernels."""

    threads: int
    """Of a block."""
    blocks: int
    """Blocks that run at the same time."""
    shared_bytes: int
    """Shared memory that a block may have."""

    def launch(
        self, kernel: str, spec: DNCSpec, like: Tensor, problem: Problem, blocks: int, shared_bytes: int
    ) -> None:
        """Run a kernel, `forward` or `backward`, in the dtype and on the device of a tensor."""
        ...


class Tape(NamedTuple):
    """Values saved for the backward pass, of at most as many sequences as a launch takes."""

    spec: DNCSpec
    inputs: Tensor
    mask: Tensor | None
    plan: Plan
    arrays: dict[str, Tensor]


def forward(
    launcher: Launcher,
    spec: DNCSpec,
    params: Any,
    inputs: Tensor,
    state: Any,
    mask: Tensor | None,
    *,
    keep_tape: bool,
) -> tuple[Tensor, Any, Tape | None]:
    """Outputs (T, B, Y), the state after the last step, and the tape; see `Engine.forward`. T and B are at least 1."""
    T, B = inputs.shape[:2]
    like = params.output.bias
    plan = Plan(spec, T, B, keep_tape, launcher.threads, launcher.shared_bytes // like.element_size())
    arrays = _arrays(plan, "forward", "Arrays", like)
    X = spec.input_size
    arrays["weights"] = torch.cat([layer.weights[X:].reshape(-1) for layer in params.controller])
    arrays["interface_weights"], arrays["interface_bias"] = (
        part.contiguous() for part in params.interface[:2]
    )
    arrays["activation"].copy_(torch.tensor(activation_codes(spec), dtype=torch.int32))
    arrays["arrived"].zero_()
    for layer, at in zip(params.controller, plan.layers, strict=True):
        rows = layer.weights[:X]
        product = inputs @ rows if inputs.is_floating_point() else rows[inputs]
        arrays["gates"][:, :, at["gate"] : at["gate"] + len(layer.bias)] = product + layer.bias
    for name, part in _controller_arrays(spec, state.controller).items():
        arrays[name][0] = part
    arrays["reads"][0] = state.reads
    arrays["memory"][0] = state.memory
    for name, view in _state_views(plan, arrays["records"][0]).items():
        view.copy_(getattr(state, name))
    if spec.links:
        arrays["link"].copy_(state.link)
    _launch(launcher, plan, "forward", like, arrays, {})
    hidden, reads = arrays["hidden"][1:], arrays["reads"][1:]
    bypass = hidden if mask is None else hidden * mask
    outputs = torch.cat([bypass, reads.flatten(2)], 2) @ params.output.weights + params.output.bias
    after = _state(
        plan,
        {name: arrays[name][-1] for name in ("hidden", "cell", "reads", "memory")}
        | {"link": arrays["link"]}
        | _state_views(plan, arrays["records"][-1]),
    )
    return outputs, after, Tape(spec, inputs, mask, plan, arrays) if keep_tape else None


def backward(
    launcher: Launcher, params: Any, tape: Tape, d_outputs: Tensor, d_state: Any
) -> tuple[Any, Tensor | None, Any]:
    """Gradients by params, inputs (None for symbols) and the state before the first step; see `Engine.backward`."""
    spec, plan, arrays = tape.spec, tape.plan, dict(tape.arrays)
    like, H = params.output.bias, spec.hidden_total
    gradient = _arrays(plan, "backward", "GradientArrays", like)
    arrays["outside"] = like.new_empty(plan.batch, plan.placed("backward")[0]["U"])
    arrays["arrived"] = torch.zeros_like(arrays["arrived"])
    d_seen = d_outputs @ params.output.weights.T
    d_hidden = d_seen[:, :, :H]
    gradient["hidden_out"].copy_(d_hidden if tape.mask is None else d_hidden * tape.mask)
    gradient["reads_out"].copy_(d_seen[:, :, H:].unflatten(2, (spec.read_heads, spec.word_size)))
    for name, part in _controller_arrays(spec, d_state.controller).items():
        gradient[name].copy_(part)
    for name in (
        "reads",
        "memory",
        *_state_views(plan, arrays["records"][0]),
        *(["link"] if spec.links else []),
    ):
        gradient[name].copy_(getattr(d_state, name))
    _launch(launcher, plan, "backward", like, arrays, gradient)
    d_params, d_inputs = _weight_gradients(params, tape, gradient, d_outputs)
    return d_params, d_inputs, _state(plan, gradient)


def _arrays(plan: Plan, kernel: str, struct: str, like: Tensor) -> dict[str, Tensor]:
    """Unset arrays of the fields of a struct; those of parameters are left out."""
    sizes = {**plan.sizes, **plan.placed(kernel)[0]}
    dtypes = {"real": like.dtype, "int": torch.int32, "unsigned": torch.int32}
    return {
        field.name: torch.empty(field.shape(sizes), dtype=dtypes[field.kind], device=like.device)
        for field in fields(struct)
        if field.name not in ("weights", "interface_weights", "interface_bias")
    }


def _launch(
    launcher: Launcher, plan: Plan, kernel: str, like: Tensor, arrays: dict[str, Tensor], gradient: Any
) -> None:
    problem, shared = plan.problem(kernel, arrays, gradient)
    blocks = plan.blocks(launcher.blocks)
    launcher.launch(kernel, plan.spec, like, problem, blocks, shared * like.element_size())


def _controller_arrays(spec: DNCSpec, state: Any) -> dict[str, Tensor]:
    """`hidden`, and `cell` of an LSTM, of all layers side by side; nothing without a state."""
    names = {"lstm": ("hidden", "cell"), "rnn": ("hidden",), "feedforward": ()}[spec.controller]
    return {name: torch.cat([getattr(layer, name) for layer in state], 1) for name in names}


def _state_views(plan: Plan, records: Tensor) -> dict[str, Tensor]:
    """The parts of the state that records (B, D) hold, as views."""
    names = ("usage", *(["precedence"] if plan.spec.links else []), "write_weights", "read_weights")
    places = plan.record_at()
    return {
        name: records[:, at : at + shape.numel()].unflatten(1, shape)
        for name in names
        for at, shape in [(places[name][0], torch.Size(places[name][1]))]
    }


def _state(plan: Plan, arrays: dict[str, Tensor]) -> Any:
    """The state, or its gradient, of arrays by name; copies."""
    spec = plan.spec
    slices = [slice(at["unit"], at["unit"] + at["units"]) for at in plan.layers]
    kinds: dict[str, Any] = {
        "lstm": lambda part: LSTMState(arrays["hidden"][:, part].clone(), arrays["cell"][:, part].clone()),
        "rnn": lambda part: RNNState(arrays["hidden"][:, part].clone()),
        "feedforward": lambda part: (),
    }
    names = ["memory", "usage", "write_weights", "read_weights", "reads"]
    names += ["precedence", "link"] if spec.links else []
    copies = {name: arrays[name].clone(memory_format=torch.contiguous_format) for name in names}
    return memory_state(spec, tuple(map(kinds[spec.controller], slices)), copies)


def _weight_gradients(
    params: Any, tape: Tape, gradient: dict[str, Tensor], d_outputs: Tensor
) -> tuple[Any, Tensor | None]:
    """Gradients of all parameters, and of the inputs: products over all steps at once."""
    spec, arrays, X = tape.spec, tape.arrays, tape.spec.input_size
    hidden, reads = arrays["hidden"], arrays["reads"].flatten(2)
    symbols = not tape.inputs.is_floating_point()
    # A product with one-hot rows adds up in the same order each time; index_add does not.
    x = functional.one_hot(tape.inputs, X).to(hidden.dtype) if symbols else tape.inputs
    bypass = hidden[1:] if tape.mask is None else hidden[1:] * tape.mask
    layers, d_inputs = [], torch.zeros_like(x)
    for layer, at in zip(params.controller, tape.plan.layers, strict=True):
        d_z = gradient["gates"][:, :, at["gate"] : at["gate"] + len(layer.bias)]
        own = hidden[:-1, :, at["unit"] : at["unit"] + at["units"]]
        below = hidden[1:, :, at["unit"] - at["below"] : at["unit"]]
        seen = [x, reads[:-1], *([own] if spec.controller != "feedforward" else []), below]
        kind = LSTMParams if spec.controller == "lstm" else Affine
        layers.append(kind(*_affine_gradient(torch.cat(seen, 2), d_z)))
        if not symbols:
            d_inputs = d_inputs + d_z @ layer.weights[:X].T
    found = map_leaves(torch.zeros_like, params)._replace(
        controller=tuple(layers),
        interface=Affine(*_affine_gradient(hidden[1:], gradient["xi"])),
        output=Affine(*_affine_gradient(torch.cat([bypass, reads[1:]], 2), d_outputs)),
    )
    return found, None if symbols else d_inputs


def _affine_gradient(seen: Tensor, d_z: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weights and bias of z = seen W + b; (T, B, ..)."""
    flat = d_z.flatten(0, 1)
    return seen.flatten(0, 1).T @ flat, flat.sum(0)
