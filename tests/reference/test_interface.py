import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import SIZES, single
from helpers.gradients import assert_backward
from numdnc import DNCSpec
from numdnc.reference.interface import parse_interface, parse_interface_backward
from numdnc.tree import leaves, named_leaves


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(R, W, N=5, **variations):
    return DNCSpec(input_size=1, output_size=1, memory_size=N, word_size=W, read_heads=R, **variations)


ADDED = {
    "content-only": {"links": False},
    "masking": {"masking": True, "mask_floor": 0.5},
    "sharpness": {"sharpness": True},
    "masking and sharpness": {"masking": True, "sharpness": True},
    "masking without links": {"masking": True, "links": False},
}
with_variations = pytest.mark.parametrize("variations", ADDED.values(), ids=ADDED)


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_parts_have_the_order_and_the_size_of_the_paper(B, R, N, W):
    spec = spec_of(R, W, N)
    assert list(spec.interface_sizes.items()) == [
        ("read_keys", R * W),
        ("read_strengths", R),
        ("write_key", W),
        ("write_strength", 1),
        ("erase", W),
        ("write_vector", W),
        ("free_gates", R),
        ("allocation_gate", 1),
        ("write_gate", 1),
        ("read_modes", 3 * R),
    ]
    assert spec.interface_size == R * W + 3 * W + 5 * R + 3


def test_each_number_lands_in_its_part():
    spec = spec_of(R=2, W=3)
    xi = np.arange(28.0)[None] / 10
    gates, strengths = 1 / (1 + np.exp(-xi[0])), 1 + np.log(1 + np.exp(xi[0]))
    modes = np.exp(xi[0, 22:]).reshape(2, 3)
    expected = {
        "read_keys": [xi[0, 0:3], xi[0, 3:6]],
        "read_strengths": strengths[6:8],
        "write_key": xi[0, 8:11],
        "write_strength": strengths[11],
        "erase": gates[12:15],
        "write_vector": xi[0, 15:18],
        "free_gates": gates[18:20],
        "allocation_gate": gates[20],
        "write_gate": gates[21],
        "read_modes": modes / modes.sum(axis=1, keepdims=True),
    }
    assert_parts(parse_interface(spec, xi), expected)


def assert_parts(interface, expected):
    """Each part has these values in its only row, and there is no other part."""
    present = dict(named_leaves(interface))
    assert present.keys() == expected.keys()
    for name, part in expected.items():
        assert_allclose(present[name], [part], rtol=1e-13, err_msg=name, strict=True)


def test_numbers_of_variations_stand_behind_those_of_the_paper():
    xi = np.arange(41.0)[None] / 10
    gates, strengths = 1 / (1 + np.exp(-xi[0])), 1 + np.log(1 + np.exp(xi[0]))
    paper = parse_interface(spec_of(R=2, W=3), xi[:, :28])
    expected = {name: part[0] for name, part in named_leaves(paper)} | {
        "write_mask": gates[28:31],
        "read_masks": [gates[31:34], gates[34:37]],
        "forward_sharpness": strengths[37:39],
        "backward_sharpness": strengths[39:41],
    }
    assert_parts(parse_interface(spec_of(R=2, W=3, masking=True, sharpness=True), xi), expected)


def test_without_links_masks_take_the_place_of_the_modes():
    xi = np.arange(31.0)[None] / 10
    gates = 1 / (1 + np.exp(-xi[0]))
    paper = parse_interface(spec_of(R=2, W=3), xi[:, :28])
    expected = {name: part[0] for name, part in named_leaves(paper) if name != "read_modes"} | {
        "write_mask": gates[22:25],
        "read_masks": [gates[25:28], gates[28:31]],
    }
    assert_parts(parse_interface(spec_of(R=2, W=3, masking=True, links=False), xi), expected)


def test_interface_of_zeros_is_undecided():
    spec = spec_of(R=2, W=3)
    interface = parse_interface(spec, np.zeros((1, spec.interface_size)))
    assert_allclose(interface.read_strengths, [[1 + np.log(2)] * 2], rtol=1e-15)
    assert_allclose(interface.write_strength, [1 + np.log(2)], rtol=1e-15)
    for gate in (interface.erase, interface.free_gates, interface.allocation_gate, interface.write_gate):
        assert_array_equal(gate, np.full_like(gate, 0.5))
    assert_allclose(interface.read_modes, np.full((1, 2, 3), 1 / 3), rtol=1e-15)


def test_modes_of_one_head_do_not_depend_on_the_other():
    spec = spec_of(R=2, W=3)
    xi = np.zeros((1, spec.interface_size))
    xi[0, -6:-3] = [0, 0, 100]
    modes = parse_interface(spec, xi).read_modes[0]
    assert_allclose(modes, [[0, 0, 1], [1 / 3, 1 / 3, 1 / 3]], atol=1e-15)


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient(B, R, N, W, rng):
    spec = spec_of(R, W, N)
    xi = rng.standard_normal((B, spec.interface_size))
    interface = parse_interface(spec, xi)
    assert_backward(
        lambda z: parse_interface(spec, z), (xi,), lambda d: (parse_interface_backward(interface, d),)
    )


@with_variations
def test_gradient_of_variations(variations, rng):
    spec = spec_of(R=2, W=4, **variations)
    xi = rng.standard_normal((3, spec.interface_size))
    interface = parse_interface(spec, xi)
    assert_backward(
        lambda z: parse_interface(spec, z), (xi,), lambda d: (parse_interface_backward(interface, d),)
    )


@pytest.mark.parametrize("variations", [{}, *ADDED.values()], ids=["paper", *ADDED])
@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_interface_stays_single_and_finite_at_extremes(scale, variations, rng):
    spec = spec_of(R=2, W=3, **variations)
    interface = parse_interface(spec, single(scale * rng.standard_normal((4, spec.interface_size))))
    for result in leaves((interface, parse_interface_backward(interface, interface))):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
