"""The shapes of all arrays that a sequence needs.

Axes: T steps, B batch, H hidden, C pre-activations of a layer, G of all layers, N slots, W word, R read heads; S and D
states and steps that are kept, as in kernels/types.py. `like` is an array of the dtype. A field without a shape is
given by who makes it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.types import Sizes
from numdnc.params import Array
from numdnc.spec import GATES, DNCSpec, Spec

Shapes = Mapping[str, tuple[int, ...]]

_MAX_TILE_WIDTH = 256
"""Columns of the links that are worked on at once, at most."""


def tile_width(slots: int) -> int:
    """Columns of a tile: as few tiles as may be, all but the last equally wide."""
    tiles = -(-slots // _MAX_TILE_WIDTH)
    return -(-slots // tiles)


def controller_shapes(layers: NDArray[np.int64], rows: int, symbols: bool, like: Array) -> Shapes:
    """Of what `pack_controller` fills; rows: T B."""
    found: dict[str, tuple[int, ...]] = {
        "weights": (sum(int(K) * padded(int(C), like) for C, K in layers[:, (2, 4)]),)
    }
    if not symbols:
        found["table"] = (rows * int(layers[:, 2].sum()),)
    return found


def controller_tape_shapes(spec: Spec, sizes: Sizes, batch: int) -> Shapes:
    """Of `ControllerTape`."""
    T, S, D, B = sizes.steps, sizes.kept_states, sizes.kept_steps, batch
    H, L = spec.hidden_total, len(spec.hidden_sizes)
    lstm = spec.controller == "lstm"
    G, norm = GATES[spec.controller] * H, lstm and spec.normalisation
    own = 0 if spec.controller == "feedforward" else H
    return {
        "parts": (D, B, L * spec.reads_size + own + H - spec.hidden_sizes[-1]),
        "gates": (D, B, G),
        "hidden": (T + 1, B, H),
        "cell": (S, B, H * lstm),
        "tanh_cell": (D, B, H * lstm),
        "standard": (D, B, G * norm),
        "deviation": (D, B, L * norm),
        "cell_standard": (D, B, H * norm),
        "cell_deviation": (D, B, L * norm),
    }


def memory_tape_shapes(spec: DNCSpec, sizes: Sizes, batch: int, like: Array) -> Shapes:
    """Of `MemoryTape`."""
    T, S, D, B = sizes.steps, sizes.kept_states, sizes.kept_steps, batch
    N, W, R, width = spec.memory_size, spec.word_size, spec.read_heads, spec.interface_size
    norm, links, masks, sharp = spec.normalisation, spec.links, spec.masking, spec.sharpness
    kept = -(-T // sizes.segment) if links and S == T + 1 else 0
    return {
        "interface": (D, B, width),
        "interface_standard": (D, B, width * norm),
        "interface_deviation": (D, B * norm),
        "memory": (S, B, W, N),
        "inverse_norms": (S, B, N),
        "usage": (S, B, N),
        "precedence": (S, B, N * links),
        "write_weights": (S, B, N),
        "read_weights": (S, B, R, N),
        "reads": (T + 1, B, R, W),
        "retention": (D, B, N),
        "order": (D, B, N),
        "allocation": (D, B, N),
        "write_content": (D, B, 1, N),
        "write_similarity": (D, B, 1, N),
        "write_norms": (D, B, 1, N * masks),
        "read_content": (D, B, R, N),
        "read_similarity": (D, B, R, N),
        "read_norms": (D, B, R, N * masks),
        "forward": (D, B, R, N * links),
        "backward": (D, B, R, N * links),
        "unsharpened_forward": (D, B, R, N * sharp),
        "unsharpened_backward": (D, B, R, N * sharp),
        "links": (kept, *_link_shape(B, N, like)),
    }


def scratch_shapes(spec: DNCSpec, batch: int, threads: int, widest: int, like: Array) -> Shapes:
    """Of `Scratch`; widest: the most room that a row of a product takes."""
    B, N, R, links = batch, spec.memory_size, spec.read_heads, spec.links
    return {
        "products": (threads, B * widest),
        "order": (B, N),
        "link": _link_shape(B, N, like) if links else (0, 0, 0, 0),
        "read_weights": (B, R * N * links),
        "backward": (threads, B, R * N * links),
    }


def controller_gradient_shapes(
    spec: Spec, layers: NDArray[np.int64], steps: int, batch: int, threads: int
) -> Shapes:
    """Of `ControllerGradient`."""
    T, B, H = steps, batch, spec.hidden_total
    lstm = spec.controller == "lstm"
    G, norm = GATES[spec.controller] * H, lstm and spec.normalisation
    return {
        "hidden_out": (T, B, H),
        "gates": (T, B, G),
        "gates_out": (T, B, G * norm),
        "cell_out": (T, B, H * norm),
        "hidden": (B, H),
        "cell": (B, H * lstm),
        "hidden_now": (B, H),
        "reads": (B, spec.reads_size),
        "products": (threads, B * int(layers[:, 2].max())),
        "parts": (threads, B * int(layers[:, 4].max())),
    }


def memory_gradient_shapes(
    spec: DNCSpec, sizes: Sizes, steps: int, batch: int, threads: int, like: Array
) -> Shapes:
    """Of `MemoryGradient`."""
    T, B, N, W, R = steps, batch, spec.memory_size, spec.word_size, spec.read_heads
    width, links = spec.interface_size, spec.links
    tiled = _link_shape(B, N, like)
    return {
        "reads_out": (T, B, R, W),
        "interface": (T, B, width),
        "interface_out": (T, B, width * spec.normalisation),
        "memory": (B, W, N),
        "usage": (B, N),
        "precedence": (B, N * links),
        "link": tiled if links else (0, 0, 0, 0),
        "write_weights": (B, N),
        "read_weights": (B, R, N),
        "weights_now": (B, R, N),
        "content": (B, R, N),
        "forward": (B, R, N * links),
        "backward": (B, R, N * links),
        "allocation": (B, N),
        "write_content": (B, 1, N),
        "retention": (B, N),
        "wiped": (B, N),
        "shrink": (B, N),
        "pair": (B, 2 * R * N * links),
        "factors": (B, N * links, 2 * R),
        "links": (sizes.segment // sizes.stride * links, *tiled),
        "rows": (threads, 2, sizes.rows, tiled[-1] * links),
        "share_d_row_reads": (threads, B, R, N * links),
        "share_d_column_reads": (threads, B, R * N * links),
        "share_d_writes": (threads, 2, B, N * links),
        "share_d_precedence": (threads, B, N * links),
    }


def _link_shape(batch: int, slots: int, like: Array) -> tuple[int, int, int, int]:
    """(B, tiles, N, columns) of links in tiles, as kernels/link_tiles.py says."""
    width = tile_width(slots)
    return batch, -(-slots // width), slots, padded(width, like)
