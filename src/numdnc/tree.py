"""Trees of arrays: nested (named) tuples whose leaves are arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Tree = TypeVar("Tree")


def map_leaves(function: Callable[..., Any], tree: Tree, *others: Any) -> Tree:
    """Apply `function(leaf, leaf of others ...)` to each leaf; return a tree of the results."""
    if isinstance(tree, tuple):
        branches = [map_leaves(function, *branch) for branch in zip(tree, *others, strict=True)]
        return cast(Tree, _like(tree, branches))
    return cast(Tree, function(tree, *others))


def leaves(tree: Any) -> list[NDArray[Any]]:
    """Leaves of a tree, in order."""
    if not isinstance(tree, tuple):
        return [tree]
    return [leaf for branch in tree for leaf in leaves(branch)]


def from_leaves(tree: Tree, arrays: Iterable[Any]) -> Tree:
    """Tree of the same structure with these leaves, in the order of `leaves`."""
    following = iter(arrays)
    return map_leaves(lambda _: next(following), tree)


def named_leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield a dotted name ("controller.0.weights") and the array of each leaf, in order."""
    if not isinstance(tree, tuple):
        yield prefix, tree
        return
    names = getattr(tree, "_fields", range(len(tree)))
    for name, branch in zip(names, tree, strict=True):
        yield from named_leaves(branch, f"{prefix}.{name}" if prefix else str(name))


def from_named(tree: Tree, arrays: Mapping[str, Any], prefix: str = "") -> Tree:
    """Tree of the same structure with arrays by the names of `named_leaves`; KeyError if one is missing."""
    if not isinstance(tree, tuple):
        return cast(Tree, arrays[prefix])
    names = getattr(tree, "_fields", range(len(tree)))
    branches = [
        from_named(branch, arrays, f"{prefix}.{name}" if prefix else str(name))
        for name, branch in zip(names, tree, strict=True)
    ]
    return cast(Tree, _like(tree, branches))


def zeros_like(tree: Tree) -> Tree:
    """Tree of the same structure and shapes, all 0."""
    return map_leaves(np.zeros_like, tree)


def _like(tree: Any, branches: list[Any]) -> Any:
    """Make a tuple of the type of `tree`."""
    return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
