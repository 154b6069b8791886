"""Links of a sparse memory: at most K in each row and column, as lists of slots and values.

Only the rows that a step can change, or follow, are looked at with a gradient. Axes: B batch, R read heads, N slots, K
entries of a list, A rows looked at. See numdnc.reference.linkage and numdnc.reference.sparse for the equations.
"""

import torch
from torch import Tensor

from numdnc.engines.torch.slots import entries_at, largest, rising, rows_of, through_nonzero, with_rows


def update_links(
    link_slots: Tensor, link_values: Tensor, precedence: Tensor, written: Tensor, write_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The lists after a write to the slots `written` (B, K), cut row by row, then column by column.

        L[i, j] = (1 - w[i] - w[j]) L[i, j] + w[i] p[j],   L[i, i] = 0

    Rows change where w[i] or the w[j] of an entry is not 0, and where an entry is in a column that gets new ones.
    """
    _, N, K = link_values.shape
    columns = largest(precedence, K)
    with torch.no_grad():
        changed = (write_weights != 0) | (precedence != 0)
        linked = link_values != 0
        rows = (linked & rows_of(changed, link_slots.long())).any(2) | (write_weights != 0)
        rows = largest(rows.to(link_values.dtype), min(N, K + 2 * K * K))
    slots, values = rows_of(link_slots, rows).long(), rows_of(link_values, rows)
    values = through_nonzero(values)
    own = rows_of(write_weights, rows)[..., None]  # w[i], (B, A, 1)
    values = (1 - own - rows_of(write_weights, slots)) * values * (slots != rows[..., None])
    added = own * rows_of(precedence, columns)[:, None] * (columns[:, None] != rows[..., None])
    slots, values = _merged(slots, values, columns, added, N)
    values = _cut_columns(slots, values, columns)
    order = rising((values == 0).long())
    slots, values = slots.gather(2, order), through_nonzero(values.gather(2, order))
    slots = torch.where(values != 0, slots, 0).to(link_slots.dtype)
    return (
        with_rows(link_slots.detach(), rows, slots),
        with_rows(link_values, rows, values),
    )


def follow_links(link_slots: Tensor, link_values: Tensor, read_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward weightings (B, R, N): fwd = L w^r, bwd = L^T w^r; read_weights (B, R, N)."""
    B, R, N = read_weights.shape
    K = link_values.shape[2]
    with torch.no_grad():
        found = rows_of((read_weights != 0).any(1), link_slots.long()) & (link_values != 0)
        rows = largest(found.any(2).to(link_values.dtype), min(N, R * K * K))
    slots, values = rows_of(link_slots, rows).long(), rows_of(link_values, rows)
    wide = slots.flatten(1)[:, None].expand(B, R, -1)
    seen = entries_at(read_weights, wide).reshape(B, R, *slots.shape[1:])
    reached = (through_nonzero(values)[:, None] * seen).sum(3)
    forward = torch.zeros_like(read_weights).scatter(2, rows[:, None].expand(B, R, -1), reached)
    read = largest(read_weights, K)
    slots, values = rows_of(link_slots, read).long(), rows_of(link_values, read)
    reached = through_nonzero(values) * entries_at(read_weights, read)[..., None]
    backward = torch.zeros_like(read_weights).scatter_add(2, slots.flatten(2), reached.flatten(2))
    return forward, backward


def _merged(
    slots: Tensor, values: Tensor, columns: Tensor, added: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Rows with `added` (B, A, K) in these columns (B, K), cut to their K largest entries, slots rising."""
    K = slots.shape[2]
    same = (slots[..., None] == columns[:, None, None]) & (values != 0)[..., None]  # (B, A, K, K)
    values = values + (same * added[:, :, None]).sum(3)
    added = added * ~same.any(2)
    slots = torch.cat([slots, columns[:, None].expand_as(added)], 2)
    values = torch.cat([values, added], 2)
    order = rising(torch.where(values != 0, slots, size))
    kept = order.gather(2, largest(values.gather(2, order), K))
    return slots.gather(2, kept), values.gather(2, kept)


def _cut_columns(slots: Tensor, values: Tensor, columns: Tensor) -> Tensor:
    """The values with 0 where a row (B, A) is not among the K largest of one of these columns (B, K)."""
    A, K = slots.shape[1:]
    here = (slots[..., None] == columns[:, None, None]) & (values != 0)[..., None]  # (B, A, K, K)
    with torch.no_grad():
        by_column = (here * values[..., None]).sum(2).mT  # (B, K, A)
        kept = torch.zeros_like(by_column, dtype=torch.bool)
        kept = kept.scatter(2, largest(by_column, min(A, K)), 1)  # tracing knows no scatter of True
    return values * ~(here & ~kept.mT[:, :, None]).any(3)
