"""The timeout of tests that wait for something: so long that on the busiest machine only a hang exceeds it.

What is waited for may have to compile its kernels first, which takes minutes where many share a processor.
"""

import re

PATIENCE = 1800.0
"""Seconds."""


def without_notice(errors: str) -> str:
    """Standard error but for the line that says that kernels are compiled: whether they are depends on the cache."""
    return re.sub(r"^engine cpu is compiled .*\n", "", errors, flags=re.MULTILINE)
