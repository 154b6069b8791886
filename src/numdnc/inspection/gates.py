"""The gates of a DNC over a sequence: free gates, allocation gate, write gate."""

from numdnc.engines import Engine
from numdnc.inspection.activity import observe
from numdnc.params import Array, DNCParams
from numdnc.spec import DNCSpec
from numdnc.tasks import Batch


def gates(spec: DNCSpec, params: DNCParams, engine: Engine, batch: Batch) -> dict[str, Array]:
    """Name -> values (T, B) in [0, 1]: "free 0" .. for each read head, "allocation", "write"."""
    found = observe(spec, params, engine, batch).values
    free = {f"free {i}": found["free_gates"][:, :, i] for i in range(spec.read_heads)}
    return {**free, "allocation": found["allocation_gate"], "write": found["write_gate"]}
