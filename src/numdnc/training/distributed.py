"""Training by several processes, on one machine or many, that torchrun or another launcher has started.

They find each other through torch.distributed; RANK and WORLD_SIZE in the environment say how many there are.
"""

import atexit
import importlib
import os
import re
from datetime import timedelta
from typing import Any

from numpy.typing import NDArray

from numdnc.errors import UserError, missing_package
from numdnc.input_files import parse_whole_number
from numdnc.names import quoted
from numdnc.training.workers import SINGLE, Workers

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""Variables that tell a process about the others; a process that trains alone must not inherit them."""
TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others: each may have to compile its kernels first."""
_PARENT = os.getppid()
"""The process that started this one."""
_STORES: list[Any] = []
"""Kept until the interpreter is gone: where rank 0 serves the store, others still ask it who has reported."""


def rank_and_world_size() -> tuple[int, int]:
    """The rank of this process and the number of processes, by RANK and WORLD_SIZE; 0 and 1 without them."""
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


def local_world_size() -> int:
    """How many of the processes run on this machine and share its cores, by LOCAL_WORLD_SIZE; 1 without it."""
    return parse_whole_number(os.environ.get("LOCAL_WORLD_SIZE", "")) or 1


def connect() -> Workers:
    """Wait for all processes that train together; `SINGLE`, without torch, if this is the only one.

    Call it once in a process, before anything else that may fail, and pass the workers to `train`.
    """
    rank, world_size = rank_and_world_size()
    return SINGLE if world_size == 1 else _TorchWorkers(rank, world_size)


def unconnected() -> Workers:
    """Workers that cannot exchange anything (yet): the first reports, unless the environment is wrong; then all do."""
    try:
        return _Unconnected(*rank_and_world_size())
    except UserError:
        return SINGLE


class _Unconnected(Workers):
    def __init__(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size

    def first_to_report(self) -> bool:
        return self.rank == 0


class _TorchWorkers(Workers):
    """Several workers, connected by torch.distributed. Arrays stay NumPy's, so that Gloo serves every engine."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its errors are reported here, in one line
        try:
            self._torch = importlib.import_module("torch")
            self._distributed = importlib.import_module("torch.distributed")
        except ImportError:
            raise missing_package(f"training on {world_size} processes", "torch") from None
        try:
            store, _, _ = next(self._distributed.rendezvous("env://", timeout=TIMEOUT))
            self._store = self._distributed.PrefixStore(_attempt(world_size), store)
            self._distributed.init_process_group(
                "gloo", store=self._store, rank=rank, world_size=world_size, timeout=TIMEOUT
            )
            atexit.register(self._distributed.destroy_process_group)  # whose threads must end first
            _STORES.append(self._store)
        except (RuntimeError, ValueError, OSError) as error:
            address = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
            raise UserError(
                f"{world_size} processes must find each other at {address}, but: {_first_sentence(error)}. "
                "Start them all by torchrun; see docs/distributed.md."
            ) from None
        self._reported = f"reported-{self.broadcast(os.urandom(8)).hex()}"

    def all_reduce(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Sum in place."""
        try:
            self._distributed.all_reduce(self._torch.from_numpy(numbers))
        except RuntimeError as error:
            raise UserError(
                f"all {self.world_size} processes must stay until the end, but one was lost "
                f"({_first_sentence(error)}). "
                "The last checkpoint is whole: go on with `numdnc resume`, on as many processes as you like."
            ) from None
        return numbers

    def launcher_exited(self) -> bool:
        """True where torchrun was killed, before it could stop its workers; other launchers may well end early."""
        return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != _PARENT

    def first_to_report(self) -> bool:
        """By a counter in the store, which outlives any worker of torchrun; if it is gone, every worker reports."""
        try:
            return bool(self._store.add(self._reported, 1) == 1)
        except RuntimeError:
            return True


def _attempt(world_size: int) -> str:
    """A name for this start of the workers: the store of torchrun may still hold keys of an earlier one.

    Machines may count restarts differently; where there are several, every start must have a store of its own.
    """
    same = local_world_size() == world_size
    return f"numdnc-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0) if same else 0}"


def _first_sentence(error: Exception) -> str:
    """The first sentence of an error, without the place in its source that Gloo names."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\[/\S+\] ", "", line).partition(". ")[0].rstrip(".")
