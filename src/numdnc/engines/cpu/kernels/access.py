"""One step of the external memory, for one sequence: the paper's mechanisms in the paper's order, and back.

Read it beside reference/access.py and reference/reading.py. `before` and `after` are rows of `MemoryState` around the
step, `step` is one of `MemoryStep`; `interface` holds the parts of the interface vector. Results come first among the
arguments of a kernel, then what the definition's function takes, in its order. Between `access_write` and `access_read`
link_tiles.py updates the link and follows it.
"""

from numdnc.engines.cpu.kernels.allocation import (
    allocate,
    allocate_backward,
    pretend_write,
    pretend_write_backward,
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
from numdnc.engines.cpu.kernels.write_heads import (
    deallocate,
    deallocate_backward,
    write_heads,
    write_heads_backward,
)


@inlined
def access_write(sizes, interface, before, step, after, rank, kept):
    """Free, allocate, write: memory, usage, precedence and write weights after.

    rank (N,) is workspace of the sort; kept (W, N), of several heads, is the memory before without what was freed.
    """
    retain(step.retention, before.read_weights, interface.free_gates)
    update_usage(after.usage, before.usage, before.write_weights, step.retention)
    usage = after.usage
    for v in range(sizes.write_heads):
        if v > 0:
            gate = interface.allocation_gate[v - 1] * interface.write_gate[v - 1]
            pretend_write(step.pretended[v - 1], usage, step.allocation[v - 1], gate)
            usage = step.pretended[v - 1]
        sort_slots(step.order[v], usage, rank)
        allocate(step.allocation[v], step.order[v], usage)
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
    for v in range(sizes.write_heads):
        write_weights(
            after.write_weights[v],
            step.allocation[v],
            step.write_content[v],
            interface.allocation_gate[v],
            interface.write_gate[v],
        )
    weights, erase, vectors = after.write_weights, interface.erase, interface.write_vector
    if sizes.write_heads > 1:
        memory = before.memory
        if sizes.deallocation:
            deallocate(kept, before.memory, step.retention)
            memory = kept
        write_heads(after.memory, memory, weights, erase, vectors)
    elif sizes.deallocation:
        deallocate_and_write(after.memory, before.memory, step.retention, weights[0], erase[0], vectors[0])
    else:
        write(after.memory, before.memory, weights[0], erase[0], vectors[0])
    if not sizes.masking:
        inverse_slot_norms(after.inverse_norms, after.memory)
    if sizes.links:
        for v in range(sizes.write_heads):
            update_precedence(after.precedence[v], before.precedence[v], after.write_weights[v])


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
            for v in range(sizes.write_heads):
                sharpen(step.backward[v], step.unsharpened_backward[v], interface.backward_sharpness[v])
                sharpen(step.forward[v], step.unsharpened_forward[v], interface.forward_sharpness[v])
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
            for v in range(sizes.write_heads):
                sharpen_backward(
                    gradient.backward[v],
                    d_interface.backward_sharpness[v],
                    step.unsharpened_backward[v],
                    interface.backward_sharpness[v],
                    step.backward[v],
                )
                sharpen_backward(
                    gradient.forward[v],
                    d_interface.forward_sharpness[v],
                    step.unsharpened_forward[v],
                    interface.forward_sharpness[v],
                    step.forward[v],
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
    erase, vectors = interface.erase, interface.write_vector
    if sizes.deallocation:
        clear(gradient.deallocation)
    if sizes.write_heads > 1:
        memory = before.memory
        if sizes.deallocation:
            deallocate(gradient.kept, before.memory, step.retention)
            memory = gradient.kept
        write_heads_backward(
            gradient.memory,
            gradient.write_weights,
            d_interface.erase,
            d_interface.write_vector,
            gradient.scratch,
            memory,
            after.write_weights,
            erase,
            vectors,
        )
        if sizes.deallocation:
            deallocate_backward(gradient.memory, gradient.deallocation, before.memory, step.retention)
    elif sizes.deallocation:
        deallocate_and_write_backward(
            gradient.memory,
            gradient.deallocation,
            gradient.write_weights[0],
            d_interface.erase[0],
            d_interface.write_vector[0],
            before.memory,
            step.retention,
            after.write_weights[0],
            erase[0],
            vectors[0],
        )
    else:
        write_backward(
            gradient.memory,
            gradient.write_weights[0],
            d_interface.erase[0],
            d_interface.write_vector[0],
            before.memory,
            after.write_weights[0],
            erase[0],
            vectors[0],
        )
    for v in range(sizes.write_heads):
        d_interface.allocation_gate[v], d_interface.write_gate[v] = write_weights_backward(
            gradient.allocation[v],
            gradient.write_content[v],
            step.allocation[v],
            step.write_content[v],
            interface.allocation_gate[v],
            interface.write_gate[v],
            gradient.write_weights[v],
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
    if sizes.write_heads > 1:
        pretended_backward(sizes, d_interface, gradient, interface, step, after)
    allocate_backward(gradient.usage, gradient.allocation[0], step.order[0], after.usage, gradient.scratch)
    update_usage_backward(
        gradient.usage,
        gradient.write_weights,
        gradient.retention,
        gradient.scratch,
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


@inlined
def pretended_backward(sizes, d_interface, gradient, interface, step, after):
    """From the allocations of all write heads but the first to what they go by: the usage, and the heads before them.

    Adds to gradient.usage; gradient.retention (N,) is workspace.
    """
    d_usage = gradient.retention
    clear(d_usage)
    for v in range(sizes.write_heads - 1, 0, -1):
        allocate_backward(
            d_usage, gradient.allocation[v], step.order[v], step.pretended[v - 1], gradient.scratch
        )
        usage = step.pretended[v - 2] if v > 1 else after.usage
        gate = interface.allocation_gate[v - 1] * interface.write_gate[v - 1]
        d_gate = pretend_write_backward(
            d_usage, gradient.allocation[v - 1], usage, step.allocation[v - 1], gate
        )
        d_interface.allocation_gate[v - 1] += d_gate * interface.write_gate[v - 1]
        d_interface.write_gate[v - 1] += d_gate * interface.allocation_gate[v - 1]
    add(gradient.usage, d_usage)
