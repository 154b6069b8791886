"""Trees of arrays: nested (named) tuples whose leaves are arrays. The only "framework" of the project."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Tree = TypeVar("Tree")


def map_leaves(function: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """Same tree with `function(leaf, leaf of others ...)` in place of each leaf."""
    if isinstance(tree, tuple):
        branches = [map_leaves(function, *branch) for branch in zip(tree, *others, strict=True)]
        return cast(Tree, _like(tree, branches))
    return cast(Tree, function(tree, *others))


def leaves(tree: Any) -> list[NDArray[Any]]:
    """The arrays of a tree, in order."""
    return [leaf for _, leaf in named_leaves(tree)]


def named_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Pairs of a dotted name ("controller.0.weights") and an array, in order."""
    if not isinstance(tree, tuple):
        yield prefix, tree
        return
    names = getattr(tree, "_fields", range(len(tree)))
    for name, branch in zip(names, tree, strict=True):
        yield from named_leaves(branch, f"{prefix}.{name}" if prefix else str(name))


def from_named(tree: Tree, arrays: Mapping[str, Any], prefix: str = "") -> Tree:
    """Same tree with the arrays that `named_leaves` would give these names; a missing one is a KeyError."""
    if not isinstance(tree, tuple):
        return cast(Tree, arrays[prefix])
    names = getattr(tree, "_fields", range(len(tree)))
    branches = [
        from_named(branch, arrays, f"{prefix}.{name}" if prefix else str(name))
        for name, branch in zip(names, tree, strict=True)
    ]
    return cast(Tree, _like(tree, branches))


def zeros_like(tree: Tree) -> Tree:
    """Same tree, every number 0."""
    return map_leaves(np.zeros_like, tree)


def _like(tree: Any, branches: list[Any]) -> Any:
    """A tuple of the same type: named tuples take their fields one by one."""
    return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
