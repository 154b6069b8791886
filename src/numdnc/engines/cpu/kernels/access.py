"""One step of the external memory, for one sequence: the paper's mechanisms in the paper's order, and back.

`before` and `after` are the states around the step, `now` the step, as the tape counts them.
"""

from numdnc.engines.cpu.kernels.allocation import (
    allocate,
    allocate_backward,
    retain,
    retain_backward,
    sort_slots,
    update_usage,
    update_usage_backward,
)
from numdnc.engines.cpu.kernels.arrays import add, clear, clear_rows, copy, copy_rows
from numdnc.engines.cpu.kernels.compiling import inlined
from numdnc.engines.cpu.kernels.content import (
    look_up,
    look_up_backward,
    look_up_masked,
    look_up_masked_backward,
)
from numdnc.engines.cpu.kernels.interface import activate_interface, activate_interface_backward
from numdnc.engines.cpu.kernels.linkage import (
    ROWS,
    link_backward,
    run_again,
    sharpen,
    sharpen_backward,
    update_and_follow,
    update_precedence,
    update_precedence_backward,
    updated_link,
)
from numdnc.engines.cpu.kernels.memory import (
    measure_slots,
    mix_read_weights,
    mix_read_weights_backward,
    mix_write_weights,
    mix_write_weights_backward,
    write,
    write_backward,
    write_wiped,
    write_wiped_backward,
)
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed


@inlined
def part(xi, first, rows, columns):
    """(rows, columns) of an interface vector, from its number `first` on."""
    return xi[first : first + rows * columns].reshape(rows, columns)


@inlined
def write_step(sizes, at, tape, scratch, now, before, after, b):
    """Free, allocate, write: memory, usage, precedence and write weights after."""
    R, W = sizes.heads, sizes.word
    xi = tape.interface[now, b]
    activate_interface(xi, at, sizes)
    retention, usage, write_weights = (
        tape.retention[now, b],
        tape.usage[after, b],
        tape.write_weights[after, b],
    )
    free_gates = xi[at.free_gates : at.free_gates + R]
    retain(retention, tape.read_weights[before, b], free_gates)
    update_usage(usage, tape.usage[before, b], tape.write_weights[before, b], retention)
    order, allocation, content = tape.order[now, b], tape.allocation[now, b], tape.write_content[now, b]
    sort_slots(order, usage, scratch.order[b])
    allocate(allocation, order, usage)
    key, strength = part(xi, at.write_key, 1, W), xi[at.write_strength : at.write_strength + 1]
    if sizes.masking:
        look_up_masked(
            content,
            tape.write_similarity[now, b],
            tape.write_norms[now, b],
            tape.memory[before, b],
            key,
            strength,
            part(xi, at.write_mask, 1, W),
            sizes.mask_floor,
        )
    else:
        look_up(
            content,
            tape.write_similarity[now, b],
            tape.memory[before, b],
            tape.inverse_norms[before, b],
            key,
            strength,
        )
    mix_write_weights(write_weights, allocation, content[0], xi[at.allocation_gate], xi[at.write_gate])
    erase, vector = xi[at.erase : at.erase + W], xi[at.write_vector : at.write_vector + W]
    if sizes.deallocation:
        write_wiped(tape.memory[after, b], tape.memory[before, b], retention, write_weights, erase, vector)
    else:
        write(tape.memory[after, b], tape.memory[before, b], write_weights, erase, vector)
    if not sizes.masking:
        measure_slots(tape.inverse_norms[after, b], tape.memory[after, b])
    if sizes.links:
        update_precedence(tape.precedence[after, b], tape.precedence[before, b], write_weights)


