"""A whole sequence, forward and backward: one compiled call per thread."""

from numdnc.engines.cpu.kernels.access import (
    read_step,
    read_step_backward,
    write_step,
    write_step_backward,
)
from numdnc.engines.cpu.kernels.activations import layer_norm, layer_norm_backward
from numdnc.engines.cpu.kernels.arrays import add, copy
from numdnc.engines.cpu.kernels.compiling import entry, inlined
from numdnc.engines.cpu.kernels.controller import (
    controller_step,
    controller_step_backward,
    partial_product,
    sum_partial_products,
)
from numdnc.engines.cpu.kernels.link_tiles import link_step, link_step_backward, recompute_segment
from numdnc.engines.cpu.kernels.memory import inverse_slot_norms
from numdnc.engines.cpu.kernels.products import add_product_transposed
from numdnc.engines.cpu.kernels.teams import chunk_start, wait_for_team


@entry
def recurrent_forward(sizes, controller, tape, reads, products, work):
    """An RNN or LSTM: hidden values of every step. reads (T + 1, B, 0)."""
    for t in range(sizes.steps):
        controller_step(sizes, controller, tape, reads, products, work, t)


@entry
def recurrent_backward(sizes, controller, tape, gradient, work):
    """Its gradients, from gradient.hidden_out and those by the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        for b in range(work.own_first_row, work.own_last_row):
            copy(gradient.hidden_now[b], gradient.hidden_out[t, b])
        controller_step_backward(sizes, controller, tape, gradient, work, t)


@entry
def dnc_forward(sizes, controller, interface, controller_tape, tape, scratch, work):
    """A DNC: hidden values and reads of every step."""
    B = controller_tape.hidden.shape[1]
    reads = tape.reads.reshape(sizes.steps + 1, B, sizes.reads)
    for b in range(work.own_first_row, work.own_last_row):
        inverse_slot_norms(tape.inverse_norms[0, b], tape.memory[0, b])
    for t in range(sizes.steps):
        now, before, after = t % sizes.kept_steps, t % sizes.kept_states, (t + 1) % sizes.kept_states
        controller_step(sizes, controller, controller_tape, reads, scratch.products, work, t)
        hidden = controller_tape.hidden[t + 1, work.first_row : work.last_row]
        partial_product(scratch.products, hidden, interface.weights, work)
        wait_for_team(work)
        for b in range(work.own_first_row, work.own_last_row):
            _interface_vector(sizes, interface, tape, scratch, work, now, b)
            write_step(sizes, interface.at, tape, scratch, now, before, after, b)
        if sizes.links:
            if work.link_shares > 1:
                wait_for_team(work)
            for b in range(work.link_first_row, work.link_last_row):
                link_step(sizes, tape, scratch, work, t, now, before, after, b)
            if work.link_shares > 1:
                wait_for_team(work)
        for b in range(work.own_first_row, work.own_last_row):
            read_step(sizes, interface.at, tape, scratch, work, t, now, after, b)


@inlined
def _interface_vector(sizes, interface, tape, scratch, work, now, b):
    """xi = h_all W_xi + b_xi, with layer norm of the product if there is any."""
    xi = tape.interface[now, b]
    sum_partial_products(xi, scratch.products, b, interface.weights.shape[1], work)
    if sizes.normalised:
        tape.interface_deviation[now, b] = layer_norm(
            xi, tape.interface_standard[now, b], interface.gain, interface.bias
        )
    else:
        add(xi, interface.bias)


@entry
def dnc_backward(sizes, controller, interface, controller_tape, tape, by_controller, gradient, work):
    """Its gradients, from those by hidden values and reads on their way to the output and by the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        now, before, after = t % sizes.kept_steps, t % sizes.kept_states, (t + 1) % sizes.kept_states
        for b in range(work.own_first_row, work.own_last_row):
            add(gradient.reads_out[t, b].reshape(sizes.reads), by_controller.reads[b])
            read_step_backward(sizes, interface.at, tape, gradient, t, now, before, after, b)
        if sizes.links:
            if work.link_shares > 1:
                wait_for_team(work)
            begin = t // sizes.segment * sizes.segment
            for b in range(work.link_first_row, work.link_last_row):
                if t == sizes.steps - 1 or (t + 1) % sizes.segment == 0:
                    recompute_segment(sizes, tape, gradient, work, begin, t + 1, b)
                link_step_backward(sizes, tape, gradient, work, t, b)
            if work.link_shares > 1:
                wait_for_team(work)
        for b in range(work.own_first_row, work.own_last_row):
            write_step_backward(sizes, interface.at, tape, gradient, work, t, now, before, after, b)
            d_xi = gradient.interface[t, b]
            if sizes.normalised:
                copy(gradient.interface_out[t, b], d_xi)
                layer_norm_backward(
                    d_xi, tape.interface_standard[now, b], tape.interface_deviation[now, b], interface.gain
                )
            copy(by_controller.hidden_now[b], by_controller.hidden_out[t, b])
        wait_for_team(work)
        _hidden_backward(interface, by_controller, gradient, work, t)
        wait_for_team(work)
        controller_step_backward(sizes, controller, controller_tape, by_controller, work, t)


@inlined
def _hidden_backward(interface, by_controller, gradient, work, t):
    """A member's part of dh_all += dxi W_xi^T: some of the hidden values."""
    count = len(interface.weights)
    first, last = (
        chunk_start(count, work.rank, work.team_size),
        chunk_start(count, work.rank + 1, work.team_size),
    )
    add_product_transposed(
        by_controller.hidden_now[work.first_row : work.last_row, first:last],
        gradient.interface[t, work.first_row : work.last_row],
        interface.weights[first:last],
    )


@entry
def add_to_rows(to, rows, source):
    """to[rows[i]] += source[i]: the gradient of a look-up."""
    for i in range(len(rows)):
        add(to[rows[i]], source[i])
