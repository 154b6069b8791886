"""The parameters of a model in a page, which computes with them (`viewer/model`)."""

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np

from numdnc.formatting import format_bytes
from numdnc.init import start_values
from numdnc.inspection.touched import MANY_SLOTS
from numdnc.params import state_part_shapes
from numdnc.spec import Spec
from numdnc.tree import leaves, named_leaves

LARGEST_PARAMS = 1 << 20
"""Most bytes of parameters that a page carries: float32 if they fit, else float16."""
LARGEST_FLOAT16 = 65504.0
MOST_STATES = 3 << 22
"""Most numbers of memory and links, of all steps together, that a page computes."""
COMPUTED = {
    *("input_size", "output_size", "hidden_sizes", "controller", "memory_size", "word_size"),
    *("read_heads", "write_heads", "masking", "mask_floor", "deallocation", "sharpness", "links"),
    *(
        "normalisation",
        "bypass_dropout",
        "learned_state",
        "sparsity",
        "recency",
        "bidirectional",
        "shift_range",
    ),
}
"""The fields of specs that the page knows; a model that sets another is not computed."""


def why_not_computed(spec: Spec, params: Any, steps: int = 1) -> str | None:
    """Why a page cannot compute this model on so many steps, in words; None if it can."""
    count = sum(leaf.size for leaf in leaves(params))
    if 2 * count > LARGEST_PARAMS:
        size = format_bytes(2 * count)
        return f"its parameters take {size} in float16, more than {format_bytes(LARGEST_PARAMS)}"
    if 4 * count > LARGEST_PARAMS and max(abs(leaf).max() for leaf in leaves(params)) > LARGEST_FLOAT16:
        return "its parameters fit in float16 alone, and some are too large for it"
    if spec.sparsity is not None and spec.memory_size > MANY_SLOTS:
        return f"its sparse memory has {spec.memory_size:,} slots, more than {MANY_SLOTS}"
    for field in dataclasses.fields(spec):
        if field.name not in COMPUTED and getattr(spec, field.name) != field.default:
            return f"the page does not know the option {field.name}"
    if steps > most_steps(spec):
        return f"its memory and links of {steps:,} steps are more than {MOST_STATES:,} numbers"
    return None


def most_steps(spec: Spec) -> int:
    """Length of the longest sequence that a page computes."""
    if not spec.has_memory:
        return MOST_STATES // spec.hidden_total
    links = spec.write_heads * spec.memory_size if spec.links else 0
    return MOST_STATES // (spec.memory_size * (spec.word_size + links))


def precision_of(params: Any) -> np.dtype[Any]:
    """The precision in which a page carries parameters: float32 if they fit, else float16."""
    count = sum(leaf.size for leaf in leaves(params))
    return np.dtype("<f4" if 4 * count <= LARGEST_PARAMS else "<f2")


def described_model(spec: Spec, params: Any) -> dict[str, Any]:
    """What the page needs besides the values of the parameters, as JSON.

    `interface` lists name, shape and activation of each part of the interface, `start` name, shape and values (None:
    zeros) of each part of the state in which a sequence starts, `params` name and shape of each parameter.
    """
    interface = (
        [[name, part.shape(spec.axis_sizes), part.activation] for name, part in spec.interface_parts.items()]
        if spec.has_memory
        else []
    )
    shapes = state_part_shapes(spec)
    if spec.sparsity is not None and spec.links:
        shapes |= {"link": (spec.memory_size, spec.memory_size)}  # the page keeps a matrix
    values = start_values(spec)
    return {
        "kind": spec.kind,
        "precision": precision_of(params).name,
        "most_steps": most_steps(spec),
        "spec": {**dataclasses.asdict(spec), "controller": spec.controller},
        "interface": interface,
        "start": [
            [name, shape, values[name].ravel().tolist() if name in values else None]
            for name, shape in shapes.items()
        ],
        "params": [[name, leaf.shape] for name, leaf in named_leaves(params)],
    }


def pack_params(*models: Any) -> str:
    """Pack the parameters of models of one spec, each in the order of `named_leaves`: deflated, in base 64.

    Their precision is that of `precision_of`.
    """
    values = np.concatenate([leaf.ravel() for params in models for leaf in leaves(params)])
    values = values.astype(precision_of(models[0]))
    return base64.b64encode(zlib.compress(values.tobytes(), 6)).decode()
