"""A whole sequence, forward and backward: one compiled call per thread."""

from typing import Annotated

from numdnc.engines.cpu.kernels.access import (
    access_read,
    access_read_backward,
    access_write,
    access_write_backward,
)
from numdnc.engines.cpu.kernels.activations import layer_norm, layer_norm_backward
from numdnc.engines.cpu.kernels.arrays import add, clear_rows, copy
from numdnc.engines.cpu.kernels.compiling import entry, inlined, kernel
from numdnc.engines.cpu.kernels.controller import (
    controller_step,
    controller_step_backward,
    partial_product,
    sum_partial_products,
)
from numdnc.engines.cpu.kernels.interface import parse_interface, parse_interface_backward, split_interface
from numdnc.engines.cpu.kernels.link_tiles import (
    access_links,
    access_links_backward,
    factor_link_gradient,
    recompute_segment,
    sum_backward_weights,
    sum_link_gradients,
    tile_read_weights,
)
from numdnc.engines.cpu.kernels.linkage import update_precedence_backward
from numdnc.engines.cpu.kernels.memory import inverse_slot_norms
from numdnc.engines.cpu.kernels.products import add_product_transposed
from numdnc.engines.cpu.kernels.rows import gradient_row, state_row, step_row
from numdnc.engines.cpu.kernels.teams import chunk_start, wait_for_team
from numdnc.engines.cpu.kernels.types import (
    Array,
    Controller,
    ControllerGradient,
    ControllerTape,
    Given,
    InterfaceParams,
    MemoryGradient,
    MemoryTape,
    Scratch,
    Sizes,
    WorkShare,
)


@entry
def recurrent_forward(
    sizes: Sizes,
    controller: Controller,
    tape: ControllerTape,
    reads: Annotated[Array, Given("T1 B 0")],
    products: Annotated[Array, Given("threads batch_outputs")],
    work: WorkShare,
):
    """An RNN or LSTM: hidden values of every step."""
    for t in range(sizes.steps):
        controller_step(sizes, controller, tape, reads, products, work, t)


@entry
def recurrent_backward(
    sizes: Sizes,
    controller: Controller,
    tape: ControllerTape,
    gradient: ControllerGradient,
    work: WorkShare,
):
    """Its gradients, from gradient.hidden_out and those of the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        for b in range(work.own_first_row, work.own_last_row):
            copy(gradient.hidden_now[b], gradient.hidden_out[t, b])
        controller_step_backward(sizes, controller, tape, gradient, work, t)


@entry
def dnc_forward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: MemoryTape,
    scratch: Scratch,
    work: WorkShare,
):
    """A DNC: hidden values and reads of every step."""
    B = controller_tape.hidden.shape[1]
    reads = tape.reads.reshape(sizes.steps + 1, B, sizes.reads)
    for b in range(work.own_first_row, work.own_last_row):
        inverse_slot_norms(tape.state.inverse_norms[0, b], tape.state.memory[0, b])
    for t in range(sizes.steps):
        controller_step(sizes, controller, controller_tape, reads, scratch.products, work, t)
        hidden = controller_tape.hidden[t + 1, work.first_row : work.last_row]
        partial_product(scratch.products, hidden, interface.weights, work)
        wait_for_team(work)
        _write(sizes, interface, tape, scratch, work, t)
        if sizes.links:
            if work.link_shares > 1:
                wait_for_team(work)
            _link(sizes, tape, scratch, work, t)
            if work.link_shares > 1:
                wait_for_team(work)
        _read(sizes, interface, tape, scratch, work, t)


@kernel
def _write(sizes, interface, tape, scratch, work, t):
    """Compute the interface vector, and the memory after the write."""
    for b in range(work.own_first_row, work.own_last_row):
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        interface_vector(sizes, interface, step, scratch, work, b)
        access_write(
            sizes,
            split_interface(step.interface, interface.offsets, sizes),
            before,
            step,
            after,
            scratch.order[b],
            scratch.kept[b],
        )
        if sizes.links:
            tile_read_weights(sizes, scratch.read_weights[b], before.read_weights)


@inlined
def interface_vector(sizes, interface, step, scratch, work, b):
    """xi = h_all W_xi + b_xi, with layer norm of the product if there is any, and the activations of its parts."""
    xi = step.interface
    sum_partial_products(xi, scratch.products, b, interface.weights.shape[1], work)
    if sizes.normalised:
        step.interface_deviation[0] = layer_norm(xi, step.interface_standard, interface.gain, interface.bias)
    else:
        add(xi, interface.bias)
    parse_interface(xi, interface.spans)


@kernel
def _link(sizes, tape, scratch, work, t):
    """Update and follow this thread's part of the link of one sequence."""
    for b in range(work.link_first_row, work.link_last_row):
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        access_links(sizes, tape, scratch, work, t, before, step, after, b)


