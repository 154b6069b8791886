"""Where training starts."""

import numpy as np
import pytest

from numdnc import DNCSpec, LSTMSpec, RNNSpec, init_params, map_leaves, named_leaves

SPECS = [
    RNNSpec(input_size=50, output_size=40, hidden_sizes=(60, 30)),
    LSTMSpec(input_size=50, output_size=40, hidden_sizes=(60, 30)),
    DNCSpec(input_size=50, output_size=40, hidden_sizes=(60, 30), memory_size=7, word_size=9, read_heads=2),
    DNCSpec(input_size=50, output_size=40, hidden_sizes=(60,), controller="feedforward"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.controller}")
def test_weights_have_variance_one_over_rows_and_biases_are_zero_but_for_forget_gates(spec) -> None:
    for name, leaf in named_leaves(init_params(spec, 3)):
        if leaf.ndim == 2:
            assert leaf.std() * np.sqrt(len(leaf)) == pytest.approx(1, abs=0.06), name
            assert abs(leaf.mean()) * np.sqrt(len(leaf)) < 0.06, name
        elif name.startswith("controller") and spec.controller == "lstm":
            size = len(leaf) // 4
            np.testing.assert_array_equal(leaf, np.repeat([0, 1, 0, 0], size))
        else:
            assert not leaf.any(), name


def test_the_seed_settles_every_number_and_dtypes_share_the_draws() -> None:
    one, again, other = (dict(named_leaves(init_params(SPECS[2], seed))) for seed in (0, 0, 1))
    double = init_params(SPECS[2], 0, "float64")
    rounded = dict(named_leaves(map_leaves(lambda leaf: leaf.astype("float32"), double)))
    for name, leaf in one.items():
        np.testing.assert_array_equal(leaf, again[name])
        np.testing.assert_array_equal(leaf, rounded[name])
        assert leaf.dtype == "float32"
        assert leaf.ndim == 1 or (leaf != other[name]).all()
