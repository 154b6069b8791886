"""`warmup`."""

import time
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.options import AsJson
from numdnc.engines import get_engine
from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.spec import DNCSpec, LSTMSpec, NTMSpec, Spec

_SIZES: dict[str, Any] = {"input_size": 1, "output_size": 1}
MODELS: dict[str, Spec] = {
    "lstm": LSTMSpec(**_SIZES),
    "dnc": DNCSpec(**_SIZES),
    "ntm": NTMSpec(**_SIZES),
    "sparse": DNCSpec(**_SIZES, sparsity=1),
}
"""A model of each kind that is compiled by itself; all others of its kind share its machine code."""
DTYPES = ("float32", "float64")


def warm_up(
    models: Positional[tuple[str, ...]] = (),
    *,
    dtype: Annotated[str, arg(metavar="{float32,float64}")] = "float32",
    as_json: AsJson = False,
) -> None:
    """Compile the engine cpu ahead, so that the first use of a model need not wait for it.

    What is compiled already stays as it is. The machine code is kept in $NUMBA_CACHE_DIR, $XDG_CACHE_HOME or ~/.cache.

    Args:
        models: lstm (also for an RNN), dnc, ntm, or sparse, a DNC with sparsity (default: all four).
        dtype: The numbers that models are of: float32, or float64 for checks.
        as_json: Print the result as one JSON object.

    """
    for name in models:
        if name not in MODELS:
            raise UserError(f"the model must be one of {', '.join(MODELS)}, got {quoted(name)}.")
    if dtype not in DTYPES:
        raise UserError(f"dtype must be one of {', '.join(DTYPES)}, got {quoted(dtype)}.")
    from numdnc.engines.cpu.cache import cache_folder, why_not_kept

    if (reason := why_not_kept()) is not None:
        raise UserError(
            f"a folder must keep what is compiled, got none: {reason}. "
            "Set NUMBA_CACHE_DIR to a folder that can be written to."
        )
    engine: Any = get_engine("cpu")
    seconds: dict[str, float | None] = {}
    chosen = list(dict.fromkeys(models or MODELS))
    for number, name in enumerate(chosen, 1):
        began = time.monotonic()
        with console.waiting_for(f"compiling {name} in {dtype}, {number} of {len(chosen)}"):
            compiled = engine.compile(MODELS[name], np.dtype(dtype))
        seconds[name] = time.monotonic() - began if compiled else None
        if not as_json:
            took = seconds[name]
            console.say(f"{name:<8}{'was compiled already' if took is None else f'compiled in {took:.1f} s'}")
    if as_json:
        console.say_json({"dtype": dtype, "folder": str(cache_folder()), "seconds": seconds})
    else:
        console.say(f"kept in {cache_folder()}")
