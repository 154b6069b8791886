"""The links of one sequence over a step, tile by tile, some rows of a tile at a time.

A tile is some columns of the link matrix (B, tiles, N, columns): few enough that all that belongs to them stays in the
nearest cache. Weightings (R, N) that meet a tile are laid out the same way, each tile's (R, columns) after the last.
"""

from numdnc.engines.cpu.kernels.arrays import add, as_matrix, clear, clear_rows, copy, copy_rows
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.linkage import copy_updated_link, update_link, update_link_backward
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed


@inlined
def tile_of(flat, rows, column, end):
    """(rows, columns) of a weighting in tiles: the columns column .. end - 1."""
    return as_matrix(flat, rows * column, rows, end - column)


@kernel
def tile_read_weights(sizes, flat, read_weights):
    """The read weights (R, N) in tiles."""
    R, N = read_weights.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        tile = tile_of(flat, R, column, end)
        for i in range(R):
            copy(tile[i], read_weights[i, column:end])


@inlined
def link_step(sizes, tape, scratch, work, t, now, before, after, b):
    """A thread's part: keep the link, update it, and follow it: fwd = L w^r, bwd = L^T w^r."""
    R, N = sizes.heads, sizes.slots
    forward = tape.unsharpened_forward[now, b] if sizes.sharpness else tape.forward[now, b]
    backward = scratch.backward[work.link_share, b]
    write_weights, precedence = tape.write_weights[after, b], tape.precedence[before, b]
    read_weights = tape.read_weights[before, b]
    for i in range(R):
        clear(forward[i, work.first_slot : work.last_slot])
    clear(backward)
    for tile in range(scratch.link.shape[1]):
        column = tile * sizes.tile
        end = min(column + sizes.tile, N)
        link = scratch.link[b, tile]
        if len(tape.links) and t % sizes.segment == 0:
            kept = tape.links[t // sizes.segment, b, tile]
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
            read_weights,
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
def sum_backward_weights(backward, sizes, scratch, work, b):
    """backward (R, N) = the sum of what the members found, out of tiles."""
    R, N = backward.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        for i in range(R):
            copy(backward[i, column:end], tile_of(scratch.backward[0, b], R, column, end)[i])
            for p in range(1, work.link_shares):
                add(backward[i, column:end], tile_of(scratch.backward[p, b], R, column, end)[i])


@kernel
def factor_link_gradient(sizes, gradient, read_weights, b):
    """dL gains dfwd w^r^T + w^r dbwd^T: as one product of `factors` (N, 2 R) and `pair` (2 R, N), this in tiles."""
    R, N = read_weights.shape
    factors, d_forward, d_backward = gradient.factors[b], gradient.forward[b], gradient.backward[b]
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        tile = tile_of(gradient.pair[b], 2 * R, column, end)
        for i in range(R):
            copy(tile[i], read_weights[i, column:end])
            copy(tile[R + i], d_backward[i, column:end])
    for n in range(N):
        for i in range(R):
            factors[n, i] = d_forward[i, n]
            factors[n, R + i] = read_weights[i, n]


@inlined
def recompute_segment(sizes, tape, gradient, work, begin, end, b):
    """The links before steps begin, begin + stride, .. of the segment that ends before step `end`, from that kept."""
    for tile in range(gradient.link.shape[1]):
        kept = tape.links[begin // sizes.segment, b, tile]
        i = work.first_slot
        while i < work.last_slot:
            stop = min(i + sizes.rows, work.last_slot)
            copy_rows(gradient.links[0, b, tile, i:stop], kept[i:stop])
            t = begin + sizes.stride
            while t < end:
                saved = (t - begin) // sizes.stride
                before = gradient.links[saved - 1, b, tile, i:stop]
                _recompute_link(
                    gradient.links[saved, b, tile, i:stop],
                    before,
                    i,
                    sizes,
                    tape,
                    tile,
                    t - sizes.stride,
                    t,
                    b,
                )
                t += sizes.stride
            i = stop


@kernel
def _recompute_link(rows, before, first, sizes, tape, tile, begin, end, b):
    """rows = the link before step `end`, from that before step `begin`, which is earlier."""
    column = tile * sizes.tile
    last = min(column + sizes.tile, sizes.slots)
    for t in range(begin, end):
        write_weights, precedence = tape.write_weights[t + 1, b], tape.precedence[t, b]
        if t == begin:
            copy_updated_link(
                rows,
                before,
                first,
                column,
                write_weights,
                write_weights[column:last],
                precedence[column:last],
            )
        else:
            update_link(
                rows, first, column, write_weights, write_weights[column:last], precedence[column:last]
            )


@inlined
def link_step_backward(sizes, tape, gradient, work, t, b):
    """A thread's part, backwards."""
    R, N = sizes.heads, sizes.slots
    by_columns = gradient.share_d_column_reads[work.link_share, b]
    by_rows = gradient.share_d_row_reads[work.link_share, b]
    d_rows = gradient.share_d_writes[work.link_share, 0, b]
    d_columns = gradient.share_d_writes[work.link_share, 1, b]
    d_precedence = gradient.share_d_precedence[work.link_share, b]
    clear(by_columns)
    clear_rows(by_rows)
    clear(d_rows)
    clear(d_columns)
    clear(d_precedence)
    begin = t // sizes.segment * sizes.segment
    saved = (t - begin) // sizes.stride
    saved_step = begin + saved * sizes.stride
    write_weights, precedence = tape.write_weights[t + 1, b], tape.precedence[t, b]
    for tile in range(gradient.link.shape[1]):
        column = tile * sizes.tile
        end = min(column + sizes.tile, N)
        pair = tile_of(gradient.pair[b], 2 * R, column, end)
        i = work.first_slot
        while i < work.last_slot:
            stop = min(i + sizes.rows, work.last_slot)
            rows = gradient.links[saved, b, tile, i:stop]
            if saved_step < t:
                before = gradient.rows[work.thread, 0, : stop - i]
                _recompute_link(before, rows, i, sizes, tape, tile, saved_step, t, b)
                rows = before
            after = gradient.rows[work.thread, 1, : stop - i]
            copy_updated_link(
                after, rows, i, column, write_weights, write_weights[column:end], precedence[column:end]
            )
            update_link_backward(
                gradient.link[b, tile, i:stop],
                tile_of(by_columns, R, column, end),
                by_rows,
                d_rows,
                d_columns[column:end],
                d_precedence[column:end],
                i,
                column,
                rows,
                after,
                gradient.forward[b],
                pair[R:],
                pair,
                gradient.factors[b, i:stop],
                write_weights,
                write_weights[column:end],
                precedence[column:end],
            )
            i = stop


@kernel
def sum_link_gradients(sizes, gradient, work, b):
    """Add up what the members found: by precedence, write weights, and (set) the read weights before."""
    d_read_weights = gradient.read_weights[b]
    R, N = d_read_weights.shape
    clear_rows(d_read_weights)
    for p in range(work.link_shares):
        add(gradient.precedence[b], gradient.share_d_precedence[p, b])
        add(gradient.write_weights[b], gradient.share_d_writes[p, 0, b])
        add(gradient.write_weights[b], gradient.share_d_writes[p, 1, b])
        for i in range(R):
            add(d_read_weights[i], gradient.share_d_row_reads[p, b, i])
        for column in range(0, N, sizes.tile):
            end = min(column + sizes.tile, N)
            for i in range(R):
                add(
                    d_read_weights[i, column:end],
                    tile_of(gradient.share_d_column_reads[p, b], R, column, end)[i],
                )