@inlined
def link_step(sizes, tape, scratch, place, t, now, before, after, b):
    """A thread's part of a sequence's links: kept, updated, followed."""
    first, last = place.slot_first, place.slot_last
    link = scratch.link[b]
    if len(tape.links) and t % sizes.segment == 0:
        copy_rows(tape.links[t // sizes.segment, b, first:last], link[first:last])
    forward = tape.blurred_forward if sizes.sharpness else tape.forward
    forward_rows, backward = forward[now, b], scratch.backward[place.link_part, b]
    for i in range(len(forward_rows)):
        clear(forward_rows[i, first:last])
    clear_rows(backward)
    update_and_follow(
        link,
        first,
        last,
        tape.write_weights[after, b],
        tape.precedence[before, b],
        tape.read_weights[before, b],
        forward_rows,
        backward,
    )


@inlined
def read_step(sizes, at, tape, scratch, place, t, now, after, b):
    """Read: read weights and reads after."""
    R, W = sizes.heads, sizes.word
    xi, memory = tape.interface[now, b], tape.memory[after, b]
    content = tape.read_content[now, b]
    keys, strengths = part(xi, at.read_keys, R, W), xi[at.read_strengths : at.read_strengths + R]
    if sizes.masking:
        look_up_masked(
            content,
            tape.read_similarity[now, b],
            tape.read_norms[now, b],
            memory,
            keys,
            strengths,
            part(xi, at.read_masks, R, W),
            sizes.mask_floor,
        )
    else:
        look_up(content, tape.read_similarity[now, b], memory, tape.inverse_norms[after, b], keys, strengths)
    read_weights, reads = tape.read_weights[after, b], tape.reads[t + 1, b].reshape(R, W)
    if sizes.links:
        forward, backward = tape.forward[now, b], tape.backward[now, b]
        if sizes.sharpness:
            blurred = tape.blurred_backward[now, b]
            _gather_backward(blurred, scratch, place, b)
            sharpen(backward, blurred, xi[at.backward_sharpness : at.backward_sharpness + R])
            sharpen(
                forward, tape.blurred_forward[now, b], xi[at.forward_sharpness : at.forward_sharpness + R]
            )
        else:
            _gather_backward(backward, scratch, place, b)
        mix_read_weights(read_weights, backward, content, forward, part(xi, at.read_modes, R, 3))
    else:
        copy_rows(read_weights, content)
    clear_rows(reads)
    add_product_transposed(reads, read_weights, memory)


@inlined
def _gather_backward(backward, scratch, place, b):
    """backward (R, N) = the sum of what the members found."""
    for i in range(len(backward)):
        copy(backward[i], scratch.backward[0, b, i])
        for p in range(1, place.link_parts):
            add(backward[i], scratch.backward[p, b, i])


@inlined
def read_step_backward(sizes, at, tape, gradient, t, now, before, after, b):
    """Back through the reads to the contents read, the ways along the links, and the links themselves."""
    R, W = sizes.heads, sizes.word
    xi, d_xi = tape.interface[now, b], gradient.interface[t, b]
    memory, read_weights = tape.memory[after, b], tape.read_weights[after, b]
    d_reads, d_weights = gradient.reads_out[t, b].reshape(R, W), gradient.weights_now[b]
    d_memory = gradient.memory[b]
    copy_rows(d_weights, gradient.read_weights[b])
    add_product(d_weights, d_reads, memory)
    add_product(d_memory, d_reads.T, read_weights)
    d_content = gradient.content[b]
    if sizes.links:
        d_forward, d_backward = gradient.forward[b], gradient.backward[b]
        mix_read_weights_backward(
            part(d_xi, at.read_modes, R, 3),
            d_backward,
            d_content,
            d_forward,
            d_weights,
            tape.backward[now, b],
            tape.read_content[now, b],
            tape.forward[now, b],
            part(xi, at.read_modes, R, 3),
        )
        if sizes.sharpness:
            sharpen_backward(
                d_backward,
                d_xi[at.backward_sharpness : at.backward_sharpness + R],
                tape.blurred_backward[now, b],
                xi[at.backward_sharpness : at.backward_sharpness + R],
                tape.backward[now, b],
            )
            sharpen_backward(
                d_forward,
                d_xi[at.forward_sharpness : at.forward_sharpness + R],
                tape.blurred_forward[now, b],
                xi[at.forward_sharpness : at.forward_sharpness + R],
                tape.forward[now, b],
            )
        _pair_up(gradient, tape.read_weights[before, b], b, R)
    else:
        copy_rows(d_content, d_weights)
    keys, strengths = part(xi, at.read_keys, R, W), xi[at.read_strengths : at.read_strengths + R]
    d_keys, d_strengths = part(d_xi, at.read_keys, R, W), d_xi[at.read_strengths : at.read_strengths + R]
    if sizes.masking:
        look_up_masked_backward(
            d_memory,
            d_keys,
            d_strengths,
            part(d_xi, at.read_masks, R, W),
            d_content,
            gradient.shrink[b],
            tape.read_content[now, b],
            tape.read_similarity[now, b],
            tape.read_norms[now, b],
            memory,
            keys,
            strengths,
            part(xi, at.read_masks, R, W),
            sizes.mask_floor,
        )
    else:
        look_up_backward(
            d_memory,
            d_keys,
            d_strengths,
            d_content,
            gradient.shrink[b],
            tape.read_content[now, b],
            tape.read_similarity[now, b],
            memory,
            tape.inverse_norms[after, b],
            keys,
            strengths,
        )


@inlined
def _pair_up(gradient, read_weights, b, R):
    """dL gains dfwd w^r^T + w^r dbwd^T: as one product of `factors` (N, 2 R) and `pair` (2 R, N)."""
    pair, factors = gradient.pair[b], gradient.factors[b]
    d_forward, d_backward = gradient.forward[b], gradient.backward[b]
    for i in range(R):
        copy(pair[i], read_weights[i])
        copy(pair[R + i], d_backward[i])
    for n in range(len(factors)):
        for i in range(R):
            factors[n, i] = d_forward[i, n]
            factors[n, R + i] = read_weights[i, n]


@inlined
def rerun_segment(sizes, tape, gradient, place, begin, end, b):
    """The links before steps begin, begin + stride, ... of the segment that ends before step `end`, from that kept."""
    last = place.slot_last
    i = place.slot_first
    while i < last:
        stop = min(i + ROWS, last)
        copy_rows(gradient.links[0, b, i:stop], tape.links[begin // sizes.segment, b, i:stop])
        t = begin + sizes.stride
        while t < end:
            saved = (t - begin) // sizes.stride
            rows = gradient.links[saved, b, i:stop]
            step = t - sizes.stride
            updated_link(
                rows,
                gradient.links[saved - 1, b, i:stop],
                i,
                tape.write_weights[step + 1, b],
                tape.precedence[step, b],
            )
            run_again(rows, i, tape.write_weights, tape.precedence, step + 1, t, b)
            t += sizes.stride
        i = stop


@inlined
def link_step_backward(sizes, tape, gradient, place, t, b):
    """A thread's part of a sequence's links, backwards."""
    d_reads = gradient.members_reads[place.link_part, b]
    d_rows = gradient.members_writes[place.link_part, 0, b]
    d_columns = gradient.members_writes[place.link_part, 1, b]
    d_precedence = gradient.members_precedence[place.link_part, b]
    clear_rows(d_reads)
    clear(d_rows)
    clear(d_columns)
    clear(d_precedence)
    begin = t // sizes.segment * sizes.segment
    saved = (t - begin) // sizes.stride
    saved_step = begin + saved * sizes.stride
    write_weights, precedence = tape.write_weights[t + 1, b], tape.precedence[t, b]
    i, last = place.slot_first, place.slot_last
    while i < last:
        stop = min(i + ROWS, last)
        before, after = gradient.rows[place.thread, 0, : stop - i], gradient.rows[place.thread, 1, : stop - i]
        rows = gradient.links[saved, b, i:stop]
        if saved_step < t:
            updated_link(
                before, rows, i, tape.write_weights[saved_step + 1, b], tape.precedence[saved_step, b]
            )
            run_again(before, i, tape.write_weights, tape.precedence, saved_step + 1, t, b)
            rows = before
        updated_link(after, rows, i, write_weights, precedence)
        link_backward(
            gradient.link[b, i:stop],
            d_reads,
            d_rows,
            d_columns,
            d_precedence,
            i,
            stop,
            rows,
            after,
            gradient.forward[b],
            gradient.backward[b],
            gradient.pair[b],
            gradient.factors[b, i:stop],
            write_weights,
            precedence,
        )
        i = stop


@inlined
def write_step_backward(sizes, at, tape, gradient, place, t, now, before, after, b):
    """Back through the write to the state before."""
    R, W = sizes.heads, sizes.word
    xi, d_xi = tape.interface[now, b], gradient.interface[t, b]
    write_weights, retention = tape.write_weights[after, b], tape.retention[now, b]
    d_write_weights, d_read_weights = gradient.write_weights[b], gradient.read_weights[b]
    if sizes.links:
        update_precedence_backward(
            gradient.precedence[b], d_write_weights, tape.precedence[before, b], write_weights
        )
        _gather_link_gradients(gradient, place, b)
    else:
        clear_rows(d_read_weights)
    erase, vector = xi[at.erase : at.erase + W], xi[at.write_vector : at.write_vector + W]
    d_erase, d_vector = d_xi[at.erase : at.erase + W], d_xi[at.write_vector : at.write_vector + W]
    memory, d_memory, d_retention = tape.memory[before, b], gradient.memory[b], gradient.retention[b]
    d_wiped = gradient.wiped[b]
    if sizes.deallocation:
        clear(d_wiped)
        write_wiped_backward(
            d_memory,
            d_wiped,
            d_write_weights,
            d_erase,
            d_vector,
            memory,
            retention,
            write_weights,
            erase,
            vector,
        )
    else:
        write_backward(d_memory, d_write_weights, d_erase, d_vector, memory, write_weights, erase, vector)
    d_allocation, d_content = gradient.allocation[b], gradient.write_content[b]
    d_xi[at.allocation_gate], d_xi[at.write_gate] = mix_write_weights_backward(
        d_allocation,
        d_content[0],
        d_write_weights,
        tape.allocation[now, b],
        tape.write_content[now, b, 0],
        xi[at.allocation_gate],
        xi[at.write_gate],
    )
    key, strength = part(xi, at.write_key, 1, W), xi[at.write_strength : at.write_strength + 1]
    d_key, d_strength = part(d_xi, at.write_key, 1, W), d_xi[at.write_strength : at.write_strength + 1]
    if sizes.masking:
        look_up_masked_backward(
            d_memory,
            d_key,
            d_strength,
            part(d_xi, at.write_mask, 1, W),
            d_content,
            gradient.shrink[b],
            tape.write_content[now, b],
            tape.write_similarity[now, b],
            tape.write_norms[now, b],
            memory,
            key,
            strength,
            part(xi, at.write_mask, 1, W),
            sizes.mask_floor,
        )
    else:
        look_up_backward(
            d_memory,
            d_key,
            d_strength,
            d_content,
            gradient.shrink[b],
            tape.write_content[now, b],
            tape.write_similarity[now, b],
            memory,
            tape.inverse_norms[before, b],
            key,
            strength,
        )
    d_usage = gradient.usage[b]
    allocate_backward(d_usage, d_allocation, tape.order[now, b], tape.usage[after, b], gradient.shrink[b])
    update_usage_backward(
        d_usage, d_write_weights, d_retention, tape.usage[before, b], tape.write_weights[before, b], retention
    )
    if sizes.deallocation:
        add(d_retention, d_wiped)
    retain_backward(
        d_read_weights,
        d_xi[at.free_gates : at.free_gates + R],
        d_retention,
        tape.read_weights[before, b],
        xi[at.free_gates : at.free_gates + R],
        gradient.shrink[b],
    )
    activate_interface_backward(d_xi, xi, at, sizes)


@inlined
def _gather_link_gradients(gradient, place, b):
    """Add up what the members found: by precedence, write weights, and (set) the read weights before."""
    for p in range(place.link_parts):
        add(gradient.precedence[b], gradient.members_precedence[p, b])
        add(gradient.write_weights[b], gradient.members_writes[p, 0, b])
        add(gradient.write_weights[b], gradient.members_writes[p, 1, b])
    d_read_weights = gradient.read_weights[b]
    for i in range(len(d_read_weights)):
        copy(d_read_weights[i], gradient.members_reads[0, b, i])
        for p in range(1, place.link_parts):
            add(d_read_weights[i], gradient.members_reads[p, b, i])
