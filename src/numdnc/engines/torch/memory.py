"""One step of the external memory, in the paper's order (Graves et al. 2016, Methods).

Axes: B batch, R read heads, K keys looked up at once, N slots, W word. See numdnc.reference for each mechanism's
equation and source; torch derives the gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

from numdnc.engines.torch.heads import join_heads, split_heads, stack_heads
from numdnc.params import memory_state
from numdnc.parts import Activation
from numdnc.spec import EPSILON, DNCSpec, NTMSpec


def access(spec: DNCSpec, xi: Tensor, before: Any) -> Any:
    """One step of all memories; xi (B, interface_size). The controller's state passes through unchanged.

    Parts of two memories have the axis E after the batch's. What the second is written may be the product over heads of
    what was read from the first.
    """
    interface = parse_interface(spec, xi)
    if spec.memories == 1:
        return access_memory(spec, interface, before)
    before_1, before_2 = (_of_memory(before, e) for e in (0, 1))
    own = dict(interface)
    if spec.second_memory == "reads":
        del own["write_vector"]
    interface_1, interface_2 = ({name: part[:, e] for name, part in own.items()} for e in (0, 1))
    first = access_memory(spec, interface | interface_1, before_1)
    if spec.second_memory == "reads":
        interface_2["write_vector"] = product(list(first.reads.unbind(1)))
    second = access_memory(spec, interface_2, before_2)
    pairs = zip(before._fields, first, second, strict=True)
    parts = {name: torch.stack([one, other], 1) for name, one, other in pairs if isinstance(one, Tensor)}
    return memory_state(spec, before.controller, parts)


def _of_memory(state: Any, e: int) -> Any:
    """The state of one memory."""
    return type(state)(*(part[:, e] if isinstance(part, Tensor) else part for part in state))


def access_memory(spec: DNCSpec, interface: dict[str, Tensor], before: Any) -> Any:
    """Free, allocate, write, link, read: one step of one memory."""
    heads = partial(split_heads, spec)
    retention = product([1 - interface["free_gates"][:, i, None] * w for i, w in _heads(before.read_weights)])
    usage = before.usage
    for w in heads(before.write_weights):
        usage = usage + w - usage * w
    usage = usage * retention
    write_weights = locate_writes(spec, interface, before.memory, usage)
    memory = before.memory * retention[:, :, None] if spec.deallocation else before.memory
    memory = write(memory, write_weights, heads(interface["erase"]), heads(interface["write_vector"]))
    content = look_up(
        spec, memory, interface["read_keys"], interface["read_strengths"], interface.get("read_masks")
    )
    if spec.links:
        old, was_last = heads(before.link), heads(before.precedence)
        links = list(map(update_link, old, was_last, write_weights))
        link = join_heads(spec, links)
        precedence = join_heads(
            spec, [(1 - w.sum(1, keepdim=True)) * p + w for w, p in zip(write_weights, was_last, strict=True)]
        )
        forward = [before.read_weights @ each.mT for each in links]
        backward = [before.read_weights @ each for each in links]
        if spec.sharpness:
            forward = list(map(sharpen, forward, heads(interface["forward_sharpness"])))
            backward = list(map(sharpen, backward, heads(interface["backward_sharpness"])))
        modes = interface["read_modes"].split(1, dim=2)
        ways = [mode * way for mode, way in zip(modes, [*backward, content, *forward], strict=True)]
        read_weights = reduce(torch.add, ways)
    else:
        link, precedence, read_weights = (), (), content
    parts = {
        "memory": memory,
        "usage": usage,
        "precedence": precedence,
        "link": link,
        "write_weights": join_heads(spec, write_weights),
        "read_weights": read_weights,
        "reads": read_weights @ memory,
    }
    return memory_state(spec, before.controller, parts)


def locate_writes(spec: DNCSpec, interface: dict[str, Tensor], memory: Tensor, usage: Tensor) -> list[Tensor]:
    """Write weights (B, N) of each head; a head allocates as if the heads before it had written."""
    content = look_up(
        spec,
        memory,
        stack_heads(spec, interface["write_key"]),
        stack_heads(spec, interface["write_strength"]),
        stack_heads(spec, interface["write_mask"]) if spec.masking else None,
    )
    gates = (stack_heads(spec, interface[name])[..., None] for name in ("allocation_gate", "write_gate"))
    weights: list[Tensor] = []
    for found, to_free, to_any in zip(content.unbind(1), *(gate.unbind(1) for gate in gates), strict=True):
        allocation = allocate(usage)
        weights.append(to_any * (to_free * allocation + (1 - to_free) * found))
        if len(weights) < spec.write_heads:
            usage = usage + (1 - usage) * to_any * to_free * allocation
    return weights


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "softplus": lambda z: torch.logaddexp(z, z.new_zeros(())),
    "oneplus": lambda z: 1 + torch.logaddexp(z, z.new_zeros(())),
    "softmax": lambda z: torch.softmax(z, dim=-1),
}


def parse_interface(spec: DNCSpec | NTMSpec, xi: Tensor) -> dict[str, Tensor]:
    """The parts of xi by name, after their activations; see `spec.interface_type`."""
    columns = xi.split(list(spec.interface_sizes.values()), dim=1)
    return {
        name: _ACTIVATIONS[part.activation](values.reshape(xi.shape[0], *spec.interface_shapes[name]))
        for (name, part), values in zip(spec.interface_parts.items(), columns, strict=True)
    }


def look_up(
    spec: DNCSpec | NTMSpec, memory: Tensor, keys: Tensor, strengths: Tensor, masks: Tensor | None
) -> Tensor:
    """Weightings (B, K, N): softmax over slots of strength times cosine; keys (B, K, W), strengths (B, K).

    With masks m (B, K, W) key and slot are compared as k m and M m. (k m) . (M m) = m^2 k . M and |M m|^2 = m^2 . M^2:
    masked memories are never formed.
    """
    if masks is None:
        slot_norms = (memory.square().sum(2) + EPSILON).sqrt()[:, None]
        products, key_norms = keys @ memory.mT, (keys.square().sum(2, keepdim=True) + EPSILON).sqrt()
    else:
        squares = (spec.mask_floor + (1 - spec.mask_floor) * masks).square()
        slot_norms = (squares @ memory.square().mT + EPSILON).sqrt()
        products = (keys * squares) @ memory.mT
        key_norms = ((keys.square() * squares).sum(2, keepdim=True) + EPSILON).sqrt()
    return torch.softmax(strengths[:, :, None] * products / (key_norms * slot_norms), dim=2)


def allocate(usage: Tensor) -> Tensor:
    """a[phi[j]] = (1 - u[phi[j]]) prod_{i<j} u[phi[i]], phi = slots by rising usage, ties by index; usage (B, N)."""
    if torch.onnx.is_in_onnx_export():
        ranked, order, before = _rank_in_onnx(usage)
    else:
        ranked, order = usage.sort(dim=1, stable=True)
        before = torch.cat([torch.ones_like(ranked[:, :1]), ranked[:, :-1].cumprod(1)], dim=1)
    return torch.zeros_like(usage).scatter(1, order, (1 - ranked) * before)


def _rank_in_onnx(usage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Usages rising, their slots, the product of those before each: ONNX has neither a stable sort nor a cumprod, but a
    TopK that goes by index where values are equal.
    """
    N = usage.shape[1]
    ranked, order = usage.topk(N, dim=1, largest=False)
    earlier = torch.ones(N, N, dtype=torch.bool, device=usage.device).tril(-1)
    return ranked, order, torch.where(earlier, ranked[:, None], 1.0).prod(2)


