"""A whole sequence, forward and backward: one compiled call per thread."""

from numdnc.engines.cpu.kernels.access import (
    access_read,
    access_read_backward,
    access_write,
    access_write_backward,
)
from numdnc.engines.cpu.kernels.activations import layer_norm, layer_norm_backward
from numdnc.engines.cpu.kernels.arrays import add, clear_rows, copy
from numdnc.engines.cpu.kernels.compiling import inlined, kernel, loop_entry
from numdnc.engines.cpu.kernels.controller import (
    controller_step,
    controller_step_backward,
    partial_product,
    sum_partial_products,
)
from numdnc.engines.cpu.kernels.interface import (
    parse_interface,
    parse_interface_backward,
    split_memory_interface,
)
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
from numdnc.engines.cpu.kernels.memory import inverse_slot_norms, multiply_reads, multiply_reads_backward
from numdnc.engines.cpu.kernels.products import add_product_transposed
from numdnc.engines.cpu.kernels.rows import gradient_row, state_row, step_row
from numdnc.engines.cpu.kernels.teams import chunk_start, wait_for_team
from numdnc.engines.cpu.kernels.types import (
    Controller,
    ControllerGradient,
    ControllerTape,
    InterfaceParams,
    MemoryGradient,
    MemoryTape,
    Scratch,
    Sizes,
    WorkShare,
)
from numdnc.engines.cpu.kernels.unpacking import sequence_entry


@sequence_entry
def recurrent_forward(
    sizes: Sizes,
    controller: Controller,
    tape: ControllerTape,
    scratch: Scratch,
    work: WorkShare,
):
    """An RNN or LSTM: hidden values of every step."""
    for t in range(sizes.steps):
        controller_step(sizes, controller, tape, scratch.no_reads, scratch.products, work, t)


@sequence_entry
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


@sequence_entry
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
    for m in range(work.own_first_row * sizes.memories, work.own_last_row * sizes.memories):
        inverse_slot_norms(tape.state.inverse_norms[0, m], tape.state.memory[0, m])
    for t in range(sizes.steps):
        controller_step(sizes, controller, controller_tape, reads, scratch.products, work, t)
        hidden = controller_tape.hidden[t + 1, work.first_row : work.last_row]
        partial_product(scratch.products, hidden, interface.weights, work)
        wait_for_team(work)
        for e in range(sizes.memories):
            _write(sizes, interface, tape, scratch, work, t, e)
            if sizes.links:
                if work.link_shares > 1:
                    wait_for_team(work)
                _link(sizes, tape, scratch, work, t, e)
                if work.link_shares > 1:
                    wait_for_team(work)
            _read(sizes, interface, tape, scratch, work, t, e)


@kernel
def _write(sizes, interface, tape, scratch, work, t, e):
    """Compute the interface vector, for the first memory, and memory e after the write."""
    for b in range(work.own_first_row, work.own_last_row):
        m = b * sizes.memories + e
        before = state_row(tape.state, t % sizes.kept_states, m)
        step = step_row(tape.step, t % sizes.kept_steps, b, m)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, m)
        if e == 0:
            interface_vector(sizes, interface, step, scratch, work, b)
        elif sizes.product:
            multiply_reads(step.product, tape.reads[t + 1, m - 1])
        access_write(
            sizes,
            split_memory_interface(step.interface, step.product, sizes.offsets, sizes, e),
            before,
            step,
            after,
            scratch.order[m],
            scratch.kept[m],
        )
        if sizes.links:
            tile_read_weights(sizes, scratch.read_weights[m], before.read_weights)


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
def _link(sizes, tape, scratch, work, t, e):
    """Update and follow this thread's part of the link of memory e."""
    for b in range(work.link_first_row, work.link_last_row):
        m = b * sizes.memories + e
        before = state_row(tape.state, t % sizes.kept_states, m)
        step = step_row(tape.step, t % sizes.kept_steps, b, m)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, m)
        access_links(sizes, tape, scratch, work, t, before, step, after, m)


