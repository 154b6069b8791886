"""Two memories: what the second is written, that each is a memory by itself, and the gradient."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import PUBLISHED, SIZES, random_interface, random_state, weightings
from helpers.gradients import assert_backward
from numdnc import DNCSpec, zero_state
from numdnc.parts import Interface
from numdnc.reference.access import access
from numdnc.reference.memories import (
    access_memories,
    access_memories_backward,
    join_memories,
    product_over_heads_backward,
    split_memories,
)

MIXES = {
    "own": {"second_memory": "own"},
    "reads": {"second_memory": "reads"},
    "own, 2 write heads, M+D+S": {"second_memory": "own", "write_heads": 2, **PUBLISHED["M+D+S"]},
    "reads, M+D+S": {"second_memory": "reads", **PUBLISHED["M+D+S"]},
    "reads without links": {"second_memory": "reads", "links": False},
}
every_mix = pytest.mark.parametrize("variations", MIXES.values(), ids=MIXES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(R, N, W, **variations):
    return DNCSpec(
        input_size=1, output_size=1, hidden_sizes=(2,), memory_size=N, word_size=W, read_heads=R, **variations
    )


def alone(spec):
    """The same model with one memory."""
    return dataclasses.replace(spec, second_memory="none")


def example(rng, spec, B):
    """A random interface and a random state of two memories."""
    first, second = (random_interface(spec, rng, B) for _ in range(2))
    interface = join_memories(first, second)
    if spec.second_memory == "reads":
        interface = interface._replace(write_vector=first.write_vector)
    state = random_state(spec, rng, B)
    return interface, state._replace(write_weights=0.1 * weightings(rng, *state.write_weights.shape))


def test_the_second_memory_is_written_the_product_of_what_is_read_from_the_first():
    """The first head reads [2, 3, -1], the second [5, 0, 4]: the second memory is written [10, 0, -4]."""
    spec = spec_of(2, 4, 3, second_memory="reads", links=False)
    stored = np.array([[2.0, 3, -1], [5, 0, 4]])
    state = zero_state(spec, 1, np.float64)
    state.memory[0, 0, :2] = stored
    state.usage[0, 0, :2] = 1
    interface = Interface(
        read_keys=np.stack([stored, stored])[None],
        read_strengths=np.full((1, 2, 2), 1e6),
        write_key=np.ones((1, 2, 3)),
        write_strength=np.ones((1, 2)),
        erase=np.ones((1, 2, 3)),
        write_vector=np.array([[7.0, 7, 7]]),
        free_gates=np.zeros((1, 2, 2)),
        allocation_gate=np.ones((1, 2)),
        write_gate=np.array([[0.0, 1]]),
    )
    after, _ = access_memories(spec, interface, state)
    assert_allclose(after.reads[0, 0], stored, atol=1e-12)
    assert_allclose(after.memory[0, 1], [[10, 0, -4], *np.zeros((3, 3))], atol=1e-12)
    assert_array_equal(after.memory[0, 0], state.memory[0, 0])
    assert_array_equal(after.write_weights[0], [np.zeros(4), np.eye(4)[0]])
    assert_allclose(after.reads[0, 1], [[10, 0, -4]] * 2, atol=1e-12)


def test_of_one_read_head_the_second_memory_is_written_what_it_reads(rng):
    spec = spec_of(1, 5, 4, second_memory="reads")
    interface, before = example(rng, spec, 3)
    after, _ = access_memories(spec, interface, before)
    told = split_memories(interface._replace(write_vector=()))[1]._replace(write_vector=after.reads[:, 0, 0])
    second, _ = access(alone(spec), told, split_memories(before)[1])
    assert_array_equal(after.memory[:, 1], second.memory)


@every_mix
def test_the_first_memory_does_not_know_of_the_second(variations, rng):
    spec = spec_of(2, 5, 4, **variations)
    interface, before = example(rng, spec, 3)
    other = random_state(spec, rng, 3)
    mixed = join_memories(split_memories(before)[0], split_memories(other)[1])
    after, changed = (access_memories(spec, interface, state)[0] for state in (before, mixed))
    for part in ("memory", "usage", "write_weights", "read_weights", "reads"):
        assert_array_equal(getattr(after, part)[:, 0], getattr(changed, part)[:, 0])
        assert (getattr(after, part)[:, 1] != getattr(changed, part)[:, 1]).any()


def test_memories_with_vectors_of_their_own_are_two_memories(rng):
    spec = spec_of(2, 5, 4, **MIXES["own, 2 write heads, M+D+S"])
    interface, before = example(rng, spec, 3)
    after, _ = access_memories(spec, interface, before)
    parts = zip(split_memories(interface), split_memories(before), strict=True)
    apart = [access(alone(spec), part, state)[0] for part, state in parts]
    for name, part in join_memories(*apart)._asdict().items():
        if isinstance(part, np.ndarray):
            assert_array_equal(getattr(after, name), part)


@every_mix
@pytest.mark.parametrize("B, R, N, W", [(2, 1, 4, 3), pytest.param(2, 4, 5, 3, marks=pytest.mark.thorough)])
def test_gradient(variations, B, R, N, W, rng):
    spec = spec_of(R, N, W, **variations)
    interface, before = example(rng, spec, B)
    _, tape = access_memories(spec, interface, before)
    assert_backward(
        lambda *arguments: access_memories(spec, *arguments)[0],
        (interface, before),
        lambda d: access_memories_backward(spec, tape, d),
    )


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_the_product_over_heads(B, R, N, W, rng):
    reads = rng.standard_normal((B, R, W))
    assert_backward(
        lambda reads: reads.prod(axis=1), (reads,), lambda d: (product_over_heads_backward(reads, d),)
    )


def test_gradient_of_a_product_with_zeros():
    """With a zero only its own factor has a gradient, with two none: nothing is divided."""
    reads = np.array([[[0.0, 0], [2, 0], [3, 5]]])
    gradient = product_over_heads_backward(reads, np.ones((1, 2)))
    assert_array_equal(gradient, [[[6, 0], [0, 0], [0, 0]]])
