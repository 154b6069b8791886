"""The timeout of tests that wait for something: so long that on the busiest machine only a hang exceeds it.

What is waited for may have to compile its kernels first, which takes minutes where many share a processor.
"""

import re

PATIENCE = 1800.0
"""Seconds."""


def without_notice(errors: str) -> str:
    """Standard error but for lines that depend on the kernel cache, or on how busy the machine is.

    The one says that kernels are compiled, the other what takes long, such as "scoring ..".
    """
    return re.sub(r"^(engine cpu is compiled .*|[a-z ]+ \.\.)\n", "", errors, flags=re.MULTILINE)