def write(
    memory: Tensor, weights: Sequence[Tensor], erase: Sequence[Tensor], vectors: Sequence[Tensor]
) -> Tensor:
    """M prod_v (1 - w_v e_v^T) + sum_v w_v v_v^T; memory (B, N, W), of each head (B, N), (B, W) and (B, W)."""
    places = [w[:, :, None] for w in weights]
    for at, e in zip(places, erase, strict=True):
        memory = memory * (1 - at * e[:, None])
    for at, v in zip(places, vectors, strict=True):
        memory = memory + at * v[:, None]
    return memory


def update_link(link: Tensor, precedence: Tensor, weights: Tensor) -> Tensor:
    """L[i, j] = (1 - w[i] - w[j]) L[i, j] + w[i] p[j], L[i, i] = 0; "i was written after j"."""
    after, before = weights[:, :, None], weights[:, None, :]
    updated = torch.baddbmm((1 - after - before) * link, after, precedence[:, None, :])
    return updated * (1 - torch.eye(link.shape[1], dtype=link.dtype, device=link.device))


def sharpen(weights: Tensor, sharpness: Tensor) -> Tensor:
    """softmax over slots of s log(d + eps); weights d (B, R, N), below 0 taken as 0, sharpness s (B, R)."""
    return torch.softmax(sharpness[:, :, None] * (weights.clamp(min=0) + EPSILON).log(), dim=2)


def _heads(read_weights: Tensor) -> list[tuple[int, Tensor]]:
    return list(enumerate(read_weights.unbind(1)))


def product(factors: list[Tensor]) -> Tensor:
    """Multiply one after another: the gradient of torch's own product divides."""
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product
