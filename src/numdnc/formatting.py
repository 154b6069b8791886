"""Numbers and tables as text, the same in commands and in notebooks."""

import math
from collections.abc import Sequence


def format_loss(nats: float) -> str:
    """0.6931, or 1.2e-05 if it is small."""
    return f"{nats:.1e}" if nats < 0.01 and nats else f"{nats:.4f}"


def format_duration(seconds: float) -> str:
    """1:02:03, 2:03, or ? if unknown."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_bytes(count: int) -> str:
    """512 B, 1.5 KiB, 12.0 MiB, .."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:,.1f} {unit}"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines, the first one with headings; the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
