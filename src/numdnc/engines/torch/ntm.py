"""One step of an NTM's memory (Graves, Wayne and Danihelka 2014).

Axes: B batch, K heads that look at once (R for reading, V for writing), N slots, W word, S shifts. See
numdnc.reference.ntm and numdnc.reference.addressing for the equations; torch derives the gradient.
"""

import torch
from torch import Tensor

from numdnc.engines.torch.memory import look_up, parse_interface, sharpen, write
from numdnc.params import NTMState
from numdnc.spec import NTMSpec


def access_ntm(spec: NTMSpec, xi: Tensor, before: NTMState) -> NTMState:
    """Write, then read; xi (B, interface_size). The controller's state passes through unchanged."""
    interface = parse_interface(spec, xi)
    write_weights = address(spec, interface, "write", before.memory, before.write_weights)
    heads = (part.unbind(1) for part in (write_weights, interface["erase"], interface["write_vectors"]))
    memory = write(before.memory, *heads)
    read_weights = address(spec, interface, "read", memory, before.read_weights)
    return NTMState(before.controller, memory, write_weights, read_weights, read_weights @ memory)


def address(spec: NTMSpec, interface: dict[str, Tensor], kind: str, memory: Tensor, before: Tensor) -> Tensor:
    """Weightings (B, K, N) of the read or the write heads, from the memory and their weightings before."""
    content = look_up(spec, memory, interface[f"{kind}_keys"], interface[f"{kind}_strengths"], None)
    g = interface[f"{kind}_interpolation"][:, :, None]
    shifted = shift(g * content + (1 - g) * before, interface[f"{kind}_shifts"])
    return sharpen(shifted, interface[f"{kind}_sharpening"])


def shift(weights: Tensor, shifts: Tensor) -> Tensor:
    """sum_j s[j] w[(n - j) mod N], j from -S//2 to S//2; weights (B, K, N), shifts (B, K, S)."""
    half = shifts.shape[2] // 2
    moved = [torch.roll(weights, j, dims=2) for j in range(-half, half + 1)]
    return (torch.stack(moved, dim=3) @ shifts[:, :, :, None])[:, :, :, 0]
