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


def row_view(kind, indices):
    """A kernel that gives arrays[indices] of every array of a named tuple, as a tuple of the same kind."""
    fields = ", ".join(f"arrays.{name}[{indices}]" for name in kind._fields)
    names = {"kind": kind, "__name__": __name__}
    exec(f"def view(arrays, {indices}):\n    return kind({fields})\n", names)
    return view_kernel(names["view"])


state_row = row_view(MemoryState, "s, b")
step_row = row_view(MemoryStep, "d, b")
gradient_row = row_view(RowGradient, "b")
ntm_row = row_view(NTMMemory, "s, b")
ntm_step_row = row_view(NTMStep, "d, b")
ntm_gradient_row = row_view(NTMRowGradient, "b")
