"""One step of an NTM's memory: what its heads can do, its gradient, and a second opinion by torch's autograd."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import random_inputs, random_params, random_state, single, words
from helpers.gradients import assert_backward
from numdnc import NTMSpec, initial_state, initial_state_backward, map_leaves, zero_params
from numdnc.init import NTM_MEMORY
from numdnc.parts import NTMInterface
from numdnc.reference import backward, forward
from numdnc.reference.ntm import access_ntm, access_ntm_backward
from numdnc.tree import leaves, named_leaves

SIZES = [(3, 2, 1, 5, 4, 1), (2, 1, 2, 4, 3, 2), (1, 4, 2, 5, 3, 3), (2, 4, 5, 1, 3, 1), (3, 2, 4, 6, 1, 1)]
"""B, R, V, N, W, shift_range: all different and R never 3, apart from ones."""
STILL, AHEAD = np.eye(3)[[1, 2]]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(R, V, N, W, shift_range, **options):
    sizes = {"memory_size": N, "word_size": W, "read_heads": R, "write_heads": V, "shift_range": shift_range}
    return NTMSpec(**{"input_size": 1, "output_size": 1, "hidden_sizes": (2,), **sizes, **options})


def still(heads, W):
    """Raw parts of heads that stay where they are."""
    return [np.zeros((1, heads, W)), np.zeros((1, heads)), np.zeros((1, heads))]


def step(state, *, spec, stores=(), move=STILL, read_move=STILL, erase=1.0):
    """The state after each write head stores its word where it attends after its move, and the read heads moved."""
    R, V, W = spec.read_heads, spec.write_heads, spec.word_size
    vectors = np.zeros((1, V, W))
    vectors[0, : len(stores)] = np.array(stores).reshape(len(stores), W)
    interface = NTMInterface(
        *still(R, W),
        np.tile(read_move, (1, R, 1)),
        np.full((1, R), 2.0),
        *still(V, W),
        np.tile(move, (1, V, 1)),
        np.full((1, V), 2.0),
        np.full((1, V, W), erase if len(stores) else 0.0),
        vectors,
    )
    return access_ntm(spec, interface, state)[0]


def begin(spec):
    return initial_state(spec, zero_params(spec, np.float64), 1)


def test_words_are_stored_side_by_side_and_read_from_the_first_on():
    """The copy that the paper's NTM learns: write and step ahead, return to the start, read and step ahead."""
    spec, words = spec_of(1, 1, 5, 3, 1), np.eye(3)
    state = begin(spec)
    for t, word in enumerate(words):
        state = step(state, spec=spec, stores=[word], move=AHEAD if t else STILL)
    assert_allclose(state.memory[0, :3], words, atol=1e-4)
    assert_allclose(state.read_weights[0, 0], [1, 0, 0, 0, 0], atol=1e-10)
    for word in (words[0], words[1], words[2]):
        assert_allclose(state.reads[0, 0], word, atol=1e-4)
        state = step(state, spec=spec, read_move=AHEAD)


def test_word_is_read_in_the_step_that_writes_it():
    spec = spec_of(2, 1, 4, 3, 1)
    state = step(begin(spec), spec=spec, stores=[[5.0, 6, 7]])
    assert_allclose(state.reads[0], [[5, 6, 7], [5, 6, 7]], atol=1e-10)


def test_write_heads_add_up_in_one_slot():
    """All erase before any adds."""
    spec = spec_of(1, 2, 4, 3, 1)
    state = begin(spec)._replace(memory=np.full((1, 4, 3), 9.0))
    state = step(state, spec=spec, stores=[[1.0, 0, 0], [0, 2, 0]])
    assert_allclose(state.memory[0, 0], [1, 2, 0], atol=1e-4)
    assert_allclose(state.memory[0, 1:], np.full((3, 3), 9), rtol=1e-4)


