"""The engine gpu without a GPU: the same kernels, compiled by g++ with an emulation of a GPU's threads."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from numdnc.engines.gpu.declarations import KERNELS
from numdnc.engines.gpu.plan import scratch_size

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-ffp-contract=off", "-w", "-shared", "-fPIC")
MUTATED = "NUMDNC_TEST_KERNELS"
"""The variable that names a folder of kernels to test in place of those of the package."""


class Emulator:
    """Runs kernels on tensors of the CPU, with few threads in each of few blocks."""

    def __init__(
        self, threads: int = 64, blocks: int = 4, shared_bytes: int = 1 << 16, seed: int = 0
    ) -> None:
        self.threads, self.blocks, self.shared_bytes, self.seed = threads, blocks, shared_bytes, seed

    def launch(
        self, kernel: str, spec: Any, like: torch.Tensor, problem: Any, blocks: int, shared_bytes: int
    ) -> None:
        """Run a kernel; AssertionError if threads wait for others that have ended."""
        real = {torch.float32: "float", torch.float64: "double"}[like.dtype]
        run = compiled(self.threads, spec.read_heads, real).launch
        numbers = shared_bytes // like.element_size()
        ended = run(kernel == "backward", ctypes.byref(problem), blocks, numbers, self.seed)
        assert ended, f"{kernel}: some threads wait at a barrier that others never reach"


@cache
def compiled(threads: int, heads: int, real: str) -> ctypes.CDLL:
    """The library for these constants; compiled once for all processes that test the same source."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is needed to compile the kernels for the CPU, and there is none")
    folder = Path(os.environ.get(MUTATED, KERNELS))
    sources = [HERE / "emulator.cpp", *sorted(folder.glob("*.cu*"))]
    constants = {"THREADS": threads, "HEADS": heads, "REAL": real, "SCRATCH": scratch_size(threads)}
    words = [*FLAGS, *(f"-D{name}={value}" for name, value in constants.items())]
    text = "\0".join([compiler, *words, *(path.read_text(encoding="utf-8") for path in sources)])
    kept = Path(tempfile.gettempdir(), f"numdnc-kernels-{os.getuid()}") if folder == KERNELS else folder
    library = kept / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"
    if not library.exists():
        library.parent.mkdir(mode=0o700, exist_ok=True)
        own = library.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, *words, f"-I{folder}", "-o", own, sources[0]], check=True)
        own.replace(library)
    return ctypes.CDLL(str(library))
