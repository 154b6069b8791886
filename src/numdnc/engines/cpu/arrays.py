"""Small things that loops over arrays are made of."""

from numdnc.engines.cpu.compiling import kernel, view
from numdnc.engines.cpu.constants import constant


@kernel
def copy(to, source):
    """to = source, both (n,)."""
    for i in range(len(to)):
        to[i] = source[i]


@kernel
def add(to, source):
    """to += source, both (n,)."""
    for i in range(len(to)):
        to[i] += source[i]


@kernel
def clear(to):
    """to = 0, (n,)."""
    for i in range(len(to)):
        to[i] = 0


@kernel
def clear_rows(to):
    """to = 0, (rows, n)."""
    for r in range(len(to)):
        clear(to[r])


@kernel
def copy_rows(to, source):
    """to = source, both (rows, n)."""
    for r in range(len(to)):
        copy(to[r], source[r])


@kernel
def dot(a, b):
    """sum a b, both (n,)."""
    total = constant(0, a)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@view
def rows_of(flat, first, rows, columns):
    """(rows, columns) of a flat array, from number `first` on."""
    return flat[first : first + rows * columns].reshape(rows, columns)