def test_without_learned_state_heads_start_at_slot_0_of_an_almost_empty_memory():
    state = initial_state(spec_of(2, 4, 5, 3, 1), zero_params(spec_of(2, 4, 5, 3, 1)), 7)
    assert_array_equal(state.memory, np.full((7, 5, 3), NTM_MEMORY, np.float32))
    assert_array_equal(state.read_weights, np.tile(np.eye(5)[0], (7, 2, 1)))
    assert_array_equal(state.write_weights, np.tile(np.eye(5)[0], (7, 4, 1)))
    assert not state.reads.any()


def test_learned_start_stands_in_every_row_and_gets_their_gradient(rng):
    spec = spec_of(2, 4, 5, 3, 1, learned_state=True)
    params = random_params(spec, rng)
    state = initial_state(spec, params, 7)
    for part in ("memory", "reads"):
        assert_array_equal(getattr(state, part), np.tile(getattr(params.initial, part), (7, 1, 1)))
    assert_array_equal(state.read_weights, np.tile(np.eye(5)[0], (7, 2, 1)))
    d_state = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), state)
    blank = map_leaves(np.zeros_like, params)
    initial = initial_state_backward(spec, blank, d_state).initial
    assert_allclose(initial.memory, d_state.memory.sum(axis=0))
    assert_allclose(initial.reads, d_state.reads.sum(axis=0))
    assert_allclose(initial.controller[0].cell, d_state.controller[0].cell.sum(axis=0))


def example(rng, spec, B):
    """A random interface and a random state."""
    R, V, W, S = spec.read_heads, spec.write_heads, spec.word_size, 2 * spec.shift_range + 1

    def heads(K):
        return (
            words(rng, B, K, W),
            3 * rng.random((B, K)),
            rng.random((B, K)),
            rng.dirichlet(np.ones(S), (B, K)),
            1 + rng.random((B, K)),
        )

    erase, vectors = rng.random((B, V, W)), rng.standard_normal((B, V, W))
    return NTMInterface(*heads(R), *heads(V), erase, vectors), random_state(spec, rng, B)


@pytest.mark.parametrize("B, R, V, N, W, shift_range", SIZES)
def test_gradient_of_a_step(B, R, V, N, W, shift_range, rng):
    spec = spec_of(R, V, N, W, shift_range)
    interface, before = example(rng, spec, B)
    _, tape = access_ntm(spec, interface, before)
    assert_backward(
        lambda *arguments: access_ntm(spec, *arguments)[0],
        (interface, before),
        lambda d: access_ntm_backward(spec, tape, d),
        step=1e-4,
    )


@pytest.mark.parametrize("part", ["memory", "write_weights", "read_weights", "reads"])
def test_gradient_from_each_part_of_the_state_alone(part, rng):
    """No part hides an error in another, however small its gradient."""
    spec = spec_of(4, 2, 5, 3, 1)
    interface, before = example(rng, spec, 2)
    after, tape = access_ntm(spec, interface, before)
    blank = map_leaves(np.zeros_like, after)
    assert_backward(
        lambda *arguments: getattr(access_ntm(spec, *arguments)[0], part),
        (interface, before),
        lambda d: access_ntm_backward(spec, tape, blank._replace(**{part: d})),
        step=1e-4,
    )


def test_step_stays_single(rng):
    spec = spec_of(2, 4, 5, 3, 1)
    interface, before = single(example(rng, spec, 3))
    after, tape = access_ntm(spec, interface, before)
    results = leaves((after, access_ntm_backward(spec, tape, after)))
    assert {result.dtype.name for result in results} == {"float32"}


# A second opinion: one row, one head and one slot at a time, with torch's gradients.


