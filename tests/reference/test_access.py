"""One whole step of the memory: what a controller can do with it, and its gradient."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import (
    FAMILY,
    PUBLISHED,
    SIZES,
    random_interface,
    random_state,
    single,
    weightings,
)
from helpers.gradients import assert_backward
from numdnc import DNCSpec, map_leaves, zero_state
from numdnc.parts import Interface
from numdnc.reference.access import access, access_backward
from numdnc.reference.content import content_weights, masked_content_weights
from numdnc.tree import leaves

WORDS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
STRONG = np.array([1e6])
BACKWARD, CONTENT, FORWARD = np.eye(3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(R, N, W, **variations):
    return DNCSpec(
        input_size=1,
        output_size=1,
        hidden_sizes=(2,),
        memory_size=N,
        word_size=W,
        read_heads=R,
        **variations,
    )


PAPER = spec_of(1, 4, 3)
"""One head, four slots, words of three."""
CONTENT_ONLY = spec_of(1, 4, 3, links=False)
WIPING = spec_of(1, 4, 3, deallocation=True)

MIXES = {
    **{
        name: FAMILY[name]
        for name in ("masking", "masking-floor", "deallocation", "sharpness", "content-only")
    },
    "M+D+S": PUBLISHED["M+D+S"],
    "M+D without links": {"masking": True, "mask_floor": 0.25, "deallocation": True, "links": False},
    "2 write heads": {"write_heads": 2},
    "3 write heads, M+D+S": {"write_heads": 3, **PUBLISHED["M+D+S"]},
    "3 write heads without links": {"write_heads": 3, "links": False},
}
every_mix = pytest.mark.parametrize("variations", MIXES.values(), ids=MIXES)


def step(state, *, spec=PAPER, store=None, key=WORDS[0], mode=CONTENT, free=0.0, over=None, **extra):
    """The state after writing `store` into a free slot, or `over` the slot most like that, and one read."""
    interface = Interface(
        read_keys=key[None, None],
        read_strengths=STRONG[None],
        write_key=np.zeros((1, 3)) if over is None else over[None],
        write_strength=STRONG,
        erase=np.ones((1, 3)),
        write_vector=np.zeros((1, 3)) if store is None else store[None],
        free_gates=np.array([[free]]),
        allocation_gate=np.array([1.0 if over is None else 0.0]),
        write_gate=np.array([0.0 if store is None else 1.0]),
        read_modes=mode[None, None] if spec.links else (),
        **extra,
    )
    return access(spec, interface, state)[0]


def blank(spec=PAPER):
    return zero_state(spec, 1, np.float64)


def stored(*words, spec=PAPER):
    state = blank(spec)
    for word in words:
        state = step(state, spec=spec, store=word)
    return state


def test_words_are_written_to_one_slot_after_the_other():
    state = stored(*WORDS)
    assert_array_equal(state.memory[0], [*WORDS, [0, 0, 0]])
    assert_array_equal(state.write_weights, [[0, 0, 1, 0]])


def test_word_can_be_read_in_the_step_that_writes_it():
    state = step(blank(), store=WORDS[2], key=WORDS[2])
    assert_allclose(state.reads[0], WORDS[[2]], atol=1e-12)


def test_slot_most_like_the_write_key_is_overwritten():
    state = step(stored(*WORDS), store=WORDS[2] * 5, over=WORDS[1])
    assert_allclose(state.memory[0], [WORDS[0], WORDS[2] * 5, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_links_are_made_with_what_was_written_the_step_before():
    state = stored(WORDS[0], WORDS[1])
    expected = np.zeros((4, 4))
    expected[1, 0] = 1
    assert_array_equal(state.link[0], expected)
    assert_array_equal(state.precedence, [[0, 1, 0, 0]])


def test_head_that_found_a_word_walks_forward_and_back():
    state = step(stored(*WORDS), key=WORDS[0])
    for mode, word in [(FORWARD, 1), (FORWARD, 2), (BACKWARD, 1), (BACKWARD, 0)]:
        state = step(state, mode=mode)
        assert_allclose(state.reads[0], WORDS[[word]], atol=1e-12)


def test_freed_slot_is_written_next():
    state = step(stored(*WORDS), key=WORDS[1])
    state = step(state, store=WORDS[0] * 9, free=1.0)
    assert_allclose(state.memory[0], [WORDS[0], WORDS[0] * 9, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_usage_counts_the_write_of_the_step_before():
    state = stored(WORDS[0])
    assert_array_equal(state.usage, np.zeros((1, 4)))
    assert_array_equal(step(state).usage, [[1, 0, 0, 0]])


def freed(spec):
    """Three words, of which the second was read and then freed."""
    return step(step(stored(*WORDS, spec=spec), spec=spec, key=WORDS[1]), spec=spec, free=1.0)


def test_word_in_a_freed_slot_can_still_be_found():
    state = step(freed(PAPER), key=WORDS[1])
    assert_array_equal(state.memory[0], [*WORDS, [0, 0, 0]])
    assert_allclose(state.reads[0], WORDS[[1]], atol=1e-12)


def test_word_in_a_freed_slot_is_gone_with_deallocation():
    state = step(freed(WIPING), spec=WIPING, key=WORDS[1])
    assert_allclose(state.memory[0], [WORDS[0], [0, 0, 0], WORDS[2], [0, 0, 0]], atol=1e-12)
    assert_allclose(state.reads[0], [[0.25, 0, 0.25]], atol=1e-12)  # like no slot: all are read


def test_slot_is_wiped_before_it_is_read_in_the_same_step():
    state = step(stored(*WORDS, spec=WIPING), spec=WIPING, key=WORDS[1])
    state = step(state, spec=WIPING, key=WORDS[1], free=1.0)
    assert_allclose(state.reads[0], [[0.25, 0, 0.25]], atol=1e-12)


def test_slot_is_wiped_before_it_is_written():
    state = step(stored(*WORDS, spec=WIPING), spec=WIPING, key=WORDS[1])
    state = step(state, spec=WIPING, store=WORDS[0] * 9, free=1.0)
    assert_allclose(state.memory[0], [WORDS[0], WORDS[0] * 9, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_write_key_still_finds_what_is_wiped_in_the_same_step():
    state = step(stored(*WORDS, spec=WIPING), spec=WIPING, key=WORDS[1])
    state = step(state, spec=WIPING, store=WORDS[0] * 9, over=WORDS[1], free=1.0)
    assert_allclose(state.write_weights, [[0, 1, 0, 0]], atol=1e-12)
    assert_allclose(state.memory[0], [WORDS[0], WORDS[0] * 9, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_without_links_heads_read_by_content_alone():
    state = step(stored(*WORDS, spec=CONTENT_ONLY), spec=CONTENT_ONLY, key=WORDS[2])
    state = step(state, spec=CONTENT_ONLY, key=WORDS[1], mode=FORWARD)
    assert_allclose(state.read_weights, [[[0, 1, 0, 0]]], atol=1e-12)
    assert_allclose(state.reads[0], WORDS[[1]], atol=1e-12)


def test_without_links_the_read_weights_are_the_content_weights(rng):
    spec = spec_of(4, 5, 3, links=False)
    interface, before = example(rng, spec, 2)
    after, tape = access(spec, interface, before)
    found, _ = content_weights(after.memory, interface.read_keys, interface.read_strengths)
    assert_array_equal(after.read_weights, found)
    assert_array_equal(after.reads, found @ after.memory)
    assert tape.reading is None


def test_without_links_the_state_holds_nothing_of_them(rng):
    spec = spec_of(4, 5, 3, links=False)
    interface, before = example(rng, spec, 2)
    after, tape = access(spec, interface, before)
    d_interface, d_before = access_backward(spec, tape, after)
    for state in (before, after, d_before):
        assert state.link == state.precedence == ()
        assert not any(array.shape[-2:] == (5, 5) for array in leaves(state))
    assert interface.read_modes == d_interface.read_modes == ()


def test_each_look_up_has_a_mask_of_its_own():
    """Slot 0 holds the key's first number, slot 1 its second; masks choose which of them counts."""
    spec = spec_of(1, 2, 2, masking=True)
    state = zero_state(spec, 1, np.float64)._replace(memory=np.array([[[1.0, -1], [-1, 1]]]))
    first, second = np.eye(2)[:, None, None]
    interface = Interface(
        read_keys=np.ones((1, 1, 2)),
        read_strengths=np.array([[1e3]]),
        write_key=np.ones((1, 2)),
        write_strength=np.array([1e3]),
        erase=np.zeros((1, 2)),
        write_vector=np.zeros((1, 2)),
        free_gates=np.zeros((1, 1)),
        allocation_gate=np.zeros(1),
        write_gate=np.ones(1),
        read_modes=CONTENT[None, None],
        write_mask=first[0],
        read_masks=second,
    )
    after, _ = access(spec, interface, state)
    assert_allclose(after.write_weights, [[1, 0]], atol=1e-12)
    assert_allclose(after.read_weights, [[[0, 1]]], atol=1e-12)


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
def test_masks_are_raised_to_the_floor_of_the_spec(floor, rng):
    spec = spec_of(4, 5, 3, masking=True, mask_floor=floor, links=False)
    interface, before = example(rng, spec, 2)
    after, _ = access(spec, interface, before)
    found, _ = masked_content_weights(
        after.memory, interface.read_keys, interface.read_strengths, interface.read_masks, floor
    )
    assert_array_equal(after.read_weights, found)


