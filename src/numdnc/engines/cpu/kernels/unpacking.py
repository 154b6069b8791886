"""How a kernel is told of its arrays: Python passes numbers, from which compiled code makes the named tuples.

A model has a hundred arrays. Made and passed one by one they would take longer than the kernels at small sizes. So a
call passes one vector of integers: the fields of `Sizes`, then for each array of the tuples, in the order in which
kernels/types.py declares them, its address and its shape (`layouts.py`).
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar, get_type_hints

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from numdnc.engines.cpu.kernels.compiling import entry, inlined
from numdnc.engines.cpu.kernels.types import Axes, WorkShare, declared

Function = TypeVar("Function", bound=Callable[..., Any])


@intrinsic(prefer_literal=True)
def array_at(typing_context, numbers, at, like, axes):
    """The array of so many axes whose address is numbers[at], and whose shape follows there; of the type of `like`."""
    made = types.Array(like.dtype, axes.literal_value, "C")

    def generate(context, builder, signature, arguments):
        first = context.make_array(numbers)(context, builder, arguments[0]).data
        found = [
            builder.load(builder.gep(first, [ir.Constant(ir.IntType(64), at.literal_value + i)]))
            for i in range(1 + made.ndim)
        ]
        view = context.make_array(made)(context, builder)
        itemsize = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(made.dtype)))
        strides = [itemsize]
        for size in reversed(found[2:]):
            strides.insert(0, builder.mul(strides[0], size))
        populate_array(
            view,
            data=builder.inttoptr(found[0], view.data.type),
            shape=found[1:],
            strides=strides,
            itemsize=itemsize,
            meminfo=None,
        )
        return view._getvalue()

    return made(numbers, at, like, axes), generate


_NAMES: dict[str, Any] = {"array_at": array_at, "int32": np.int32, "int64": np.int64, "float64": np.float64}
"""What the source text of entries refers to."""


def sequence_entry(function: Function) -> Function:
    """An entry that is called with what `signature` says, and makes the arguments of `function` of it.

    The vector `numbers` holds all of them but the last, a `WorkShare`: that is the vector `share`, and the barrier.
    """
    kinds = [kind for name, kind in get_type_hints(function).items() if name != "work"]
    at = count()
    arguments = [_expression(kind, at, "numbers") for kind in kinds]
    arguments.append(_expression(WorkShare, count(), "share"))
    name = function.__name__
    _NAMES[f"_{name}"] = inlined(function)
    source = f"def {name}(numbers, share, barrier, like):\n    _{name}({', '.join(arguments)})\n"
    made: dict[str, Any] = {}
    exec(source, _NAMES, made)
    made[name].__module__, made[name].__doc__ = function.__module__, function.__doc__
    return entry(made[name])  # type: ignore[no-any-return]


def signature(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The types of such an entry's arguments: numbers, share, barrier, and any array of the model's dtype."""
    integers = types.Array(types.int64, 1, "C")
    return integers, integers, integers, types.Array(from_dtype(dtype), 1, "C")


def _expression(declaration: Any, at: Iterator[int], vector: str) -> str:
    """The source text that makes what is declared of the numbers from the next one on."""
    if isinstance(declaration, Axes):
        first, *_ = (next(at) for _ in ("", *declaration.names.split()))
        return f"array_at({vector}, {first}, {declaration.dtype or 'like'}, {len(declaration.names.split())})"
    if declaration is int:
        return f"{vector}[{next(at)}]"
    if declaration is float:
        return f"{vector}[{(first := next(at))} : {first + 1}].view(float64)[0]"
    if declaration is Any:
        return "barrier"
    _NAMES[declaration.__name__] = declaration
    fields = ", ".join(_expression(each, at, vector) for each in declared(declaration).values())
    return f"{declaration.__name__}({fields})"
