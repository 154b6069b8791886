"""Training on several processes, of one machine or of many, that torchrun or another launcher has started.

All of them hold the same run and draw the same batches. Each computes its own rows of a batch; what they find is added
up, and every process then makes the same update. Everything they tell each other is a sum of arrays.
"""

import atexit
import importlib
import json
import os
import re
import zlib
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError, missing_package
from numdnc.input_files import parse_whole_number
from numdnc.names import quoted
from numdnc.tree import Tree, leaves, map_leaves

TIMEOUT = timedelta(minutes=10)
"""So long a process waits for the others: each may have to compile its kernels first."""


class Processes:
    """Those that train one run together: here a single one, which tells nobody anything and changes no number."""

    rank = 0
    """The number of this process; 0 writes and prints for all."""
    count = 1
    _seen = 0
    """A checksum of what was noted, see `compare`."""

    def sum(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The sum over all processes, the same bits in each; `numbers` may be overwritten."""
        return numbers

    def speaks(self) -> bool:
        """Whether it is for this process to say why the work ends: true in one of them, the first that asks."""
        return True

    def abandoned(self) -> bool:
        """Whether whoever started the processes is gone, and with it all that would stop them."""
        return False

    def rows(self, total: int) -> slice:
        """The rows of this process, of so many in all: an even share; the first ones have one more where it is not."""
        each, more = divmod(total, self.count)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def check_batch(self, batch: int) -> None:
        """Refuse a batch of which some process would get nothing."""
        if batch < self.count:
            raise UserError(
                f"batch must be at least {self.count}, a sequence for each process, got {batch}. "
                "Use fewer processes or a larger batch."
            )

    def each(self, number: float) -> list[float]:
        """What every process has said here, by rank."""
        said = np.zeros(self.count)
        said[self.rank] = number
        return [float(number) for number in self.sum(said)]

    def whole(self, part: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """The rows of all processes side by side along an axis, where each has its own."""
        if self.count == 1:
            return part
        widths = [int(width) for width in self.each(part.shape[axis])]
        start = sum(widths[: self.rank])
        everything = np.zeros((*part.shape[:axis], sum(widths), *part.shape[axis + 1 :]), part.dtype)
        everything[(slice(None),) * axis + (slice(start, start + part.shape[axis]),)] = part
        return self.sum(everything)

    def told(self, contents: bytes, by: int = 0) -> bytes:
        """What one process says, in all of them."""
        return self.whole(np.frombuffer(contents if self.rank == by else b"", np.uint8)).tobytes()

    def agreed(self, value: Any) -> Any:
        """What the first process holds for true, in all of them: anything that JSON can say."""
        return value if self.count == 1 else json.loads(self.told(json.dumps(value).encode()))

    def mean(self, gradient: Tree, nats: float, count: float) -> tuple[Tree, float, float]:
        """Gradient and loss as means over what counts in all processes, where each has its own, and that count."""
        if self.count == 1:
            return gradient, nats, count
        parts = leaves(gradient)
        own = np.array([nats, 1], parts[0].dtype)
        summed = self.sum(np.concatenate([*map(np.ravel, parts), own]) * own.dtype.type(count))
        everywhere = float(summed[-1])
        summed /= max(summed[-1], 1)  # where nothing counts, loss and gradient are 0
        pieces = iter(np.split(summed, np.cumsum([part.size for part in parts])))
        gradient = map_leaves(lambda leaf: next(pieces).reshape(leaf.shape), gradient)
        return gradient, float(next(pieces)[0]), everywhere

    def note(self, *parts: NDArray[Any] | bytes) -> None:
        """Remember what must be the same in every process."""
        if self.count > 1:
            for part in parts:
                contents = part if isinstance(part, bytes) else np.ascontiguousarray(part).data
                self._seen = zlib.crc32(contents, self._seen)

    def compare(self) -> None:
        """Refuse to go on where processes have noted different things: they would no longer train one run."""
        if len(set(self.each(self._seen))) > 1:
            raise UserError(
                f"all {self.count} processes must draw the same batches and come to the same parameters, but they "
                "differ. Give every one the same command, data and versions, on processors of one kind; "
                "a task of your own must draw from its rng alone."
            )


class _Joined(Processes):
    """Several, by torch.distributed. Arrays are NumPy's here, so that Gloo serves every engine."""

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what it has to say is said here in one line
        try:
            self._torch = importlib.import_module("torch")
            self._distributed = importlib.import_module("torch.distributed")
        except ImportError:
            raise missing_package(f"training on {count} processes", "torch") from None
        try:
            store, _, _ = next(self._distributed.rendezvous("env://", timeout=TIMEOUT))
            self._store = self._distributed.PrefixStore(_attempt(count), store)
            self._distributed.init_process_group(
                "gloo", store=self._store, rank=rank, world_size=count, timeout=TIMEOUT
            )
            atexit.register(self._distributed.destroy_process_group)  # whose threads must end first
        except (RuntimeError, ValueError, OSError) as error:
            place = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
            raise UserError(
                f"{count} processes must find each other at {place}, but: {_in_short(error)}. "
                "Start them all by torchrun; see docs/distributed.md."
            ) from None
        self._said = f"said-{self.told(os.urandom(8)).hex()}"

    def sum(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """By all_reduce, in place."""
        try:
            self._distributed.all_reduce(self._torch.from_numpy(numbers))
        except RuntimeError as error:
            raise UserError(
                f"all {self.count} processes must stay until the end, but one was lost ({_in_short(error)}). "
                "The last checkpoint is whole: go on with `numdnc resume`, on as many processes as you like."
            ) from None
        return numbers

    def abandoned(self) -> bool:
        """torchrun, where it was killed, could not tell its workers; others may end before what they have started."""
        return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != _PARENT

    def speaks(self) -> bool:
        """The store, which outlives any worker of torchrun, knows who was first; where it is gone, everyone speaks."""
        try:
            return bool(self._store.add(self._said, 1) == 1)
        except RuntimeError:
            return True


VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""What says in the environment that a process has others beside it; one that trains alone must not inherit them."""
ALONE = Processes()
_PARENT = os.getppid()
"""Who started this process, unless it was gone before this module was imported."""
_joined: _Joined | None = None


def place() -> tuple[int, int]:
    """The number of this process, and of how many: by RANK and WORLD_SIZE, which torchrun sets; else 0 of 1."""
    count = os.environ.get("WORLD_SIZE") or "1"
    if count == "1":
        return 0, 1
    rank = os.environ.get("RANK", "")
    number, numbers = parse_whole_number(rank), parse_whole_number(count)
    if number is None or numbers is None or number >= numbers:
        raise UserError(
            f"RANK must be a whole number from 0 and below WORLD_SIZE, got {quoted(rank)} and {quoted(count)}. "
            "Leave both to torchrun, or set them in every process."
        )
    return number, numbers


def _attempt(count: int) -> str:
    """What sets this start of the processes apart from earlier ones, of which the store of torchrun may still know.

    Among several machines the number of restarts is not the same; there, every start must have a store of its own.
    """
    same = on_this_machine() == count
    return f"numdnc-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0) if same else 0}"


def on_this_machine() -> int:
    """How many of them run here and share its cores, by LOCAL_WORLD_SIZE, which torchrun sets; else 1."""
    return parse_whole_number(os.environ.get("LOCAL_WORLD_SIZE", "")) or 1


def join() -> Processes:
    """The processes that this one trains with, once all are there; `ALONE`, without torch, where it is the only one."""
    global _joined
    rank, count = place()
    if count == 1:
        return ALONE
    if _joined is None:
        _joined = _Joined(rank, count)
    return _joined


def speaks() -> bool:
    """Whether it is for this process to say why the work ends, even where the others were not found."""
    if _joined is not None:
        return _joined.speaks()
    try:
        return place()[0] == 0
    except UserError:
        return True


def _in_short(error: Exception) -> str:
    """The first sentence, without the place in its source that Gloo names."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\[/\S+\] ", "", line).partition(". ")[0].rstrip(".")
