"""An NTM: one step of its memory for one sequence, as in reference/ntm.py, and whole sequences.

`before` and `after` are rows of `NTMMemory` around the step, `step` is one of `NTMStep`. N slots, W word, V write
heads; memory by columns (W, N).
"""

from numdnc.engines.cpu.kernels.addressing import address, address_backward
from numdnc.engines.cpu.kernels.arrays import add, clear_rows, copy
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.controller import (
    controller_step,
    controller_step_backward,
    partial_product,
)
from numdnc.engines.cpu.kernels.interface import parse_interface_backward, split_ntm_interface
from numdnc.engines.cpu.kernels.memory import inverse_slot_norms
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed
from numdnc.engines.cpu.kernels.rows import ntm_gradient_row, ntm_row, ntm_step_row
from numdnc.engines.cpu.kernels.sequence import hidden_backward, interface_vector
from numdnc.engines.cpu.kernels.teams import wait_for_team
from numdnc.engines.cpu.kernels.types import (
    Controller,
    ControllerGradient,
    ControllerTape,
    InterfaceParams,
    NTMGradient,
    NTMTape,
    Scratch,
    Sizes,
    WorkShare,
)
from numdnc.engines.cpu.kernels.unpacking import sequence_entry
from numdnc.engines.cpu.kernels.write_heads import write_heads, write_heads_backward


@sequence_entry
def ntm_forward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: NTMTape,
    scratch: Scratch,
    work: WorkShare,
):
    """Hidden values and reads of every step."""
    B = controller_tape.hidden.shape[1]
    reads = tape.reads.reshape(sizes.steps + 1, B, sizes.reads)
    for b in range(work.own_first_row, work.own_last_row):
        inverse_slot_norms(tape.state.inverse_norms[0, b], tape.state.memory[0, b])
    for t in range(sizes.steps):
        controller_step(sizes, controller, controller_tape, reads, scratch.products, work, t)
        hidden = controller_tape.hidden[t + 1, work.first_row : work.last_row]
        partial_product(scratch.products, hidden, interface.weights, work)
        wait_for_team(work)
        _access_rows(sizes, interface, tape, scratch, work, t)


@kernel
def _access_rows(sizes, interface, tape, scratch, work, t):
    """Compute the interface vector, write and read, for this thread's sequences."""
    for b in range(work.own_first_row, work.own_last_row):
        before = ntm_row(tape.state, t % sizes.kept_states, b)
        step = ntm_step_row(tape.step, t % sizes.kept_steps, b)
        after = ntm_row(tape.state, (t + 1) % sizes.kept_states, b)
        interface_vector(sizes, interface, step, scratch, work, b)
        parts = split_ntm_interface(step.interface, sizes.offsets, sizes)
        _access(parts, before, step, after, tape.reads[t + 1, b])


@inlined
def _access(interface, before, step, after, reads):
    """Write where the write heads attend in the memory before, read where the read heads attend in the memory after."""
    address(
        after.write_weights,
        step.write_content,
        step.write_similarity,
        step.write_mixed,
        step.write_shifted,
        before.memory,
        before.inverse_norms,
        before.write_weights,
        interface.write_keys,
        interface.write_strengths,
        interface.write_interpolation,
        interface.write_shifts,
        interface.write_sharpening,
    )
    write_heads(after.memory, before.memory, after.write_weights, interface.erase, interface.write_vectors)
    inverse_slot_norms(after.inverse_norms, after.memory)
    address(
        after.read_weights,
        step.read_content,
        step.read_similarity,
        step.read_mixed,
        step.read_shifted,
        after.memory,
        after.inverse_norms,
        before.read_weights,
        interface.read_keys,
        interface.read_strengths,
        interface.read_interpolation,
        interface.read_shifts,
        interface.read_sharpening,
    )
    clear_rows(reads)
    add_product_transposed(reads, after.read_weights, after.memory)


@sequence_entry
def ntm_backward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: NTMTape,
    controller_gradient: ControllerGradient,
    gradient: NTMGradient,
    work: WorkShare,
):
    """Its gradients, from those of hidden values and reads through the output and those of the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        _access_rows_backward(sizes, interface, tape, controller_gradient, gradient, work, t)
        wait_for_team(work)
        hidden_backward(interface, controller_gradient, gradient, work, t)
        wait_for_team(work)
        controller_step_backward(sizes, controller, controller_tape, controller_gradient, work, t)


@kernel
def _access_rows_backward(sizes, interface, tape, controller_gradient, gradient, work, t):
    """`_access_rows` backwards, to the interface vector and the state before."""
    for b in range(work.own_first_row, work.own_last_row):
        add(gradient.reads_out[t, b].reshape(sizes.reads), controller_gradient.reads[b])
        step = ntm_step_row(tape.step, t % sizes.kept_steps, b)
        d_xi = gradient.interface[t, b]
        _access_backward(
            split_ntm_interface(d_xi, sizes.offsets, sizes),
            ntm_gradient_row(gradient.row, b),
            gradient.reads_out[t, b],
            split_ntm_interface(step.interface, sizes.offsets, sizes),
            ntm_row(tape.state, t % sizes.kept_states, b),
            step,
            ntm_row(tape.state, (t + 1) % sizes.kept_states, b),
        )
        parse_interface_backward(d_xi, step.interface, interface.spans)
        copy(controller_gradient.hidden_now[b], controller_gradient.hidden_out[t, b])


@inlined
def _access_backward(d_interface, gradient, d_reads, interface, before, step, after):
    """`_access` backwards: in place, the gradients with respect to the state after become those of the state before."""
    add_product(gradient.read_weights, d_reads, after.memory)
    add_product(gradient.memory, d_reads.T, after.read_weights)
    address_backward(
        gradient.memory,
        gradient.read_weights,
        d_interface.read_keys,
        d_interface.read_strengths,
        d_interface.read_interpolation,
        d_interface.read_shifts,
        d_interface.read_sharpening,
        gradient.read_content,
        gradient.scratch,
        after.read_weights,
        step.read_content,
        step.read_similarity,
        step.read_mixed,
        step.read_shifted,
        after.memory,
        after.inverse_norms,
        before.read_weights,
        interface.read_keys,
        interface.read_strengths,
        interface.read_interpolation,
        interface.read_shifts,
        interface.read_sharpening,
    )
    write_heads_backward(
        gradient.memory,
        gradient.write_weights,
        d_interface.erase,
        d_interface.write_vectors,
        gradient.scratch,
        before.memory,
        after.write_weights,
        interface.erase,
        interface.write_vectors,
    )
    address_backward(
        gradient.memory,
        gradient.write_weights,
        d_interface.write_keys,
        d_interface.write_strengths,
        d_interface.write_interpolation,
        d_interface.write_shifts,
        d_interface.write_sharpening,
        gradient.write_content,
        gradient.scratch,
        after.write_weights,
        step.write_content,
        step.write_similarity,
        step.write_mixed,
        step.write_shifted,
        before.memory,
        before.inverse_norms,
        before.write_weights,
        interface.write_keys,
        interface.write_strengths,
        interface.write_interpolation,
        interface.write_shifts,
        interface.write_sharpening,
    )