@kernel
def _read(sizes, interface, tape, scratch, work, t):
    """Compute the read weights and the reads."""
    for b in range(work.own_first_row, work.own_last_row):
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        if sizes.links:
            sum_backward_weights(sizes, scratch, work, step, b)
        parts = split_interface(step.interface, interface.offsets, sizes)
        access_read(sizes, parts, step, after, tape.reads[t + 1, b])


@entry
def dnc_backward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: MemoryTape,
    controller_gradient: ControllerGradient,
    gradient: MemoryGradient,
    work: WorkShare,
):
    """Its gradients, from those of hidden values and reads through the output and those of the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        _read_backward(sizes, interface, tape, controller_gradient, gradient, work, t)
        if sizes.links:
            if work.link_shares > 1:
                wait_for_team(work)
            _link_backward(sizes, tape, gradient, work, t)
            if work.link_shares > 1:
                wait_for_team(work)
        _write_backward(sizes, interface, tape, controller_gradient, gradient, work, t)
        wait_for_team(work)
        hidden_backward(interface, controller_gradient, gradient, work, t)
        wait_for_team(work)
        controller_step_backward(sizes, controller, controller_tape, controller_gradient, work, t)


@kernel
def _read_backward(sizes, interface, tape, controller_gradient, gradient, work, t):
    """`_read` backwards, as far as the links."""
    for b in range(work.own_first_row, work.own_last_row):
        add(gradient.reads_out[t, b].reshape(sizes.reads), controller_gradient.reads[b])
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        row = gradient_row(gradient.row, b)
        access_read_backward(
            sizes,
            split_interface(gradient.interface[t, b], interface.offsets, sizes),
            row,
            gradient.reads_out[t, b],
            split_interface(step.interface, interface.offsets, sizes),
            step,
            after,
        )
        if sizes.links:
            for v in range(sizes.write_heads):
                factor_link_gradient(
                    sizes,
                    gradient.pair[b, v],
                    gradient.factors[b, v],
                    row.backward[v],
                    row.forward[v],
                    before.read_weights,
                )


@kernel
def _link_backward(sizes, tape, gradient, work, t):
    """`_link` backwards; at the end of a segment, its links are computed again first."""
    begin = t // sizes.segment * sizes.segment
    for b in range(work.link_first_row, work.link_last_row):
        if t == sizes.steps - 1 or (t + 1) % sizes.segment == 0:
            recompute_segment(sizes, tape, gradient, work, begin, t + 1, b)
        access_links_backward(sizes, tape, gradient, work, t, b)


@kernel
def _write_backward(sizes, interface, tape, controller_gradient, gradient, work, t):
    """`_write` backwards, from the links to the interface vector."""
    for b in range(work.own_first_row, work.own_last_row):
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        row = gradient_row(gradient.row, b)
        if sizes.links:
            for v in range(sizes.write_heads):
                update_precedence_backward(
                    row.precedence[v], row.write_weights[v], before.precedence[v], after.write_weights[v]
                )
            sum_link_gradients(sizes, gradient, work, b)
        else:
            clear_rows(row.read_weights)
        d_xi = gradient.interface[t, b]
        access_write_backward(
            sizes,
            split_interface(d_xi, interface.offsets, sizes),
            row,
            split_interface(step.interface, interface.offsets, sizes),
            before,
            step,
            after,
        )
        parse_interface_backward(d_xi, step.interface, interface.spans)
        if sizes.normalised:
            copy(gradient.interface_out[t, b], d_xi)
            layer_norm_backward(d_xi, step.interface_standard, step.interface_deviation[0], interface.gain)
        copy(controller_gradient.hidden_now[b], controller_gradient.hidden_out[t, b])


@inlined
def hidden_backward(interface, controller_gradient, gradient, work, t):
    """Compute this thread's part of dh_all += dxi W_xi^T: some of the hidden values."""
    count = len(interface.weights)
    first = chunk_start(count, work.rank, work.team_size)
    last = chunk_start(count, work.rank + 1, work.team_size)
    add_product_transposed(
        controller_gradient.hidden_now[work.first_row : work.last_row, first:last],
        gradient.interface[t, work.first_row : work.last_row],
        interface.weights[first:last],
    )


@entry
def add_to_rows(to, rows, source):
    """to[rows[i]] += source[i]: the gradient of indexing."""
    for i in range(len(rows)):
        add(to[rows[i]], source[i])