@pytest.mark.parametrize(
    "mode, sharpness, expected",
    [
        (FORWARD, (1.0, 3.0), [1 / 3, 2 / 3, 0, 0]),
        (FORWARD, (3.0, 1.0), [1 / 9, 8 / 9, 0, 0]),
        (BACKWARD, (3.0, 1.0), [0, 0, 1 / 4, 3 / 4]),
        (BACKWARD, (1.0, 3.0), [0, 0, 1 / 28, 27 / 28]),
    ],
)
def test_forward_and_backward_are_sharpened_each_by_its_own(mode, sharpness, expected):
    """Slots 2 and 3 were written before the slot read last, 0 and 1 after it."""
    spec = spec_of(1, 5, 3, sharpness=True)
    state = zero_state(spec, 1, np.float64)
    state.link[0, :2, 4] = [0.2, 0.4]
    state.link[0, 4, 2:4] = [0.1, 0.3]
    state.read_weights[0, 0, 4] = 1
    forward, backward = sharpness
    after = step(
        state,
        spec=spec,
        mode=mode,
        forward_sharpness=np.array([[forward]]),
        backward_sharpness=np.array([[backward]]),
    )
    assert_allclose(after.read_weights[0, 0], [*expected, 0], atol=2e-5)


# Several write heads.

