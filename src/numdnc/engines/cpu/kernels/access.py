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
from numdnc.engines.cpu.kernels.arrays import add, as_matrix, clear, clear_rows, copy_rows
from numdnc.engines.cpu.kernels.compiling import inlined
from numdnc.engines.cpu.kernels.content import (
    content_weights,
    content_weights_backward,
    masked_content_weights,
    masked_content_weights_backward,
)
from numdnc.engines.cpu.kernels.interface import parse_interface, parse_interface_backward
from numdnc.engines.cpu.kernels.link_tiles import (
    factor_link_gradient,
    sum_backward_weights,
    sum_link_gradients,
    tile_read_weights,
)
from numdnc.engines.cpu.kernels.linkage import (
    sharpen,
    sharpen_backward,
    update_precedence,
    update_precedence_backward,
)
from numdnc.engines.cpu.kernels.memory import (
    deallocate_and_write,
    deallocate_and_write_backward,
    inverse_slot_norms,
    read_weights,
    read_weights_backward,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed


@inlined
def write_step(sizes, at, tape, scratch, now, before, after, b):
    """Free, allocate, write: memory, usage, precedence and write weights after."""
    R, W = sizes.heads, sizes.word
    xi = tape.interface[now, b]
    parse_interface(xi, at)
    retention, usage, weights = (
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
    key, strength = as_matrix(xi, at.write_key, 1, W), xi[at.write_strength : at.write_strength + 1]
    if sizes.masking:
        masked_content_weights(
            content,
            tape.write_similarity[now, b],
            tape.write_norms[now, b],
            tape.memory[before, b],
            key,
            strength,
            as_matrix(xi, at.write_mask, 1, W),
            sizes.mask_floor,
        )
    else:
        content_weights(
            content,
            tape.write_similarity[now, b],
            tape.memory[before, b],
            tape.inverse_norms[before, b],
            key,
            strength,
        )
    write_weights(weights, allocation, content[0], xi[at.allocation_gate], xi[at.write_gate])
    erase, vector = xi[at.erase : at.erase + W], xi[at.write_vector : at.write_vector + W]
    if sizes.deallocation:
        deallocate_and_write(tape.memory[after, b], tape.memory[before, b], retention, weights, erase, vector)
    else:
        write(tape.memory[after, b], tape.memory[before, b], weights, erase, vector)
    if not sizes.masking:
        inverse_slot_norms(tape.inverse_norms[after, b], tape.memory[after, b])
    if sizes.links:
        update_precedence(tape.precedence[after, b], tape.precedence[before, b], weights)
        tile_read_weights(sizes, scratch.read_weights[b], tape.read_weights[before, b])


@inlined
def read_step(sizes, at, tape, scratch, work, t, now, after, b):
    """Read: read weights and reads after."""
    R, W = sizes.heads, sizes.word
    xi, memory = tape.interface[now, b], tape.memory[after, b]
    content = tape.read_content[now, b]
    keys, strengths = as_matrix(xi, at.read_keys, R, W), xi[at.read_strengths : at.read_strengths + R]
    if sizes.masking:
        masked_content_weights(
            content,
            tape.read_similarity[now, b],
            tape.read_norms[now, b],
            memory,
            keys,
            strengths,
            as_matrix(xi, at.read_masks, R, W),
            sizes.mask_floor,
        )
    else:
        content_weights(
            content, tape.read_similarity[now, b], memory, tape.inverse_norms[after, b], keys, strengths
        )
    weights, reads = tape.read_weights[after, b], tape.reads[t + 1, b].reshape(R, W)
    if sizes.links:
        forward, backward = tape.forward[now, b], tape.backward[now, b]
        if sizes.sharpness:
            blurred = tape.unsharpened_backward[now, b]
            sum_backward_weights(blurred, sizes, scratch, work, b)
            sharpen(backward, blurred, xi[at.backward_sharpness : at.backward_sharpness + R])
            sharpen(
                forward, tape.unsharpened_forward[now, b], xi[at.forward_sharpness : at.forward_sharpness + R]
            )
        else:
            sum_backward_weights(backward, sizes, scratch, work, b)
        read_weights(weights, backward, content, forward, as_matrix(xi, at.read_modes, R, 3))
    else:
        copy_rows(weights, content)
    clear_rows(reads)
    add_product_transposed(reads, weights, memory)


@inlined
def read_step_backward(sizes, at, tape, gradient, t, now, before, after, b):
    """Back through the reads to the contents read, the ways along the links, and the links themselves."""
    R, W = sizes.heads, sizes.word
    xi, d_xi = tape.interface[now, b], gradient.interface[t, b]
    memory, weights = tape.memory[after, b], tape.read_weights[after, b]
    d_reads, d_weights = gradient.reads_out[t, b].reshape(R, W), gradient.weights_now[b]
    d_memory = gradient.memory[b]
    copy_rows(d_weights, gradient.read_weights[b])
    add_product(d_weights, d_reads, memory)
    add_product(d_memory, d_reads.T, weights)
    d_content = gradient.content[b]
    if sizes.links:
        d_forward, d_backward = gradient.forward[b], gradient.backward[b]
        read_weights_backward(
            as_matrix(d_xi, at.read_modes, R, 3),
            d_backward,
            d_content,
            d_forward,
            d_weights,
            tape.backward[now, b],
            tape.read_content[now, b],
            tape.forward[now, b],
            as_matrix(xi, at.read_modes, R, 3),
        )
        if sizes.sharpness:
            sharpen_backward(
                d_backward,
                d_xi[at.backward_sharpness : at.backward_sharpness + R],
                tape.unsharpened_backward[now, b],
                xi[at.backward_sharpness : at.backward_sharpness + R],
                tape.backward[now, b],
            )
            sharpen_backward(
                d_forward,
                d_xi[at.forward_sharpness : at.forward_sharpness + R],
                tape.unsharpened_forward[now, b],
                xi[at.forward_sharpness : at.forward_sharpness + R],
                tape.forward[now, b],
            )
        factor_link_gradient(sizes, gradient, tape.read_weights[before, b], b)
    else:
        copy_rows(d_content, d_weights)
    keys, strengths = as_matrix(xi, at.read_keys, R, W), xi[at.read_strengths : at.read_strengths + R]
    d_keys, d_strengths = as_matrix(d_xi, at.read_keys, R, W), d_xi[at.read_strengths : at.read_strengths + R]
    if sizes.masking:
        masked_content_weights_backward(
            d_memory,
            d_keys,
            d_strengths,
            as_matrix(d_xi, at.read_masks, R, W),
            d_content,
            gradient.shrink[b],
            tape.read_content[now, b],
            tape.read_similarity[now, b],
            tape.read_norms[now, b],
            memory,
            keys,
            strengths,
            as_matrix(xi, at.read_masks, R, W),
            sizes.mask_floor,
        )
    else:
        content_weights_backward(
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
def write_step_backward(sizes, at, tape, gradient, work, t, now, before, after, b):
    """Back through the write to the state before."""
    R, W = sizes.heads, sizes.word
    xi, d_xi = tape.interface[now, b], gradient.interface[t, b]
    weights, retention = tape.write_weights[after, b], tape.retention[now, b]
    d_write_weights, d_read_weights = gradient.write_weights[b], gradient.read_weights[b]
    if sizes.links:
        update_precedence_backward(
            gradient.precedence[b], d_write_weights, tape.precedence[before, b], weights
        )
        sum_link_gradients(sizes, gradient, work, b)
    else:
        clear_rows(d_read_weights)
    erase, vector = xi[at.erase : at.erase + W], xi[at.write_vector : at.write_vector + W]
    d_erase, d_vector = d_xi[at.erase : at.erase + W], d_xi[at.write_vector : at.write_vector + W]
    memory, d_memory, d_retention = tape.memory[before, b], gradient.memory[b], gradient.retention[b]
    d_wiped = gradient.wiped[b]
    if sizes.deallocation:
        clear(d_wiped)
        deallocate_and_write_backward(
            d_memory,
            d_wiped,
            d_write_weights,
            d_erase,
            d_vector,
            memory,
            retention,
            weights,
            erase,
            vector,
        )
    else:
        write_backward(d_memory, d_write_weights, d_erase, d_vector, memory, weights, erase, vector)
    d_allocation, d_content = gradient.allocation[b], gradient.write_content[b]
    d_xi[at.allocation_gate], d_xi[at.write_gate] = write_weights_backward(
        d_allocation,
        d_content[0],
        d_write_weights,
        tape.allocation[now, b],
        tape.write_content[now, b, 0],
        xi[at.allocation_gate],
        xi[at.write_gate],
    )
    key, strength = as_matrix(xi, at.write_key, 1, W), xi[at.write_strength : at.write_strength + 1]
    d_key, d_strength = as_matrix(d_xi, at.write_key, 1, W), d_xi[at.write_strength : at.write_strength + 1]
    if sizes.masking:
        masked_content_weights_backward(
            d_memory,
            d_key,
            d_strength,
            as_matrix(d_xi, at.write_mask, 1, W),
            d_content,
            gradient.shrink[b],
            tape.write_content[now, b],
            tape.write_similarity[now, b],
            tape.write_norms[now, b],
            memory,
            key,
            strength,
            as_matrix(xi, at.write_mask, 1, W),
            sizes.mask_floor,
        )
    else:
        content_weights_backward(
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
    parse_interface_backward(d_xi, xi, at)
