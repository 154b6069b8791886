"""How far results may differ, and the comparisons that say so."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.tree import leaves, named_leaves


class Tolerance(NamedTuple):
    """Allowed error and the worst one measured, as `error` counts it; allowed is at most 10 times measured."""

    allowed: float
    measured: float


TOLERANCES: dict[str, dict[str, Tolerance]] = {
    # an engine against the reference in float64
    "parity values": {"float32": Tolerance(5e-6, 8.6e-7), "float64": Tolerance(1e-14, 1.3e-15)},
    "parity gradients": {"float32": Tolerance(3e-5, 6.4e-6), "float64": Tolerance(5e-14, 7.4e-15)},
    # the same where the memory is empty: a zero row's gradient is larger by 1 / sqrt(EPSILON), and all but cancels
    "empty parity values": {"float32": Tolerance(4e-6, 7.8e-7), "float64": Tolerance(1e-14, 1.0e-15)},
    "empty parity gradients": {"float32": Tolerance(3e-4, 6.9e-5), "float64": Tolerance(2e-12, 3.3e-13)},
    # an engine against itself: chunks, single rows, other layouts, one-hot rows, permuted slots
    "rearranged values": {"float32": Tolerance(5e-6, 6.3e-7), "float64": Tolerance(5e-15, 1.2e-15)},
    "rearranged gradients": {"float32": Tolerance(2e-5, 3.6e-6), "float64": Tolerance(1e-13, 1.2e-14)},
    # all these on the random mixes, where layer norm of two numbers, or words of one, all but cancel gradients
    "mixed parity values": {"float32": Tolerance(2e-5, 3.7e-6), "float64": Tolerance(1e-13, 1.7e-14)},
    "mixed parity gradients": {"float32": Tolerance(3e-4, 2.0e-4), "float64": Tolerance(4e-12, 4.1e-13)},
    "mixed rearranged values": {"float32": Tolerance(3e-5, 4.7e-6), "float64": Tolerance(3e-14, 4.5e-15)},
    "mixed rearranged gradients": {
        "float32": Tolerance(2e-4, 7.1e-5),
        "float64": Tolerance(2e-12, 4.2e-13),
    },
    "mixed second opinion values": {"float64": Tolerance(5e-14, 8.1e-15)},
    "mixed second opinion gradients": {"float64": Tolerance(5e-12, 7.2e-13)},
    # by how much a weighting or usage leaves its range
    "invariants": {"float32": Tolerance(4e-6, 5.9e-7), "float64": Tolerance(4e-15, 8.9e-16)},
    # the reference against slopes measured on its own values
    "central differences": {"float64": Tolerance(3e-9, 3.3e-10)},
    # the reference against JAX
    "second opinion values": {"float64": Tolerance(2e-14, 4.3e-15)},
    "second opinion gradients": {"float64": Tolerance(5e-13, 6.9e-14)},
}


def error(got: NDArray[Any], wanted: NDArray[Any], floor: float = 0) -> float:
    """The largest difference by the largest value, or the RMS difference by the RMS value, whichever is worse.

    `floor` is the least value to divide by.
    """
    difference = np.asarray(got, np.float64) - wanted
    if not difference.any():
        return 0.0
    with np.errstate(all="ignore"):
        largest = np.abs(difference).max() / max(np.abs(wanted).max(), floor)
        rms = np.sqrt((difference**2).mean()) / max(
            np.sqrt((np.asarray(wanted, np.float64) ** 2).mean()), floor
        )
    return float("inf") if np.isnan(largest) else float(max(largest, rms))


worst: dict[tuple[str, str], float] = {}
"""The largest error met so far under each line of the table, allowed or not."""


def assert_within(quantity: str, dtype: str, found: float, what: str) -> None:
    """The error `found` is at most what the table allows."""
    worst[quantity, dtype] = max(worst.get((quantity, dtype), 0.0), found)
    allowed = TOLERANCES[quantity][dtype].allowed
    assert found <= allowed, f"{what}: error {found:.2g} must be at most {allowed:.2g} ({quantity}, {dtype})"


def assert_close(quantity: str, dtype: str, got: Any, wanted: Any) -> None:
    """The trees have the same names and shapes, and each array of `got` is within the table's tolerance.

    A leaf's error is relative to that leaf, but a leaf far below its neighbours (a gradient that all but cancels) is
    held to a thousandth of their size.
    """
    given, expected = dict(named_leaves(got)), dict(named_leaves(wanted))
    assert given.keys() == expected.keys()
    floor = 1e-3 * max((float(np.abs(leaf).max(initial=0)) for leaf in expected.values()), default=0)
    for name, leaf in expected.items():
        assert given[name].shape == leaf.shape, name
        found = error(given[name], leaf, floor) if leaf.size else 0.0
        assert_within(quantity, dtype, found, name)


def assert_identical(got: Any, wanted: Any) -> None:
    """The same names, dtypes and bits."""
    for (name, a), (wanted_name, b) in zip(named_leaves(got), named_leaves(wanted), strict=True):
        assert name == wanted_name
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)


def assert_finite(tree: Any) -> None:
    for name, leaf in named_leaves(tree):
        assert np.isfinite(leaf).all(), name


def dot(tree: Any, other: Any) -> float:
    """Sum over all leaves of leaf times leaf."""
    return float(sum((a * b).sum() for a, b in zip(leaves(tree), leaves(other), strict=True)))