TWO = spec_of(1, 5, 3, write_heads=2)
"""One read head, two write heads."""
FIRST_BACK, SECOND_BACK, FOUND, FIRST_ON, SECOND_ON = np.eye(5)


def step_of_two(state, *, stores=(None, None), over=(None, None), key=WORDS[0], mode=FOUND, spec=TWO):
    """The state after each write head has stored its word, if any, in a free slot or `over` the one most like that."""
    interface = Interface(
        read_keys=key[None, None],
        read_strengths=STRONG[None],
        write_key=np.array([[np.zeros(3) if word is None else word for word in over]]),
        write_strength=np.tile(STRONG, (1, 2)),
        erase=np.ones((1, 2, 3)),
        write_vector=np.array([[np.zeros(3) if word is None else word for word in stores]]),
        free_gates=np.zeros((1, 1)),
        allocation_gate=np.array([[float(word is None) for word in over]]),
        write_gate=np.array([[float(word is not None) for word in stores]]),
        read_modes=mode[None, None],
    )
    return access(spec, interface, state)[0]


def test_two_write_heads_write_to_two_free_slots_in_one_step():
    state = step_of_two(blank(TWO), stores=WORDS[:2])
    assert_array_equal(state.memory[0], [*WORDS[:2], *np.zeros((3, 3))])
    assert_array_equal(state.write_weights[0], np.eye(5)[:2])
    state = step_of_two(state, stores=WORDS[[2, 0]])
    assert_array_equal(state.memory[0], [*WORDS, WORDS[0], [0, 0, 0]])
    assert_array_equal(state.usage[0], [1, 1, 0, 0, 0])
    assert_array_equal(step_of_two(state).usage[0], [1, 1, 1, 1, 0])


def test_a_write_head_that_does_not_write_leaves_the_free_slot_to_the_next():
    state = step_of_two(blank(TWO), stores=(None, WORDS[1]))
    assert_array_equal(state.memory[0], [WORDS[1], *np.zeros((4, 3))])
    assert_array_equal(state.write_weights[0], [np.zeros(5), np.eye(5)[0]])


def test_one_write_head_overwrites_where_the_other_takes_a_free_slot():
    state = step_of_two(blank(TWO), stores=WORDS[:2])
    state = step_of_two(state, stores=(WORDS[2], WORDS[1] * 5), over=(None, WORDS[1]))
    assert_allclose(state.memory[0], [WORDS[0], WORDS[1] * 5, WORDS[2], *np.zeros((2, 3))], atol=1e-12)


def test_each_write_head_links_what_it_has_written_itself():
    """The first head writes to slots 0 and 2, the second to 1 and 3."""
    state = step_of_two(step_of_two(blank(TWO), stores=WORDS[:2]), stores=WORDS[[2, 0]] * 7)
    first, second = np.zeros((2, 5, 5))
    first[2, 0] = second[3, 1] = 1
    assert_array_equal(state.link[0], [first, second])
    assert_array_equal(state.precedence[0], np.eye(5)[2:4])


