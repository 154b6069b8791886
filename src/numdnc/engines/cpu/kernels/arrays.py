"""Basic operations on arrays."""

from numba import types
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import populate_array

from numdnc.engines.cpu.kernels.compiling import inlined, short_kernel
from numdnc.engines.cpu.kernels.constants import constant


@short_kernel
def copy(to, source):
    """to = source, both (n,)."""
    for i in range(len(to)):
        to[i] = source[i]


@short_kernel
def add(to, source):
    """to += source, both (n,)."""
    for i in range(len(to)):
        to[i] += source[i]


@short_kernel
def multiply(to, a, b):
    """to = a b, all (n,)."""
    for i in range(len(to)):
        to[i] = a[i] * b[i]


@short_kernel
def clear(to):
    """to = 0, (n,)."""
    for i in range(len(to)):
        to[i] = 0


@short_kernel
def clear_rows(to):
    """to = 0, (rows, n)."""
    for r in range(len(to)):
        clear(to[r])


@short_kernel
def copy_rows(to, source):
    """to = source, both (rows, n)."""
    for r in range(len(to)):
        copy(to[r], source[r])


@short_kernel
def dot(a, b):
    """sum a b, both (n,)."""
    total = constant(0, a)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@intrinsic
def _matrix_view(typing_context, flat, rows, columns):
    """The numbers of a flat array as (rows, columns): arithmetic, where Numba's reshape calls a function."""
    matrix = types.Array(flat.dtype, 2, "C")

    def generate(context, builder, signature, arguments):
        source = context.make_array(flat)(context, builder, arguments[0])
        view = context.make_array(matrix)(context, builder)
        populate_array(
            view,
            data=source.data,
            shape=arguments[1:],
            strides=(builder.mul(arguments[2], source.itemsize), source.itemsize),
            itemsize=source.itemsize,
            meminfo=source.meminfo,
            parent=source.parent,
        )
        return view._getvalue()

    return matrix(flat, types.int64, types.int64), generate


@inlined
def as_matrix(flat, first, rows, columns):
    """View a flat array, from index `first` on, as (rows, columns)."""
    return _matrix_view(flat[first : first + rows * columns], rows, columns)


@register_jitable
def padded(count, like):
    """Width of a padded row for `count` numbers of like's type: whole cache lines, and no multiple of 512 bytes.

    Rows a power of two apart would compete for the same few sets of the cache.
    """
    line = 64 // like.itemsize
    lines = (count + line - 1) // line
    return (lines + 2 if lines % 8 == 0 else lines) * line
