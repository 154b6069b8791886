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
    gather_product,
    share_product,
)
from numdnc.engines.cpu.kernels.links import link_step, link_step_backward, rerun_segment
from numdnc.engines.cpu.kernels.memory import measure_slots
from numdnc.engines.cpu.kernels.products import add_product_transposed
from numdnc.engines.cpu.kernels.teams import share, wait


@entry
def recurrent_forward(sizes, controller, tape, reads, products, place):
    """An RNN or LSTM: hidden values of every step. reads (T + 1, B, 0)."""
    for t in range(sizes.steps):
        controller_step(sizes, controller, tape, reads, products, place, t)


@entry
def recurrent_backward(sizes, controller, tape, gradient, place):
    """Its gradients, from gradient.hidden_out and those by the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        for b in range(place.own_first, place.own_last):
            copy(gradient.hidden_now[b], gradient.hidden_out[t, b])
        controller_step_backward(sizes, controller, tape, gradient, place, t)


@entry
def dnc_forward(sizes, controller, interface, controller_tape, tape, scratch, place):
    """A DNC: hidden values and reads of every step."""
    B = controller_tape.hidden.shape[1]
    reads = tape.reads.reshape(sizes.steps + 1, B, sizes.reads)
    for b in range(place.own_first, place.own_last):
        measure_slots(tape.inverse_norms[0, b], tape.memory[0, b])
    for t in range(sizes.steps):
        now, before, after = t % sizes.kept_steps, t % sizes.kept_states, (t + 1) % sizes.kept_states
        controller_step(sizes, controller, controller_tape, reads, scratch.products, place, t)
        hidden = controller_tape.hidden[t + 1, place.first : place.last]
        share_product(scratch.products, hidden, interface.weights, place)
        wait(place)
        for b in range(place.own_first, place.own_last):
            _make_interface(sizes, interface, tape, scratch, place, now, b)
            write_step(sizes, interface.at, tape, scratch, now, before, after, b)
        if sizes.links:
            if place.link_parts > 1:
                wait(place)
            for b in range(place.link_first, place.link_last):
                link_step(sizes, tape, scratch, place, t, now, before, after, b)
            if place.link_parts > 1:
                wait(place)
        for b in range(place.own_first, place.own_last):
            read_step(sizes, interface.at, tape, scratch, place, t, now, after, b)


@inlined
def _make_interface(sizes, interface, tape, scratch, place, now, b):
    """xi = h_all W_xi + b_xi, with layer norm of the product if there is any."""
    xi = tape.interface[now, b]
    gather_product(xi, scratch.products, b, interface.weights.shape[1], place)
    if sizes.normalised:
        tape.interface_deviation[now, b] = layer_norm(
            xi, tape.interface_standard[now, b], interface.gain, interface.bias
        )
    else:
        add(xi, interface.bias)


@entry
def dnc_backward(sizes, controller, interface, controller_tape, tape, by_controller, gradient, place):
    """Its gradients, from those by hidden values and reads on their way to the output and by the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        now, before, after = t % sizes.kept_steps, t % sizes.kept_states, (t + 1) % sizes.kept_states
        for b in range(place.own_first, place.own_last):
            add(gradient.reads_out[t, b].reshape(sizes.reads), by_controller.reads[b])
            read_step_backward(sizes, interface.at, tape, gradient, t, now, before, after, b)
        if sizes.links:
            if place.link_parts > 1:
                wait(place)
            begin = t // sizes.segment * sizes.segment
            for b in range(place.link_first, place.link_last):
                if t == sizes.steps - 1 or (t + 1) % sizes.segment == 0:
                    rerun_segment(sizes, tape, gradient, place, begin, t + 1, b)
                link_step_backward(sizes, tape, gradient, place, t, b)
            if place.link_parts > 1:
                wait(place)
        for b in range(place.own_first, place.own_last):
            write_step_backward(sizes, interface.at, tape, gradient, place, t, now, before, after, b)
            d_xi = gradient.interface[t, b]
            if sizes.normalised:
                copy(gradient.interface_out[t, b], d_xi)
                layer_norm_backward(
                    d_xi, tape.interface_standard[now, b], tape.interface_deviation[now, b], interface.gain
                )
            copy(by_controller.hidden_now[b], by_controller.hidden_out[t, b])
        wait(place)
        _share_hidden_backward(interface, by_controller, gradient, place, t)
        wait(place)
        controller_step_backward(sizes, controller, controller_tape, by_controller, place, t)


@inlined
def _share_hidden_backward(interface, by_controller, gradient, place, t):
    """A member's part of dh_all += dxi W_xi^T: some of the hidden values."""
    count = len(interface.weights)
    first, last = share(count, place.member, place.members), share(count, place.member + 1, place.members)
    add_product_transposed(
        by_controller.hidden_now[place.first : place.last, first:last],
        gradient.interface[t, place.first : place.last],
        interface.weights[first:last],
    )


@entry
def add_to_rows(to, rows, source):
    """to[rows[i]] += source[i]: the gradient of a look-up."""
    for i in range(len(rows)):
        add(to[rows[i]], source[i])