def opinion(spec, params, inputs, state):
    """Outputs (T, Y) and the final parts of the state, for one row; a feed-forward controller of one layer."""
    N, W, R, V, far = *(spec.memory_size, spec.word_size, spec.read_heads, spec.write_heads), spec.shift_range
    layer, memory = params.controller[0], list(state.memory)
    was = {"read": list(state.read_weights), "write": list(state.write_weights)}
    reads, outputs = list(state.reads), []

    def attend(kind, head, part):
        key, strength = part["keys"][head], torch.log(1 + torch.exp(part["strengths"][head]))
        gate, gamma = torch.sigmoid(part["gates"][head]), 1 + torch.log(1 + torch.exp(part["gammas"][head]))
        shares = torch.exp(part["shifts"][head]) / torch.exp(part["shifts"][head]).sum()
        length = torch.sqrt((key * key).sum() + 1e-6)
        cosines = [(key * word).sum() / (length * torch.sqrt((word * word).sum() + 1e-6)) for word in memory]
        alike = torch.exp(strength * torch.stack(cosines))
        mixed = gate * alike / alike.sum() + (1 - gate) * was[kind][head]
        moved = [sum(shares[j] * mixed[(n - j + far) % N] for j in range(2 * far + 1)) for n in range(N)]
        powers = (torch.stack(moved) + 1e-6) ** gamma
        was[kind][head] = powers / powers.sum()

    for x in inputs:
        hidden = torch.tanh(torch.cat([x, *reads]) @ layer.weights + layer.bias)
        xi = hidden @ params.interface.weights + params.interface.bias
        parts, at = {}, 0
        for kind, heads in (("read", R), ("write", V)):
            sizes = {"keys": W, "strengths": 1, "gates": 1, "shifts": 2 * far + 1, "gammas": 1}
            parts[kind] = {}
            for name, size in sizes.items():
                parts[kind][name] = [xi[at + head * size : at + (head + 1) * size] for head in range(heads)]
                at += heads * size
        erase = torch.sigmoid(xi[at : at + V * W])
        vectors = xi[at + V * W :]
        for head in range(V):
            attend("write", head, parts["write"])
        for n in range(N):
            for head in range(V):
                memory[n] = memory[n] * (1 - was["write"][head][n] * erase[head * W : (head + 1) * W])
            for head in range(V):
                memory[n] = memory[n] + was["write"][head][n] * vectors[head * W : (head + 1) * W]
        for head in range(R):
            attend("read", head, parts["read"])
            reads[head] = sum(was["read"][head][n] * memory[n] for n in range(N))
        outputs.append(torch.cat([hidden, *reads]) @ params.output.weights + params.output.bias)
    final = state._replace(
        memory=torch.stack(memory),
        write_weights=torch.stack(was["write"]),
        read_weights=torch.stack(was["read"]),
        reads=torch.stack(reads),
    )
    return torch.stack(outputs), final


@pytest.mark.parametrize("R, V, N, W, shift_range", [size[1:] for size in SIZES])
def test_agrees_with_torch(R, V, N, W, shift_range, rng):
    spec = spec_of(
        R, V, N, W, shift_range, input_size=7, output_size=8, hidden_sizes=(9,), controller="feedforward"
    )
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, 6, 1)
    state = random_state(spec, rng, 1)
    outputs, final, tape = forward(spec, params, inputs, state, keep_tape=True)
    pull = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), (outputs, final))
    ours = backward(spec, params, tape, *pull)

    def as_tensor(leaf):
        return torch.tensor(leaf, requires_grad=True)

    their_params, their_inputs = map_leaves(as_tensor, params), as_tensor(inputs[:, 0])
    their_state = map_leaves(lambda leaf: as_tensor(leaf[0]), state)
    found = opinion(spec, their_params, their_inputs, their_state)
    for (name, got), wanted in zip(named_leaves((outputs[:, 0], final)), leaves(found), strict=True):
        wanted = wanted.detach().numpy()
        assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-12, atol=1e-13, err_msg=name)
    pulls = [
        torch.tensor(leaf).reshape(got.shape) for leaf, got in zip(leaves(pull), leaves(found), strict=True)
    ]
    sum((a * b).sum() for a, b in zip(pulls, leaves(found), strict=True)).backward()
    theirs = leaves((their_params, their_inputs, their_state))
    for (name, got), wanted in zip(named_leaves(ours), theirs, strict=True):
        grad = wanted.grad.numpy()
        assert_allclose(got.reshape(grad.shape), grad, rtol=1e-10, atol=1e-11, err_msg=name)
