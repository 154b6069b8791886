"""Central differences on a 4-point stencil, in float64: what every hand-derived gradient is compared with."""

import numpy as np

from numdnc.tree import from_named, map_leaves, named_leaves

STEP = 3e-4
TOLERANCE = 2e-9
"""Largest relative error allowed, if a test does not say otherwise; the largest measured so is 5e-10."""
FLOOR = 1e-2
"""Gradients smaller than this are compared absolutely, as those that must be 0."""


def slope(function, point, direction, step=STEP):
    """Derivative of a scalar function of an array along a direction; the error is of order step^4."""
    near = function(point + step * direction) - function(point - step * direction)
    far = function(point + 2 * step * direction) - function(point - 2 * step * direction)
    return (8 * near - far) / (12 * step)


def gradient_errors(function, point, gradient, *, step=STEP, directions=None, moving=None):
    """Largest relative error per leaf of `gradient`, the claimed gradient of `function` at the tree `point`.

    Every entry is tried on its own; where `directions` is given, that many random directions per leaf instead. `moving`
    is a tree like `point`, False at the entries that stay.
    """
    stays = {} if moving is None else {name: ~leaf.ravel() for name, leaf in named_leaves(moving)}
    claimed, arrays = dict(named_leaves(gradient)), dict(named_leaves(point))
    assert claimed.keys() == arrays.keys(), f"gradient of {list(claimed)} for a tree of {list(arrays)}"
    rng = np.random.default_rng(0)
    errors = {}
    for name, array in arrays.items():
        assert claimed[name].shape == array.shape, f"{name}: gradient {claimed[name].shape} of {array.shape}"
        along = np.eye(array.size)
        if directions is not None:
            along = rng.choice([-1, 1], (directions, array.size)) / np.sqrt(max(array.size, 1))

        if name in stays:
            along[:, stays[name]] = 0

        def moved(value, name=name):
            return function(from_named(point, arrays | {name: value}))

        measured = np.array([slope(moved, array, one.reshape(array.shape), step) for one in along])
        given = along @ claimed[name].ravel()
        scale = max(abs(measured).max(initial=FLOOR), abs(given).max(initial=FLOOR))
        errors[name] = abs(measured - given).max(initial=0) / scale
    return errors


def assert_gradient(function, point, gradient, *, tolerance=TOLERANCE, **options):
    """Fail unless every leaf of `gradient` is the gradient of the scalar `function` at the tree `point`."""
    errors = gradient_errors(function, point, gradient, **options)
    wrong = {name: f"{error:.1e}" for name, error in errors.items() if not error < tolerance}
    assert not wrong, f"relative error of the gradient by {wrong}, allowed {tolerance}"


def assert_backward(function, arguments, pull_back, **options):
    """Fail unless `pull_back(d_results)` gives the gradients by `arguments` of `function(*arguments)`.

    The results are a tree; the loss is their sum with random weights, so no result can hide.
    """
    rng = np.random.default_rng(1)
    weights = map_leaves(lambda result: rng.standard_normal(np.shape(result)), function(*arguments))
    assert_gradient(
        lambda point: weighted_sum(weights, function(*point)), tuple(arguments), pull_back(weights), **options
    )


def weighted_sum(weights, tree):
    """Sum over all leaves of weights times values."""
    pairs = zip(named_leaves(weights), named_leaves(tree), strict=True)
    return sum(float((weight * value).sum()) for (_, weight), (_, value) in pairs)


SPARSE = ("write_weights", "read_weights", "precedence", "link_values")


def with_gradient(spec, state):
    """Where a state has a gradient: of a sparse model not at weights and links that are 0, slots and ages."""
    if not spec.has_memory or spec.sparsity is None:
        return map_leaves(lambda leaf: np.ones(leaf.shape, bool), state)
    never = {"link_slots": False, "age": False}
    masks = {
        name: leaf != 0 if name in SPARSE else np.full(leaf.shape, never.get(name, True))
        for name, leaf in named_leaves(state)
    }
    return from_named(state, masks)
