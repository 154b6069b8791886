"""numdnc: the Differentiable Neural Computer, trusted, readable and trainable.

A spec says what a model is, trees of arrays (params, state) are its data, an engine computes it:

    spec = DNCSpec(input_size=8, output_size=8, hidden_sizes=(64,), memory_size=16, word_size=16, read_heads=2)
    params = init_params(spec, seed=0)
    state = initial_state(spec, params, batch=4)
    engine = select_engine("auto", spec, "float32")
    outputs, state, tape = engine.forward(spec, params, inputs, state, keep_tape=True)       # inputs (T, B, 8)
    d_params, d_inputs, d_state = engine.backward(spec, params, tape, d_outputs, zeros_like(state))

`load_run` opens a trained run. Names are imported on first use, so that the command line starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numdnc.engines import Engine, select_engine
    from numdnc.errors import UserError
    from numdnc.init import draw_bypass_mask, init_params, initial_state, initial_state_backward
    from numdnc.params import zero_params, zero_state
    from numdnc.runs import load_run
    from numdnc.spec import DNCSpec, LSTMSpec, NTMSpec, RNNSpec
    from numdnc.tree import map_leaves, named_leaves, zeros_like

__all__ = [
    "DNCSpec",
    "Engine",
    "LSTMSpec",
    "NTMSpec",
    "RNNSpec",
    "UserError",
    "draw_bypass_mask",
    "init_params",
    "initial_state",
    "initial_state_backward",
    "load_run",
    "map_leaves",
    "named_leaves",
    "select_engine",
    "zero_params",
    "zero_state",
    "zeros_like",
]

__version__ = "0.1.0"
_MODULES = ("engines", "errors", "init", "params", "spec", "tree", "runs")
"""Where the public names come from."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"numdnc.{name}")
    if name in __all__:
        modules = (import_module(f"numdnc.{module}") for module in _MODULES)
        value = next(vars(module)[name] for module in modules if name in vars(module))
        globals()[name] = value
        return value
    raise AttributeError(f"module 'numdnc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
