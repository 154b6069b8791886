"""How long tests wait for what must come: only what hangs takes longer, whatever the machine is busy with.

What is waited for may have to compile its kernels first, which takes minutes where many share a processor.
"""

import re

PATIENCE = 1800.0
"""Seconds."""


def without_notice(errors: str) -> str:
    """Standard error but for the line that says that kernels are compiled: whether they are depends on the cache."""
    return re.sub(r"^engine cpu is compiled .*\n", "", errors, flags=re.MULTILINE)
