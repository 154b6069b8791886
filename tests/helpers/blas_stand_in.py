"""A stand-in for the BLAS library, whose number of threads the engine `cpu` sets while it computes."""

import threading

from helpers.patience import PATIENCE
from numdnc.engines.cpu import blas


class FakeBLAS:
    """A library whose number of threads anybody may set."""

    def __init__(self, count: int) -> None:
        self.count = count

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count


def inside(leave: threading.Event) -> threading.Thread:
    """Another thread that computes until it is told to leave."""
    here = threading.Event()

    def work() -> None:
        with blas.single_threaded_blas():
            here.set()
            assert leave.wait(PATIENCE)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert here.wait(PATIENCE)
    return thread
