"""An engine of NumPy arrays as a function of JAX, with its own gradient."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from numdnc.engines import select_engine
from numdnc.jax.states import checked_start
from numdnc.params import state_shapes
from numdnc.spec import Spec
from numdnc.tree import map_leaves


def engine_forward(
    spec: Spec,
    params: Any,
    inputs: Any,
    state: Any = None,
    lengths: Any = None,
    bypass_mask: Any = None,
    *,
    engine: str = "auto",
) -> tuple[Array, Any]:
    """The same as `forward`, for every model, by an engine on the CPU: "auto", which is cpu, or its name.

    spec and engine are static. bypass_mask: see `numdnc.draw_bypass_mask`. The gradient has one call of its own, which
    computes the forward pass again. Under vmap each element is a call: give the engine a batch instead. There is no
    forward-mode and no second derivative, which JAX says.

    UserError for wrong shapes or dtypes; wrong values (a symbol out of range) end in an error of JAX that quotes it.
    """
    state = checked_start(spec, params, inputs, state, bypass_mask, lengths)
    select_engine(engine, spec, params.output.bias.dtype)
    outputs, state = _sequence(spec, engine, (params, inputs, state), (lengths, bypass_mask))
    return outputs, state


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sequence(spec: Spec, engine: str, given: Any, more: Any) -> Any:
    params, inputs, _ = given
    dtype, (T, B) = params.output.bias.dtype, inputs.shape[:2]
    shapes = map_leaves(lambda shape: jax.ShapeDtypeStruct(shape.sizes, dtype), state_shapes(spec, B))
    results = jax.ShapeDtypeStruct((T, B, spec.output_size), dtype), shapes
    return jax.pure_callback(partial(_forward, spec, engine), results, given, more, vmap_method="sequential")


def _sequence_forward(spec: Spec, engine: str, given: Any, more: Any) -> Any:
    return _sequence(spec, engine, given, more), (given, more)


def _sequence_backward(spec: Spec, engine: str, saved: Any, gradients: Any) -> Any:
    params, inputs, state = saved[0]
    wanted = params, inputs if np.issubdtype(inputs.dtype, np.floating) else (), state
    shapes = map_leaves(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), wanted)
    d_params, d_inputs, d_state = jax.pure_callback(
        partial(_backward, spec, engine), shapes, *saved, gradients, vmap_method="sequential"
    )
    d_inputs = None if isinstance(d_inputs, tuple) else d_inputs
    return (d_params, d_inputs, d_state), (None, None)


_sequence.defvjp(_sequence_forward, _sequence_backward)


def _run(spec: Spec, engine: str, given: Any, more: Any, *, keep_tape: bool) -> Any:
    (params, inputs, state), (lengths, mask) = jax.tree.map(np.asarray, (given, more))
    run = select_engine(engine, spec, params.output.bias.dtype).forward
    return run(spec, params, inputs, state, keep_tape=keep_tape, bypass_mask=mask, lengths=lengths)


def _forward(spec: Spec, engine: str, given: Any, more: Any) -> Any:
    outputs, state, _ = _run(spec, engine, given, more, keep_tape=False)
    return outputs, state


def _backward(spec: Spec, engine: str, given: Any, more: Any, gradients: Any) -> Any:
    _, _, tape = _run(spec, engine, given, more, keep_tape=True)
    params, (d_outputs, d_state) = jax.tree.map(np.asarray, (given[0], gradients))
    run = select_engine(engine, spec, params.output.bias.dtype).backward
    d_params, d_inputs, d_before = run(spec, params, tape, d_outputs, d_state)
    return d_params, () if d_inputs is None else d_inputs, d_before
