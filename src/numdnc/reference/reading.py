"""Where each head reads: at slots similar to its key, or along the links from where it read last.

Axes: B batch, R read heads, N slots.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, DNCState, OptionalArray
from numdnc.parts import Interface
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
    links: dict[
        str, Array
    ]  # the parts of the state that hold links, by name: of (B, N, N) or of lists (B, N, K)
    precedence: OptionalArray = ()  # (B, N)


class ReadingTape(NamedTuple):
    """Values saved for the backward pass, where there are links."""

    link: LinkTape
    follow: FollowTape
    modes: Array
    backward: Array  # (B, R, N), as mixed
    content: Array
    forward: Array
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

    write_weights (B, N) and content (B, R, N) are of this step. Without links (Franke, Niehues and Waibel 2018)
    heads read by content alone.
    """
    if not spec.links:
        return Reading(content, {}), None
    K = spec.sparsity
    links_before = links_of(before)
    link, link_tape = update_link(_as_matrix(links_before), before.precedence, write_weights)
    if K is not None:
        link = cap_links(link, K)
    precedence = cut(update_precedence(before.precedence, write_weights), K)
    forward, backward, follow_tape = follow_links(spec, interface, link, before.read_weights)
    weights = cut(read_weights(interface.read_modes, backward, content, forward), K)
    links = {"link": link} if K is None else dict(zip(_LISTS, list_links(link, K), strict=True))
    after = Reading(weights, links, precedence)
    tape = ReadingTape(
        link_tape, follow_tape, interface.read_modes, backward, content, forward, links_before, after
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
    d_link, d_read_before, d_interface = follow_links_backward(tape.follow, d_forward, d_backward)
    d_precedence, d_weights = update_precedence_backward(
        tape.link.precedence_before,
        tape.link.write_weights,
        cut_backward(after.precedence, K, d_after.precedence),
    )
    d_link = d_link + _as_matrix_gradient(after.links, d_after.links)
    d_link, d_precedence_link, d_weights_link = update_link_backward(
        tape.link, cut_backward(tape.follow.link, K, d_link)
    )
    return ReadingGradient(
        content=d_content,
        interface={"read_modes": d_modes, **d_interface},
        write_weights=d_weights + d_weights_link,
        read_weights_before=d_read_before,
        links_before=_as_matrix_backward(tape.links_before, d_link),
        precedence_before=d_precedence + d_precedence_link,
    )


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
