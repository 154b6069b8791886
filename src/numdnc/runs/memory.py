"""Another memory for a trained model: what no parameter depends on."""

import dataclasses
from typing import Any, NamedTuple

from numdnc.errors import UserError
from numdnc.spec import DNCSpec, Spec


class MemoryOverride(NamedTuple):
    """What to change; None leaves it as it was trained."""

    size: int | None = None
    """N, the number of slots."""
    sparsity: int | None = None
    """K, how many weights of a weighting and links of a slot are kept, of a DNC."""

    @property
    def options(self) -> list[str]:
        """The options of the command line that ask for it."""
        return [
            option
            for option, value in (("--memory-size", self.size), ("--sparsity", self.sparsity))
            if value is not None
        ]


UNCHANGED = MemoryOverride()


def with_memory(spec: Spec, memory: MemoryOverride) -> Spec:
    """The spec with another memory."""
    for option in memory.options:
        if not spec.has_memory:
            raise UserError(
                f"{option} must be given for a model with a memory, got a run of a {spec.kind}. Leave it out."
            )
        if option == "--sparsity" and not isinstance(spec, DNCSpec):
            raise UserError(f"{option} must be given for a dnc, got a run of a {spec.kind}. Leave it out.")
    size, sparsity = memory
    if size is not None and spec.learned_state and size != spec.memory_size:
        raise UserError(
            f"--memory-size must be {spec.memory_size} for a {spec.kind} that has learned its initial memory, "
            f"got {size}. Leave it out."
        )
    values: dict[str, Any] = {"memory_size": size, "sparsity": sparsity}
    return dataclasses.replace(spec, **{name: value for name, value in values.items() if value is not None})
