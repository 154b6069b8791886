"""Where each head reads: at slots similar to its key, or along the links from where it read last.

Axes: B batch, R read heads, V write heads, N slots.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, DNCState, OptionalArray
from numdnc.parts import Interface
from numdnc.reference.heads import join_heads, split_heads
from numdnc.reference.linkage import (
    FollowTape,
    LinkTape,
    follow_links,
    follow_links_backward,
    update_link,
    update_link_backward,
    update_precedence,
    update_precedence_backward,
)
from numdnc.reference.memory import read_weights, read_weights_backward
from numdnc.reference.sparse import (
    cap_links,
    cut,
    cut_backward,
    link_matrix,
    link_matrix_backward,
    list_links,
)
from numdnc.spec import DNCSpec


class Reading(NamedTuple):
    """Read weights, and the updated links and precedence."""

    weights: Array  # (B, R, N)
    links: dict[str, Array]
    """The parts of the state that hold links, by name: of (B, N, N), or (B, V, N, N), or of lists (B, N, K)."""
    precedence: OptionalArray = ()  # (B, N), or (B, V, N)


class ReadingTape(NamedTuple):
    """Values saved for the backward pass, where there are links; a tuple has an entry for each write head."""

    links: tuple[LinkTape, ...]
    follow: FollowTape
    modes: Array
    backward: tuple[Array, ...]  # (B, R, N), as mixed
    content: Array
    forward: tuple[Array, ...]
    links_before: dict[str, Array]
    after: Reading


class ReadingGradient(NamedTuple):
    """Gradients with respect to the arguments of `locate_reads`; without links, to the content weighting alone."""

    content: Array
    interface: dict[str, Array]  # parts of the interface by name
    write_weights: Array | float = 0.0
    read_weights_before: Array | float = 0.0
    links_before: dict[str, Array] = {}  # noqa: RUF012 (never changed)
    precedence_before: OptionalArray = ()


def locate_reads(
    spec: DNCSpec, interface: Interface, before: DNCState, write_weights: Array, content: Array
) -> tuple[Reading, ReadingTape | None]:
    """Update the links with the write weights, follow them in both directions, and mix with the content weighting.

    write_weights (B, N), or (B, V, N), and content (B, R, N) are of this step. Each write head has links and a
    precedence of its own. Without links (Franke, Niehues and Waibel 2018) heads read by content alone.
    """
    if not spec.links:
        return Reading(content, {}), None
    K, links_before = spec.sparsity, links_of(before)
    precedence_before, weights = split_heads(spec, before.precedence), split_heads(spec, write_weights)
    links, link_tapes = zip(
        *map(update_link, split_heads(spec, _as_matrix(links_before)), precedence_before, weights),
        strict=True,
    )
    if K is not None:
        links = tuple(cap_links(link, K) for link in links)
    precedence = tuple(cut(each, K) for each in map(update_precedence, precedence_before, weights))
    forward, backward, follow_tape = follow_links(spec, interface, links, before.read_weights)
    mixed = cut(read_weights(interface.read_modes, backward, content, forward), K)
    link = join_heads(spec, links)
    parts = {"link": link} if K is None else dict(zip(_LISTS, list_links(link, K), strict=True))
    after = Reading(mixed, parts, join_heads(spec, precedence))
    tape = ReadingTape(
        link_tapes, follow_tape, interface.read_modes, backward, content, forward, links_before, after
    )
    return after, tape


def locate_reads_backward(spec: DNCSpec, tape: ReadingTape | None, d_after: Reading) -> ReadingGradient:
    """Gradients with respect to the content weighting and, with links, to all other arguments."""
    if tape is None:
        return ReadingGradient(d_after.weights, {})
    K, after = spec.sparsity, tape.after
    d_modes, d_backward, d_content, d_forward = read_weights_backward(
        tape.modes, tape.backward, tape.content, tape.forward, cut_backward(after.weights, K, d_after.weights)
    )
    d_followed, d_read_before, d_interface = follow_links_backward(spec, tape.follow, d_forward, d_backward)
    d_final = split_heads(spec, _as_matrix_gradient(after.links, d_after.links))
    d_last = split_heads(spec, cut_backward(after.precedence, K, d_after.precedence))
    heads = [
        _link_head_backward(K, link_tape, link, d + d_link, d_p)
        for link_tape, link, d, d_link, d_p in zip(
            tape.links, tape.follow.links, d_followed, d_final, d_last, strict=True
        )
    ]
    d_links, d_precedence, d_weights = (join_heads(spec, parts) for parts in zip(*heads, strict=True))
    return ReadingGradient(
        content=d_content,
        interface={"read_modes": d_modes, **d_interface},
        write_weights=d_weights,
        read_weights_before=d_read_before,
        links_before=_as_matrix_backward(tape.links_before, d_links),
        precedence_before=d_precedence,
    )


def _link_head_backward(
    K: int | None, tape: LinkTape, link: Array, d_link: Array, d_precedence: Array
) -> tuple[Array, Array, Array]:
    """Gradients with respect to a write head's links before, precedence before and write weights."""
    d_precedence, d_weights = update_precedence_backward(
        tape.precedence_before, tape.write_weights, d_precedence
    )
    d_before, d_precedence_link, d_weights_link = update_link_backward(tape, cut_backward(link, K, d_link))
    return d_before, d_precedence + d_precedence_link, d_weights + d_weights_link


_LISTS = ("link_slots", "link_values")


def links_of(state: DNCState) -> dict[str, Array]:
    """The parts of a state that hold links: the matrix, or lists of slots and values."""
    return {name: part for name in ("link", *_LISTS) if not isinstance(part := getattr(state, name), tuple)}


def _as_matrix(links: dict[str, Array]) -> Array:
    return links["link"] if "link" in links else link_matrix(*(links[name] for name in _LISTS))


def _as_matrix_gradient(links: dict[str, Array], d_links: dict[str, Array]) -> Array:
    """Gradient with respect to the matrix that was made into lists."""
    if "link" in links:
        return d_links["link"]
    slots, values = (links[name] for name in _LISTS)
    return link_matrix(slots, np.where(values != 0, d_links["link_values"], 0))


def _as_matrix_backward(links: dict[str, Array], d_link: Array) -> dict[str, Array]:
    if "link" in links:
        return {"link": d_link}
    slots, values = (links[name] for name in _LISTS)
    d_values = link_matrix_backward(slots, values, d_link)
    return {"link_slots": np.zeros_like(d_values), "link_values": d_values}