@kernel
def _read(sizes, interface, tape, scratch, work, t, e):
    """Compute the read weights and the reads of memory e."""
    for b in range(work.own_first_row, work.own_last_row):
        m = b * sizes.memories + e
        step = step_row(tape.step, t % sizes.kept_steps, b, m)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, m)
        if sizes.links:
            sum_backward_weights(sizes, scratch, work, step, m)
        parts = split_memory_interface(step.interface, step.product, sizes.offsets, sizes, e)
        access_read(sizes, parts, step, after, tape.reads[t + 1, m])


@sequence_entry
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
        for e in range(sizes.memories - 1, -1, -1):
            _read_backward(sizes, interface, tape, controller_gradient, gradient, work, t, e)
            if sizes.links:
                if work.link_shares > 1:
                    wait_for_team(work)
                _link_backward(sizes, tape, gradient, work, t, e)
                if work.link_shares > 1:
                    wait_for_team(work)
            _write_backward(sizes, interface, tape, controller_gradient, gradient, work, t, e)
        wait_for_team(work)
        hidden_backward(interface, controller_gradient, gradient, work, t)
        wait_for_team(work)
        controller_step_backward(sizes, controller, controller_tape, controller_gradient, work, t)


@kernel
def _read_backward(sizes, interface, tape, controller_gradient, gradient, work, t, e):
    """`_read` backwards, as far as the links."""
    RW = sizes.heads * sizes.word
    for b in range(work.own_first_row, work.own_last_row):
        m = b * sizes.memories + e
        add(gradient.reads_out[t, m].reshape(RW), controller_gradient.reads[b, e * RW : (e + 1) * RW])
        before = state_row(tape.state, t % sizes.kept_states, m)
        step = step_row(tape.step, t % sizes.kept_steps, b, m)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, m)
        row = gradient_row(gradient.row, m)
        d_xi, d_product = gradient.interface[t, b], gradient.product[b]
        access_read_backward(
            sizes,
            split_memory_interface(d_xi, d_product, sizes.offsets, sizes, e),
            row,
            gradient.reads_out[t, m],
            split_memory_interface(step.interface, step.product, sizes.offsets, sizes, e),
            step,
            after,
        )
        if sizes.links:
            for v in range(sizes.write_heads):
                factor_link_gradient(
                    sizes,
                    gradient.pair[m, v],
                    gradient.factors[m, v],
                    row.backward[v],
                    row.forward[v],
                    before.read_weights,
                )


@kernel
def _link_backward(sizes, tape, gradient, work, t, e):
    """`_link` backwards; at the end of a segment, its links are computed again first."""
    begin = t // sizes.segment * sizes.segment
    for b in range(work.link_first_row, work.link_last_row):
        m = b * sizes.memories + e
        if t == sizes.steps - 1 or (t + 1) % sizes.segment == 0:
            recompute_segment(sizes, tape, gradient, work, begin, t + 1, m)
        access_links_backward(sizes, tape, gradient, work, t, m)


@kernel
def _write_backward(sizes, interface, tape, controller_gradient, gradient, work, t, e):
    """`_write` backwards, from the links to the interface vector."""
    for b in range(work.own_first_row, work.own_last_row):
        m = b * sizes.memories + e
        before = state_row(tape.state, t % sizes.kept_states, m)
        step = step_row(tape.step, t % sizes.kept_steps, b, m)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, m)
        row = gradient_row(gradient.row, m)
        if sizes.links:
            for v in range(sizes.write_heads):
                update_precedence_backward(
                    row.precedence[v], row.write_weights[v], before.precedence[v], after.write_weights[v]
                )
            sum_link_gradients(sizes, gradient, work, m)
        else:
            clear_rows(row.read_weights)
        d_xi, d_product = gradient.interface[t, b], gradient.product[b]
        access_write_backward(
            sizes,
            split_memory_interface(d_xi, d_product, sizes.offsets, sizes, e),
            row,
            split_memory_interface(step.interface, step.product, sizes.offsets, sizes, e),
            before,
            step,
            after,
        )
        if e > 0:
            if sizes.product:
                multiply_reads_backward(gradient.reads_out[t, m - 1], tape.reads[t + 1, m - 1], d_product)
            continue
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


@loop_entry
def add_to_rows(to, rows, source):
    """to[rows[i]] += source[i]: the gradient of indexing."""
    for i in range(len(rows)):
        add(to[rows[i]], source[i])
