"""Views of one sequence, as in kernels/rows.py."""

from numdnc.engines.cpu.kernels.rows import row_view
from numdnc.engines.cpu.kernels.sparse.types import (
    Recency,
    RowScratch,
    SparseMemory,
    SparseRowGradient,
    SparseState,
    SparseStep,
)

memory_row = row_view(SparseMemory, "b")
state_row = row_view(SparseState, "s, b")
step_row = row_view(SparseStep, "d, b")
scratch_row = row_view(RowScratch, "b")
recency_row = row_view(Recency, "b")
gradient_row = row_view(SparseRowGradient, "b")
