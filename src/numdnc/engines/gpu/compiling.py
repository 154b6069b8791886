"""Compile the kernels for a GPU with NVRTC, which needs no GPU."""

import logging
import time
from typing import Any

from numdnc.engines.gpu.declarations import KERNELS
from numdnc.engines.gpu.plan import scratch_size
from numdnc.errors import UserError, missing_package

try:
    from cuda.bindings import nvrtc
except ImportError:
    raise missing_package("the engine gpu", "cuda-bindings") from None

THREADS = 512
"""Of a block."""
_LOG = logging.getLogger("numdnc")


def compile_kernels(architecture: str, heads: int, real: str) -> bytes:
    """Machine code of all kernels for an architecture such as sm_90; real: the type of numbers, float or double."""
    _LOG.info("compiling the kernels of the engine gpu for %s, %d read heads, %s", architecture, heads, real)
    began = time.perf_counter()
    headers = sorted(KERNELS.glob("*.cuh"))
    texts, names = [path.read_bytes() for path in headers], [path.name.encode() for path in headers]
    source = (KERNELS / "sequence.cu").read_bytes()
    try:
        program = _checked(nvrtc.nvrtcCreateProgram(source, b"sequence.cu", len(texts), texts, names))
    except RuntimeError:  # of the package that looks for the library
        raise missing_package("the engine gpu", "nvidia-cuda-nvrtc-cu12") from None
    constants = {"THREADS": THREADS, "HEADS": heads, "REAL": real, "SCRATCH": scratch_size(THREADS)}
    words = [f"--gpu-architecture={architecture}", "--std=c++17"]
    words += [f"-D{name}={value}" for name, value in constants.items()]
    try:
        error, *_ = nvrtc.nvrtcCompileProgram(program, len(words), [word.encode() for word in words])
        if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise UserError(f"NVRTC must compile the kernels for {architecture}, got {_log_of(program)}")
        code = bytes(_checked(nvrtc.nvrtcGetCUBINSize(program)))
        _checked(nvrtc.nvrtcGetCUBIN(program, code))
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    _LOG.info("compiled in %.1f s", time.perf_counter() - began)
    return code


def _log_of(program: Any) -> str:
    """The first line of what the compiler says."""
    log = bytes(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
    _checked(nvrtc.nvrtcGetProgramLog(program, log))
    return log.decode().strip("\0\n").partition("\n")[0]


def _checked(result: Any) -> Any:
    """What a call of NVRTC returned; UserError if it failed."""
    error, *values = result
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise UserError(
            f"NVRTC must be able to compile, got {error.name}. Install numdnc with its extra gpu."
        )
    return values[0] if values else None
