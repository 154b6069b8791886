"""One step of the external memory, for one sequence: the paper's mechanisms in the paper's order, and back.

Read it beside reference/access.py and reference/reading.py. `before` and `after` are rows of `MemoryState` around the
step, `step` is one of `MemoryStep`; `interface` holds the parts of the interface vector. Results come first among the
arguments of a kernel, then what the definition's function takes, in its order. Between `access_write` and `access_read`
link_tiles.py updates the link and follows it.
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
from numdnc.engines.cpu.kernels.arrays import add, clear, clear_rows, copy_rows
from numdnc.engines.cpu.kernels.compiling import inlined
from numdnc.engines.cpu.kernels.content import look_up, look_up_backward
from numdnc.engines.cpu.kernels.linkage import sharpen, sharpen_backward, update_precedence
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
def access_write(sizes, interface, before, step, after, rank):
    """Free, allocate, write: memory, usage, precedence and write weights after. rank (N,) is workspace of the sort."""
    retain(step.retention, before.read_weights, interface.free_gates)
    update_usage(after.usage, before.usage, before.write_weights, step.retention)
    sort_slots(step.order, after.usage, rank)
    allocate(step.allocation, step.order, after.usage)
    look_up(
        sizes,
        step.write_content,
        step.write_similarity,
        step.write_norms,
        before.memory,
        before.inverse_norms,
        interface.write_key,
        interface.write_strength,
        interface.write_mask,
    )
    write_weights(
        after.write_weights,
        step.allocation,
        step.write_content[0],
        interface.allocation_gate[0],
        interface.write_gate[0],
    )
    erase, vector = interface.erase, interface.write_vector
    if sizes.deallocation:
        deallocate_and_write(after.memory, before.memory, step.retention, after.write_weights, erase, vector)
    else:
        write(after.memory, before.memory, after.write_weights, erase, vector)
    if not sizes.masking:
        inverse_slot_norms(after.inverse_norms, after.memory)
    if sizes.links:
        update_precedence(after.precedence, before.precedence, after.write_weights)


@inlined
def access_read(sizes, interface, step, after, reads):
    """Find where to read, from the content and what was found along the links, and read."""
    look_up(
        sizes,
        step.read_content,
        step.read_similarity,
        step.read_norms,
        after.memory,
        after.inverse_norms,
        interface.read_keys,
        interface.read_strengths,
        interface.read_masks,
    )
    if sizes.links:
        if sizes.sharpness:
            sharpen(step.backward, step.unsharpened_backward, interface.backward_sharpness)
            sharpen(step.forward, step.unsharpened_forward, interface.forward_sharpness)
        read_weights(after.read_weights, interface.read_modes, step.backward, step.read_content, step.forward)
    else:
        copy_rows(after.read_weights, step.read_content)
    clear_rows(reads)
    add_product_transposed(reads, after.read_weights, after.memory)


@inlined
def access_read_backward(sizes, d_interface, gradient, d_reads, interface, step, after):
    """`access_read` backwards: to the memory, the content weights and the weights along the links."""
    d_weights = gradient.read_weights_now
    copy_rows(d_weights, gradient.read_weights)
    add_product(d_weights, d_reads, after.memory)
    add_product(gradient.memory, d_reads.T, after.read_weights)
    if sizes.links:
        read_weights_backward(
            d_interface.read_modes,
            gradient.backward,
            gradient.read_content,
            gradient.forward,
            interface.read_modes,
            step.backward,
            step.read_content,
            step.forward,
            d_weights,
        )
        if sizes.sharpness:
            sharpen_backward(
                gradient.backward,
                d_interface.backward_sharpness,
                step.unsharpened_backward,
                interface.backward_sharpness,
                step.backward,
            )
            sharpen_backward(
                gradient.forward,
                d_interface.forward_sharpness,
                step.unsharpened_forward,
                interface.forward_sharpness,
                step.forward,
            )
    else:
        copy_rows(gradient.read_content, d_weights)
    look_up_backward(
        sizes,
        gradient.memory,
        d_interface.read_keys,
        d_interface.read_strengths,
        d_interface.read_masks,
        gradient.read_content,
        gradient.scratch,
        step.read_content,
        step.read_similarity,
        step.read_norms,
        after.memory,
        after.inverse_norms,
        interface.read_keys,
        interface.read_strengths,
        interface.read_masks,
    )


@inlined
def access_write_backward(sizes, d_interface, gradient, interface, before, step, after):
    """`access_write` backwards, to the state before; gradient.read_weights holds the part from the links."""
    erase, vector = interface.erase, interface.write_vector
    if sizes.deallocation:
        clear(gradient.deallocation)
        deallocate_and_write_backward(
            gradient.memory,
            gradient.deallocation,
            gradient.write_weights,
            d_interface.erase,
            d_interface.write_vector,
            before.memory,
            step.retention,
            after.write_weights,
            erase,
            vector,
        )
    else:
        write_backward(
            gradient.memory,
            gradient.write_weights,
            d_interface.erase,
            d_interface.write_vector,
            before.memory,
            after.write_weights,
            erase,
            vector,
        )
    d_interface.allocation_gate[0], d_interface.write_gate[0] = write_weights_backward(
        gradient.allocation,
        gradient.write_content[0],
        step.allocation,
        step.write_content[0],
        interface.allocation_gate[0],
        interface.write_gate[0],
        gradient.write_weights,
    )
    look_up_backward(
        sizes,
        gradient.memory,
        d_interface.write_key,
        d_interface.write_strength,
        d_interface.write_mask,
        gradient.write_content,
        gradient.scratch,
        step.write_content,
        step.write_similarity,
        step.write_norms,
        before.memory,
        before.inverse_norms,
        interface.write_key,
        interface.write_strength,
        interface.write_mask,
    )
    allocate_backward(gradient.usage, gradient.allocation, step.order, after.usage, gradient.scratch)
    update_usage_backward(
        gradient.usage,
        gradient.write_weights,
        gradient.retention,
        before.usage,
        before.write_weights,
        step.retention,
    )
    if sizes.deallocation:
        add(gradient.retention, gradient.deallocation)
    retain_backward(
        gradient.read_weights,
        d_interface.free_gates,
        gradient.retention,
        before.read_weights,
        interface.free_gates,
        gradient.scratch,
    )