@pytest.mark.parametrize(
    ("key", "mode", "slot"),
    [
        (0, FIRST_ON, 2),
        (1, SECOND_ON, 3),
        (2, FIRST_BACK, 0),
        (3, SECOND_BACK, 1),
        (0, SECOND_ON, None),
        (3, FIRST_BACK, None),
    ],
)
def test_a_read_head_walks_along_the_links_of_either_write_head(key, mode, slot):
    words = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    state = step_of_two(step_of_two(blank(TWO), stores=words[:2]), stores=words[2:])
    state = step_of_two(step_of_two(state, key=words[key]), mode=mode)
    assert_allclose(state.reads[0, 0], np.zeros(3) if slot is None else words[slot], atol=1e-12)


def test_a_write_head_that_is_shut_changes_nothing_but_its_own_links(rng):
    """Memory and usage are those of a model with the other head alone, whichever is shut."""
    one, two = spec_of(2, 5, 4, links=False), spec_of(2, 5, 4, links=False, write_heads=2)
    interface, before = example(rng, two, 3)
    for shut in (0, 1):
        gates = interface.write_gate.copy()
        gates[:, shut] = 0
        weights = before.write_weights.copy()
        weights[:, shut] = 0
        parts = {name: part for name, part in interface._asdict().items() if two.interface_parts.get(name)}
        own = {
            name: part[:, 1 - shut] for name, part in parts.items() if "[V]" in two.interface_parts[name].axes
        }
        got, _ = access(two, interface._replace(write_gate=gates), before._replace(write_weights=weights))
        wanted, _ = access(
            one, interface._replace(**own), before._replace(write_weights=before.write_weights[:, 1 - shut])
        )
        for part in ("memory", "usage", "read_weights", "reads"):
            assert_allclose(getattr(got, part), getattr(wanted, part), rtol=1e-13, atol=1e-15)
        assert_allclose(got.write_weights[:, 1 - shut], wanted.write_weights, rtol=1e-13)
        assert not got.write_weights[:, shut].any()


def example(rng, spec, B):
    """A random interface and a random state."""
    interface, state = random_interface(spec, rng, B), random_state(spec, rng, B)
    weights = 0.1 * weightings(rng, B, spec.write_heads, spec.memory_size)
    return interface, state._replace(write_weights=weights if spec.write_heads > 1 else weights[:, 0])


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient(B, R, N, W, rng):
    assert_access_gradient(rng, spec_of(R, N, W), B)


@every_mix
@pytest.mark.parametrize(
    "B, R, N, W", [pytest.param(2, 4, 5, 3, marks=pytest.mark.thorough), (2, 1, 4, 3), (1, 2, 1, 3)]
)
def test_gradient_of_variations(variations, B, R, N, W, rng):
    assert_access_gradient(rng, spec_of(R, N, W, **variations), B)


def assert_access_gradient(rng, spec, B):
    interface, before = example(rng, spec, B)
    _, tape = access(spec, interface, before)
    assert_backward(
        lambda *arguments: access(spec, *arguments)[0],
        (interface, before),
        lambda d: access_backward(spec, tape, d),
    )


PARTS = ["memory", "usage", "precedence", "link", "write_weights", "read_weights"]


@pytest.mark.parametrize(
    "variations",
    [
        pytest.param({}, marks=pytest.mark.thorough),
        PUBLISHED["M+D+S"],
        {"write_heads": 2},
        pytest.param({"write_heads": 3, **PUBLISHED["M+D+S"]}, marks=pytest.mark.thorough),
    ],
    ids=["paper", "M+D+S", "2-write-heads", "3-write-heads-M+D+S"],
)
@pytest.mark.parametrize("part", PARTS)
def test_gradient_from_each_part_of_the_state_alone(part, variations, rng):
    """No part hides an error in another, however small its gradient."""
    spec = spec_of(4, 5, 3, **variations)
    interface, before = example(rng, spec, 2)
    after, tape = access(spec, interface, before)
    blank = map_leaves(np.zeros_like, after)
    assert_backward(
        lambda *arguments: getattr(access(spec, *arguments)[0], part),
        (interface, before),
        lambda d: access_backward(spec, tape, blank._replace(**{part: d})),
    )


@pytest.mark.parametrize("variations", [{}, *MIXES.values()], ids=["paper", *MIXES])
def test_access_stays_single(variations, rng):
    spec = spec_of(2, 5, 4, **variations)
    interface, before = single(example(rng, spec, 3))
    after, tape = access(spec, interface, before)
    results = leaves((after, access_backward(spec, tape, after)))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
