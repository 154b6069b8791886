"""The gates of a DNC over a sequence: when it frees slots, when it writes, and whether to slots that are free.

Axes: T steps, B batch, R read heads.
"""

import numpy as np

from numdnc.engines import get_engine
from numdnc.init import initial_state
from numdnc.params import Array, DNCParams, Inputs, as_numbers
from numdnc.spec import DNCSpec


def gates(spec: DNCSpec, params: DNCParams, inputs: Inputs) -> dict[str, Array]:
    """Name -> values (T, B) in [0, 1]: "free 0" .. of each read head, "allocation", "write".

    They are the definition's, whichever engine trained the model.
    """
    inputs = as_numbers(inputs, params)
    state = initial_state(spec, params, inputs.shape[1])
    _, _, tape = get_engine("reference").forward(spec, params, inputs, state, keep_tape=True)
    steps = [step.access.interface for step in tape.steps]
    found = {f"free {i}": np.array([step.free_gates[:, i] for step in steps]) for i in range(spec.read_heads)}
    found["allocation"] = np.array([step.allocation_gate for step in steps])
    found["write"] = np.array([step.write_gate for step in steps])
    return found
