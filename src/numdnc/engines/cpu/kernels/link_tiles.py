"""One step of the links of one sequence, tile by tile, some rows of a tile at a time.

There is a link matrix for each write head, all as (B, V, tiles, N, columns). A tile is some columns of one: few enough
that all that belongs to them stays in the nearest cache. Weightings (R, N) that meet a tile are laid out the same way,
each tile's (R, columns) after the last.
"""

from numdnc.engines.cpu.kernels.arrays import add, as_matrix, clear, clear_rows, copy, copy_rows
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.linkage import copy_updated_link, update_link, update_link_backward
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed


@inlined
def tile_of(flat, rows, column, end):
    """View the columns column .. end - 1 of a weighting in tiles as (rows, columns)."""
    return as_matrix(flat, rows * column, rows, end - column)


@kernel
def tile_read_weights(sizes, flat, read_weights):
    """Copy the read weights (R, N) into tiles."""
    R, N = read_weights.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        tile = tile_of(flat, R, column, end)
        for i in range(R):
            copy(tile[i], read_weights[i, column:end])


@inlined
def access_links(sizes, tape, scratch, work, t, before, step, after, b):
    """Update this thread's part of the links and follow them: fwd = L w^r, bwd = L^T w^r. Saves checkpoints."""
    R, N = sizes.heads, sizes.slots
    for v in range(sizes.write_heads):
        forward = step.unsharpened_forward[v] if sizes.sharpness else step.forward[v]
        backward = scratch.backward[work.link_share, b, v]
        write_weights, precedence = after.write_weights[v], before.precedence[v]
        for i in range(R):
            clear(forward[i, work.first_slot : work.last_slot])
        clear(backward)
        for tile in range(scratch.link.shape[2]):
            column = tile * sizes.tile
            end = min(column + sizes.tile, N)
            link = scratch.link[b, v, tile]
            if len(tape.link_checkpoints) and t % sizes.segment == 0:
                kept = tape.link_checkpoints[t // sizes.segment, b, v, tile]
                copy_rows(kept[work.first_slot : work.last_slot], link[work.first_slot : work.last_slot])
            _update_and_follow(
                sizes,
                link,
                work.first_slot,
                work.last_slot,
                column,
                write_weights,
                write_weights[column:end],
                precedence[column:end],
                before.read_weights,
                tile_of(scratch.read_weights[b], R, column, end),
                forward,
                tile_of(backward, R, column, end),
            )


@kernel
def _update_and_follow(
    sizes,
    link,
    first,
    last,
    column,
    write_weights,
    weights,
    precedence,
    read_weights,
    tile_read_weights,
    forward,
    backward,
):
    i = first
    while i < last:
        stop = min(i + sizes.rows, last)
        rows = link[i:stop]
        update_link(rows, i, column, write_weights, weights, precedence)
        add_product(backward, read_weights[:, i:stop], rows)
        add_product_transposed(forward[:, i:stop], tile_read_weights, rows)
        i = stop


@kernel
def sum_backward_weights(sizes, scratch, work, step, b):
    """The step's backward weightings (V, R, N) = the sum of the threads' parts, out of tiles."""
    backward = step.unsharpened_backward if sizes.sharpness else step.backward
    V, R, N = backward.shape
    for v in range(V):
        for column in range(0, N, sizes.tile):
            end = min(column + sizes.tile, N)
            for i in range(R):
                copy(backward[v, i, column:end], tile_of(scratch.backward[0, b, v], R, column, end)[i])
                for p in range(1, work.link_shares):
                    add(backward[v, i, column:end], tile_of(scratch.backward[p, b, v], R, column, end)[i])


@kernel
def factor_link_gradient(sizes, pair, factors, d_backward, d_forward, read_weights):
    """dL gains dfwd w^r^T + w^r dbwd^T: as one product of `factors` (N, 2 R) and `pair` (2 R, N), this in tiles."""
    R, N = read_weights.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        tile = tile_of(pair, 2 * R, column, end)
        for i in range(R):
            copy(tile[i], read_weights[i, column:end])
            copy(tile[R + i], d_backward[i, column:end])
    for n in range(N):
        for i in range(R):
            factors[n, i] = d_forward[i, n]
            factors[n, R + i] = read_weights[i, n]


@inlined
def recompute_segment(sizes, tape, gradient, work, begin, end, b):
    """Compute the links before steps begin, begin + stride, .. < end of a segment again, from its checkpoint."""
    for v in range(sizes.write_heads):
        for tile in range(gradient.link.shape[2]):
            kept = tape.link_checkpoints[begin // sizes.segment, b, v, tile]
            i = work.first_slot
            while i < work.last_slot:
                stop = min(i + sizes.rows, work.last_slot)
                copy_rows(gradient.segment_links[0, b, v, tile, i:stop], kept[i:stop])
                t = begin + sizes.stride
                while t < end:
                    saved = (t - begin) // sizes.stride
                    before = gradient.segment_links[saved - 1, b, v, tile, i:stop]
                    rows = gradient.segment_links[saved, b, v, tile, i:stop]
                    _recompute_link(rows, before, i, sizes, tape.state, tile, t - sizes.stride, t, b, v)
                    t += sizes.stride
                i = stop


@kernel
def _recompute_link(rows, before, first, sizes, state, tile, begin, end, b, v):
    """rows = the link before step `end`, computed from that before the earlier step `begin`."""
    column = tile * sizes.tile
    last = min(column + sizes.tile, sizes.slots)
    for t in range(begin, end):
        write_weights, precedence = state.write_weights[t + 1, b, v], state.precedence[t, b, v]
        weights, tile_precedence = write_weights[column:last], precedence[column:last]
        if t == begin:
            copy_updated_link(rows, before, first, column, write_weights, weights, tile_precedence)
        else:
            update_link(rows, first, column, write_weights, weights, tile_precedence)


@inlined
def access_links_backward(sizes, tape, gradient, work, t, b):
    """`access_links` backwards: this thread's part."""
    R, N = sizes.heads, sizes.slots
    d_column_reads = gradient.share_d_column_reads[work.link_share, b]
    d_row_reads = gradient.share_d_row_reads[work.link_share, b]
    clear(d_column_reads)
    clear_rows(d_row_reads)
    begin = t // sizes.segment * sizes.segment
    saved = (t - begin) // sizes.stride
    saved_step = begin + saved * sizes.stride
    for v in range(sizes.write_heads):
        d_row_writes = gradient.share_d_writes[work.link_share, 0, b, v]
        d_column_writes = gradient.share_d_writes[work.link_share, 1, b, v]
        d_precedence = gradient.share_d_precedence[work.link_share, b, v]
        clear(d_row_writes)
        clear(d_column_writes)
        clear(d_precedence)
        write_weights, precedence = tape.state.write_weights[t + 1, b, v], tape.state.precedence[t, b, v]
        d_forward = gradient.row.forward[b, v]
        for tile in range(gradient.link.shape[2]):
            column = tile * sizes.tile
            end = min(column + sizes.tile, N)
            weights, tile_precedence = write_weights[column:end], precedence[column:end]
            pair = tile_of(gradient.pair[b, v], 2 * R, column, end)
            i = work.first_slot
            while i < work.last_slot:
                stop = min(i + sizes.rows, work.last_slot)
                rows = gradient.segment_links[saved, b, v, tile, i:stop]
                if saved_step < t:
                    before = gradient.chunk[work.thread, 0, : stop - i]
                    _recompute_link(before, rows, i, sizes, tape.state, tile, saved_step, t, b, v)
                    rows = before
                after = gradient.chunk[work.thread, 1, : stop - i]
                copy_updated_link(after, rows, i, column, write_weights, weights, tile_precedence)
                update_link_backward(
                    gradient.link[b, v, tile, i:stop],
                    tile_of(d_column_reads, R, column, end),
                    d_row_reads,
                    d_row_writes,
                    d_column_writes[column:end],
                    d_precedence[column:end],
                    i,
                    column,
                    rows,
                    after,
                    d_forward,
                    pair[R:],
                    pair,
                    gradient.factors[b, v, i:stop],
                    write_weights,
                    weights,
                    tile_precedence,
                )
                i = stop


@kernel
def sum_link_gradients(sizes, gradient, work, b):
    """Add the threads' parts to the gradients of precedence and write weights; set that of the read weights before."""
    row = gradient.row
    d_precedence, d_write_weights, d_read_weights = (
        row.precedence[b],
        row.write_weights[b],
        row.read_weights[b],
    )
    R, N = d_read_weights.shape
    clear_rows(d_read_weights)
    for p in range(work.link_shares):
        for v in range(sizes.write_heads):
            add(d_precedence[v], gradient.share_d_precedence[p, b, v])
            add(d_write_weights[v], gradient.share_d_writes[p, 0, b, v])
            add(d_write_weights[v], gradient.share_d_writes[p, 1, b, v])
        d_column_reads = gradient.share_d_column_reads[p, b]
        for i in range(R):
            add(d_read_weights[i], gradient.share_d_row_reads[p, b, i])
        for column in range(0, N, sizes.tile):
            end = min(column + sizes.tile, N)
            for i in range(R):
                add(d_read_weights[i, column:end], tile_of(d_column_reads, R, column, end)[i])
