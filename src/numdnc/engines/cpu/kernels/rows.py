"""Views of one sequence: from a named tuple of arrays to one of the same kind with a row of each."""

from numdnc.engines.cpu.kernels.compiling import view_kernel
from numdnc.engines.cpu.kernels.types import (
    MemoryState,
    MemoryStep,
    NTMMemory,
    NTMRowGradient,
    NTMStep,
    RowGradient,
)


def row_view(kind, indices, arguments="", **others):
    """A kernel that gives arrays[indices] of every array of a named tuple, as a tuple of the same kind.

    others: indices of single arrays; arguments: of the kernel besides the arrays, if these are not the indices.
    """
    fields = ", ".join(f"arrays.{name}[{others.get(name, indices)}]" for name in kind._fields)
    names = {"kind": kind, "__name__": __name__}
    exec(f"def view(arrays, {arguments or indices}):\n    return kind({fields})\n", names)
    return view_kernel(names["view"])


_OF_SEQUENCE = dict.fromkeys(
    ("interface", "interface_standard", "interface_deviation", "product"), "d, b"
)  # not of each memory m

state_row = row_view(MemoryState, "s, m")
step_row = row_view(MemoryStep, "d, m", "d, b, m", **_OF_SEQUENCE)
gradient_row = row_view(RowGradient, "m")
ntm_row = row_view(NTMMemory, "s, b")
ntm_step_row = row_view(NTMStep, "d, b")
ntm_gradient_row = row_view(NTMRowGradient, "b")
