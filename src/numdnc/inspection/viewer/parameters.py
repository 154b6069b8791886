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
"""Most bytes of parameters, 4 for each, that a page carries."""
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


def why_not_computed(spec: Spec, params: Any) -> str | None:
    """Why a page cannot compute this model, in words; None if it can."""
    size = 4 * sum(leaf.size for leaf in leaves(params))
    if size > LARGEST_PARAMS:
        return f"its parameters take {format_bytes(size)}, more than {format_bytes(LARGEST_PARAMS)}"
    if spec.sparsity is not None and spec.memory_size > MANY_SLOTS:
        return f"its sparse memory has {spec.memory_size:,} slots, more than {MANY_SLOTS}"
    for field in dataclasses.fields(spec):
        if field.name not in COMPUTED and getattr(spec, field.name) != field.default:
            return f"the page does not know the option {field.name}"
    return None


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
        "spec": {**dataclasses.asdict(spec), "controller": spec.controller},
        "interface": interface,
        "start": [
            [name, shape, values[name].ravel().tolist() if name in values else None]
            for name, shape in shapes.items()
        ],
        "params": [[name, leaf.shape] for name, leaf in named_leaves(params)],
    }


def pack_params(params: Any) -> str:
    """Pack parameters in the order of `named_leaves`: float32, deflated, in base 64."""
    values = np.concatenate([leaf.ravel() for leaf in leaves(params)]).astype("<f4")
    return base64.b64encode(zlib.compress(values.tobytes(), 6)).decode()
