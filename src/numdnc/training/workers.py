"""Workers: the processes that train one run together, and the collectives by which they exchange arrays.

All of them hold the same run and draw the same batches. Each computes its own shard, some of the sequences of a batch;
gradients are averaged over all workers, and then each makes the same update. Every collective is built on `all_reduce`.
"""

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tree import Tree, leaves, map_leaves


class Workers:
    """All workers as one of them sees them; this class itself is a single worker, whose collectives change nothing."""

    rank = 0
    """The number of this worker, in [0, world_size); rank 0 writes files and prints for all."""
    world_size = 1
    _recorded = 0
    """A checksum of everything that was passed to `record`."""

    def all_reduce(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The sum over all workers, the same bits in each; `numbers` may be overwritten."""
        return numbers

    def first_to_report(self) -> bool:
        """Whether this worker reports why the work ends: true in the first worker that asks, false in all others."""
        return True

    def launcher_exited(self) -> bool:
        """Whether the program that started the workers has exited, and can no longer stop them."""
        return False

    def shard(self, batch: int) -> slice:
        """The rows of a batch that this worker computes: an even share; if it is uneven, the first have one more."""
        each, more = divmod(batch, self.world_size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def check_batch(self, batch: int) -> None:
        """Raise UserError if the batch is too small to give every worker a row."""
        if batch < self.world_size:
            raise UserError(
                f"batch must be at least {self.world_size}, a sequence for each process, got {batch}. "
                "Use fewer processes or a larger batch."
            )

    def all_gather_number(self, number: float) -> list[float]:
        """The number of every worker, by rank."""
        numbers = np.zeros(self.world_size)
        numbers[self.rank] = number
        return [float(number) for number in self.all_reduce(numbers)]

    def all_gather(self, part: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """The parts of all workers, concatenated along an axis by rank."""
        if self.world_size == 1:
            return part
        widths = [int(width) for width in self.all_gather_number(part.shape[axis])]
        start = sum(widths[: self.rank])
        gathered = np.zeros((*part.shape[:axis], sum(widths), *part.shape[axis + 1 :]), part.dtype)
        gathered[(slice(None),) * axis + (slice(start, start + part.shape[axis]),)] = part
        return self.all_reduce(gathered)

    def broadcast(self, contents: bytes, source: int = 0) -> bytes:
        """The bytes of the worker of rank `source`; what the others pass is ignored."""
        return self.all_gather(np.frombuffer(contents if self.rank == source else b"", np.uint8)).tobytes()

    def broadcast_object(self, value: Any) -> Any:
        """The value of rank 0, which must be JSON."""
        return value if self.world_size == 1 else json.loads(self.broadcast(json.dumps(value).encode()))

    def all_reduce_mean(self, gradient: Tree, loss: float, count: float) -> tuple[Tree, float, float]:
        """Gradient and loss, each a mean over `count` predictions, as means over all workers, and the total count."""
        if self.world_size == 1:
            return gradient, loss, count
        parts = leaves(gradient)
        ending = np.array([loss, 1], parts[0].dtype)
        summed = self.all_reduce(np.concatenate([*map(np.ravel, parts), ending]) * ending.dtype.type(count))
        total = float(summed[-1])
        summed /= max(summed[-1], 1)  # without any prediction, loss and gradient are 0
        pieces = iter(np.split(summed, np.cumsum([part.size for part in parts])))
        gradient = map_leaves(lambda leaf: next(pieces).reshape(leaf.shape), gradient)
        return gradient, float(next(pieces)[0]), total

    def record(self, *parts: NDArray[Any] | bytes) -> None:
        """Add data that must be the same in every worker to the checksum of `check_identical`."""
        if self.world_size > 1:
            for part in parts:
                contents = part if isinstance(part, bytes) else np.ascontiguousarray(part).data
                self._recorded = zlib.crc32(contents, self._recorded)

    def check_identical(self) -> None:
        """Raise UserError if workers have recorded different data: they would no longer train one run."""
        if len(set(self.all_gather_number(self._recorded))) > 1:
            raise UserError(
                f"all {self.world_size} processes must draw the same batches and compute the same parameters, but "
                "they differ. Give every one the same command, data and versions, on processors of one kind; "
                "a task of your own must draw from its rng alone."
            )


SINGLE = Workers()
"""A single worker."""
