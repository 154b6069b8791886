"""The gates of a model with a memory over a sequence."""

from collections.abc import Mapping

from numdnc.engines import Engine
from numdnc.inspection.activity import observe
from numdnc.params import Array, DNCParams
from numdnc.spec import DNCSpec, MemorySpec, NTMSpec
from numdnc.tasks import Batch


def gates(spec: MemorySpec, params: DNCParams, engine: Engine, batch: Batch) -> dict[str, Array]:
    """Name -> values (T, B) in [0, 1]: "free 0" .. for each read head (not with `recency`), "allocation" and "write",
    each followed by a number where there are several write heads, and by "of memory 0" or 1 where there are two.

    Of an NTM, the interpolation gates: "read 0" .. and "write 0" ...
    """
    activity = observe(spec, params, engine, batch)
    if spec.memories > 1:
        return {
            f"{name} of memory {e}": gate
            for e in range(spec.memories)
            for name, gate in _gates(spec, activity.of_memory(spec, e).values).items()
        }
    return _gates(spec, activity.values)


def _gates(spec: MemorySpec, found: Mapping[str, Array]) -> dict[str, Array]:
    if isinstance(spec, NTMSpec):
        counts = {"read": spec.read_heads, "write": spec.write_heads}
        return {
            f"{kind} {head}": found[f"{kind}_interpolation"][:, :, head]
            for kind, count in counts.items()
            for head in range(count)
        }
    heads = range(spec.read_heads if spec.usage_writing else 0)
    free = {f"free {i}": found["free_gates"][:, :, i] for i in heads}
    return {
        **free,
        **by_write_head(spec, "allocation", found["allocation_gate"]),
        **by_write_head(spec, "write", found["write_gate"]),
    }


def by_write_head(spec: DNCSpec, name: str, values: Array) -> dict[str, Array]:
    """Name -> values (..) of the write head; of several, a name and the values of each, which have the last axis."""
    if spec.write_heads == 1:
        return {name: values}
    return {f"{name} {head}": values[..., head] for head in range(spec.write_heads)}
