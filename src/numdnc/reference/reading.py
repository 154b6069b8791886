"""Where each head reads: at slots similar to its key, or along the links from where it read last.

Axes: B batch, R read heads, N slots.
"""

from typing import NamedTuple

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
from numdnc.spec import DNCSpec


class Reading(NamedTuple):
    """Read weights, and the updated links and precedence."""

    weights: Array  # (B, R, N)
    link: OptionalArray = ()  # (B, N, N)
    precedence: OptionalArray = ()  # (B, N)


class ReadingTape(NamedTuple):
    """Values saved for the backward pass, where there are links."""

    link: LinkTape
    follow: FollowTape
    modes: Array
    backward: Array  # (B, R, N), as mixed
    content: Array
    forward: Array


class ReadingGradient(NamedTuple):
    """Gradients with respect to the arguments of `locate_reads`; without links, to the content weighting alone."""

    content: Array
    interface: dict[str, Array]  # parts of the interface by name
    write_weights: Array | float = 0.0
    read_weights_before: Array | float = 0.0
    link_before: OptionalArray = ()
    precedence_before: OptionalArray = ()


def locate_reads(
    spec: DNCSpec, interface: Interface, before: DNCState, write_weights: Array, content: Array
) -> tuple[Reading, ReadingTape | None]:
    """Update the links with the write weights, follow them in both directions, and mix with the content weighting.

    write_weights (B, N) and content (B, R, N) are of this step. Without links (Franke, Niehues and Waibel 2018)
    heads read by content alone.
    """
    if not spec.links:
        return Reading(content), None
    link, link_tape = update_link(before.link, before.precedence, write_weights)
    precedence = update_precedence(before.precedence, write_weights)
    forward, backward, follow_tape = follow_links(spec, interface, link, before.read_weights)
    weights = read_weights(interface.read_modes, backward, content, forward)
    tape = ReadingTape(link_tape, follow_tape, interface.read_modes, backward, content, forward)
    return Reading(weights, link, precedence), tape


def locate_reads_backward(tape: ReadingTape | None, d_after: Reading) -> ReadingGradient:
    """Gradients with respect to the content weighting and, with links, to all other arguments."""
    if tape is None:
        return ReadingGradient(d_after.weights, {})
    d_modes, d_backward, d_content, d_forward = read_weights_backward(
        tape.modes, tape.backward, tape.content, tape.forward, d_after.weights
    )
    d_link, d_read_before, d_interface = follow_links_backward(tape.follow, d_forward, d_backward)
    d_precedence, d_weights = update_precedence_backward(
        tape.link.precedence_before, tape.link.write_weights, d_after.precedence
    )
    d_link, d_precedence_link, d_weights_link = update_link_backward(tape.link, d_link + d_after.link)
    return ReadingGradient(
        content=d_content,
        interface={"read_modes": d_modes, **d_interface},
        write_weights=d_weights + d_weights_link,
        read_weights_before=d_read_before,
        link_before=d_link,
        precedence_before=d_precedence + d_precedence_link,
    )
