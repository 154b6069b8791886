"""The links of one sequence over a step, tile by tile, some rows of a tile at a time.

A tile is some columns of the link matrix (B, tiles, N, columns): few enough that all that belongs to them stays in the
nearest cache. Weightings (R, N) that meet a tile are laid out the same way, each tile's (R, columns) after the last.
"""

from numdnc.engines.cpu.kernels.arrays import add, clear, clear_rows, copy, copy_rows, rows_of
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.linkage import link_backward, update_link, updated_link
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed


@inlined
def tile_of(flat, rows, column, end):
    """(rows, columns) of a weighting in tiles: the columns column .. end - 1."""
    return rows_of(flat, rows * column, rows, end - column)


@kernel
def tile_reads(sizes, flat, read_weights):
    """The read weights (R, N) in tiles."""
    R, N = read_weights.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        tile = tile_of(flat, R, column, end)
        for i in range(R):
            copy(tile[i], read_weights[i, column:end])


@inlined
def link_step(sizes, tape, scratch, place, t, now, before, after, b):
    """A thread's part: keep the link, update it, and follow it: fwd = L w^r, bwd = L^T w^r."""
    R, N = sizes.heads, sizes.slots
    forward = tape.blurred_forward[now, b] if sizes.sharpness else tape.forward[now, b]
    backward = scratch.backward[place.link_part, b]
    write_weights, precedence = tape.write_weights[after, b], tape.precedence[before, b]
    read_weights = tape.read_weights[before, b]
    for i in range(R):
        clear(forward[i, place.slot_first : place.slot_last])
    clear(backward)
    for tile in range(scratch.link.shape[1]):
        column = tile * sizes.tile
        end = min(column + sizes.tile, N)
        link = scratch.link[b, tile]
        if len(tape.links) and t % sizes.segment == 0:
            kept = tape.links[t // sizes.segment, b, tile]
            copy_rows(kept[place.slot_first : place.slot_last], link[place.slot_first : place.slot_last])
        _follow(
            sizes,
            link,
            place.slot_first,
            place.slot_last,
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
def _follow(
    sizes,
    link,
    first,
    last,
    column,
    write_weights,
    weights,
    precedence,
    read_weights,
    tile_reads,
    forward,
    backward,
):
    i = first
    while i < last:
        stop = min(i + sizes.rows, last)
        rows = link[i:stop]
        update_link(rows, i, column, write_weights, weights, precedence)
        add_product(backward, read_weights[:, i:stop], rows)
        add_product_transposed(forward[:, i:stop], tile_reads, rows)
        i = stop


@kernel
def gather_backward(backward, sizes, scratch, place, b):
    """backward (R, N) = the sum of what the members found, out of tiles."""
    R, N = backward.shape
    for column in range(0, N, sizes.tile):
        end = min(column + sizes.tile, N)
        for i in range(R):
            copy(backward[i, column:end], tile_of(scratch.backward[0, b], R, column, end)[i])
            for p in range(1, place.link_parts):
                add(backward[i, column:end], tile_of(scratch.backward[p, b], R, column, end)[i])


@kernel
def pair_up(sizes, gradient, read_weights, b):
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
def rerun_segment(sizes, tape, gradient, place, begin, end, b):
    """The links before steps begin, begin + stride, .. of the segment that ends before step `end`, from that kept."""
    for tile in range(gradient.link.shape[1]):
        kept = tape.links[begin // sizes.segment, b, tile]
        i = place.slot_first
        while i < place.slot_last:
            stop = min(i + sizes.rows, place.slot_last)
            copy_rows(gradient.links[0, b, tile, i:stop], kept[i:stop])
            t = begin + sizes.stride
            while t < end:
                saved = (t - begin) // sizes.stride
                before = gradient.links[saved - 1, b, tile, i:stop]
                _run_again(
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
def _run_again(rows, before, first, sizes, tape, tile, begin, end, b):
    """rows = the link before step `end`, from that before step `begin`, which is earlier."""
    column = tile * sizes.tile
    last = min(column + sizes.tile, sizes.slots)
    for t in range(begin, end):
        write_weights, precedence = tape.write_weights[t + 1, b], tape.precedence[t, b]
        if t == begin:
            updated_link(
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
def link_step_backward(sizes, tape, gradient, place, t, b):
    """A thread's part, backwards."""
    R, N = sizes.heads, sizes.slots
    by_columns = gradient.members_columns[place.link_part, b]
    by_rows = gradient.members_reads[place.link_part, b]
    d_rows = gradient.members_writes[place.link_part, 0, b]
    d_columns = gradient.members_writes[place.link_part, 1, b]
    d_precedence = gradient.members_precedence[place.link_part, b]
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
        i = place.slot_first
        while i < place.slot_last:
            stop = min(i + sizes.rows, place.slot_last)
            rows = gradient.links[saved, b, tile, i:stop]
            if saved_step < t:
                before = gradient.rows[place.thread, 0, : stop - i]
                _run_again(before, rows, i, sizes, tape, tile, saved_step, t, b)
                rows = before
            after = gradient.rows[place.thread, 1, : stop - i]
            updated_link(
                after, rows, i, column, write_weights, write_weights[column:end], precedence[column:end]
            )
            link_backward(
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
def gather_link_gradients(sizes, gradient, place, b):
    """Add up what the members found: by precedence, write weights, and (set) the read weights before."""
    d_read_weights = gradient.read_weights[b]
    R, N = d_read_weights.shape
    clear_rows(d_read_weights)
    for p in range(place.link_parts):
        add(gradient.precedence[b], gradient.members_precedence[p, b])
        add(gradient.write_weights[b], gradient.members_writes[p, 0, b])
        add(gradient.write_weights[b], gradient.members_writes[p, 1, b])
        for i in range(R):
            add(d_read_weights[i], gradient.members_reads[p, b, i])
        for column in range(0, N, sizes.tile):
            end = min(column + sizes.tile, N)
            for i in range(R):
                add(d_read_weights[i, column:end], tile_of(gradient.members_columns[p, b], R, column, end)[i])
