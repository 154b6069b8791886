"""A whole sequence of a model with sparse memory, forward and backward: one compiled call per thread."""

from numdnc.engines.cpu.kernels.activations import layer_norm_backward
from numdnc.engines.cpu.kernels.arrays import add, copy
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.controller import (
    controller_step,
    controller_step_backward,
    partial_product,
)
from numdnc.engines.cpu.kernels.interface import parse_interface_backward, split_interface
from numdnc.engines.cpu.kernels.sequence import hidden_backward, interface_vector
from numdnc.engines.cpu.kernels.sparse.access import (
    prepare_search,
    read_content,
    read_step,
    read_step_backward,
    write_step,
    write_step_backward,
)
from numdnc.engines.cpu.kernels.sparse.rows import (
    gradient_row,
    memory_row,
    recency_row,
    scratch_row,
    state_row,
    step_row,
)
from numdnc.engines.cpu.kernels.sparse.search import merge_candidates, search
from numdnc.engines.cpu.kernels.sparse.types import SparseGradient, SparseScratch, SparseTape
from numdnc.engines.cpu.kernels.teams import wait_for_team
from numdnc.engines.cpu.kernels.types import (
    Controller,
    ControllerGradient,
    ControllerTape,
    InterfaceParams,
    Sizes,
    WorkShare,
)
from numdnc.engines.cpu.kernels.unpacking import sequence_entry


@sequence_entry
def sparse_forward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: SparseTape,
    scratch: SparseScratch,
    work: WorkShare,
):
    """Hidden values and reads of every step."""
    B = controller_tape.hidden.shape[1]
    reads = tape.reads.reshape(sizes.steps + 1, B, sizes.reads)
    for t in range(sizes.steps):
        controller_step(sizes, controller, controller_tape, reads, scratch.products, work, t)
        hidden = controller_tape.hidden[t + 1, work.first_row : work.last_row]
        partial_product(scratch.products, hidden, interface.weights, work)
        wait_for_team(work)
        _prepare(sizes, interface, tape, scratch, work, t)
        if work.link_shares > 1:
            wait_for_team(work)
        _search(sizes, interface, tape, scratch, work, t)
        if work.link_shares > 1:
            wait_for_team(work)
        _access(sizes, interface, tape, scratch, work, t)


@kernel
def _prepare(sizes, interface, tape, scratch, work, t):
    """Compute the interface vector."""
    for b in range(work.own_first_row, work.own_last_row):
        step = step_row(tape.step, t % sizes.kept_steps, b)
        interface_vector(sizes, interface, step, scratch, work, b)
        prepare_search(
            sizes, scratch_row(scratch.row, b), split_interface(step.interface, sizes.offsets, sizes)
        )


@kernel
def _search(sizes, interface, tape, scratch, work, t):
    """Search this thread's part of the memory for what is like the keys."""
    blocks = tape.now.memory.shape[1]
    first = blocks * work.link_share // work.link_shares
    last = blocks * (work.link_share + 1) // work.link_shares
    for b in range(work.link_first_row, work.link_last_row):
        step, now = step_row(tape.step, t % sizes.kept_steps, b), memory_row(tape.now, b)
        search(
            sizes,
            scratch.best_slots[work.thread, b],
            scratch.best_scores[work.thread, b],
            scratch.scores[work.thread],
            scratch.masked_norms[work.thread],
            scratch.squares[work.thread],
            split_interface(step.interface, sizes.offsets, sizes),
            scratch_row(scratch.row, b),
            now.memory,
            now.inverse_norms,
            first,
            last,
        )


@kernel
def _access(sizes, interface, tape, scratch, work, t):
    """Write, link and read."""
    for b in range(work.own_first_row, work.own_last_row):
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        now, row, recency = (
            memory_row(tape.now, b),
            scratch_row(scratch.row, b),
            recency_row(scratch.recency, b),
        )
        leader = work.leader if work.link_shares > 1 else work.thread
        candidates, best = scratch.best_slots[leader, b], scratch.best_scores[leader, b]
        for member in range(1, work.link_shares):
            merge_candidates(
                candidates,
                best,
                scratch.best_slots[leader + member, b],
                scratch.best_scores[leader + member, b],
            )
        parts, last = split_interface(step.interface, sizes.offsets, sizes), len(candidates) - 1
        write_step(sizes, now, step, recency, row, parts, before, after, candidates[last], best[last])
        read_content(
            sizes,
            now,
            step,
            row,
            parts,
            candidates,
            best,
            scratch.scores[work.thread],
            scratch.masked_norms[work.thread],
            scratch.squares[work.thread],
        )
        read_step(sizes, now, step, recency, row, parts, before, after, tape.reads[t + 1, b], t + 1)


@sequence_entry
def sparse_backward(
    sizes: Sizes,
    controller: Controller,
    interface: InterfaceParams,
    controller_tape: ControllerTape,
    tape: SparseTape,
    controller_gradient: ControllerGradient,
    gradient: SparseGradient,
    work: WorkShare,
):
    """Its gradients, from those of hidden values and reads through the output and those of the final state."""
    for t in range(sizes.steps - 1, -1, -1):
        _access_backward(sizes, interface, tape, controller_gradient, gradient, work, t)
        wait_for_team(work)
        hidden_backward(interface, controller_gradient, gradient, work, t)
        wait_for_team(work)
        controller_step_backward(sizes, controller, controller_tape, controller_gradient, work, t)


@kernel
def _access_backward(sizes, interface, tape, controller_gradient, gradient, work, t):
    """`_access` and `_prepare` backwards, to the product with the interface's weights."""
    for b in range(work.own_first_row, work.own_last_row):
        add(gradient.reads_out[t, b].reshape(sizes.reads), controller_gradient.reads[b])
        before = state_row(tape.state, t % sizes.kept_states, b)
        step = step_row(tape.step, t % sizes.kept_steps, b)
        after = state_row(tape.state, (t + 1) % sizes.kept_states, b)
        now, row = memory_row(gradient.now, b), scratch_row(gradient.scratch, b)
        d_row, d_xi = gradient_row(gradient.row, b), gradient.interface[t, b]
        parts = split_interface(step.interface, sizes.offsets, sizes)
        d_parts = split_interface(d_xi, sizes.offsets, sizes)
        read_step_backward(
            sizes, d_parts, d_row, gradient.reads_out[t, b], parts, now, step, row, before, after
        )
        write_step_backward(sizes, d_parts, d_row, parts, now, step, row, before, after)
        parse_interface_backward(d_xi, step.interface, interface.spans)
        if sizes.normalised:
            copy(gradient.interface_out[t, b], d_xi)
            layer_norm_backward(d_xi, step.interface_standard, step.interface_deviation[0], interface.gain)
        copy(controller_gradient.hidden_now[b], controller_gradient.hidden_out[t, b])
