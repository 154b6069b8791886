"""The engine `gpu` on a GPU: kernels compiled for it, loaded and launched on torch's current stream."""

import ctypes
import os
from functools import lru_cache
from typing import Any

from numdnc.errors import UserError, missing_package
from numdnc.input_files import parse_whole_number
from numdnc.spec import DNCSpec

try:
    import torch
except ImportError:
    raise missing_package("the engine gpu", "torch") from None

from numdnc.engines.gpu.compiling import THREADS, compile_kernels
from numdnc.engines.gpu.declarations import Problem
from numdnc.engines.gpu.engine import GPUEngine

try:
    from cuda.bindings import driver
except ImportError:
    raise missing_package("the engine gpu", "cuda-bindings") from None

OLDEST = (7, 0)
"""Compute capability of the oldest GPUs that the kernels can run on."""
_REALS = {torch.float32: "float", torch.float64: "double"}


class CUDALauncher:
    """Runs the kernels on a GPU; see `sequence.Launcher`."""

    threads = THREADS

    def __init__(self, device: Any) -> None:
        found = torch.cuda.get_device_properties(device)
        self.blocks: int = found.multi_processor_count
        self.shared_bytes: int = found.shared_memory_per_block_optin
        self._architecture = f"sm_{found.major}{found.minor}"
        self._modules: dict[tuple[int, str], Any] = {}

    def launch(
        self, kernel: str, spec: DNCSpec, like: Any, problem: Problem, blocks: int, shared_bytes: int
    ) -> None:
        """Run a kernel, `forward` or `backward`, in the dtype and on the device of a tensor."""
        with torch.cuda.device(like.device):
            function = self._function(kernel, spec.read_heads, _REALS[like.dtype])
            limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            _checked(driver.cuFuncSetAttribute(function, limit, shared_bytes))
            pointers = (ctypes.c_void_p * 1)(ctypes.addressof(problem))
            stream = torch.cuda.current_stream(like.device).cuda_stream
            # Cooperative: the driver refuses a launch whose blocks could not all run at once and wait for each other.
            _checked(
                driver.cuLaunchCooperativeKernel(
                    function,
                    *(blocks, 1, 1),
                    *(self.threads, 1, 1),
                    shared_bytes,
                    stream,
                    ctypes.addressof(pointers),
                )
            )

    def _function(self, kernel: str, heads: int, real: str) -> Any:
        if (heads, real) not in self._modules:
            code = compile_kernels(self._architecture, heads, real)
            self._modules[heads, real] = _checked(driver.cuModuleLoadData(code))
        return _checked(driver.cuModuleGetFunction(self._modules[heads, real], kernel.encode()))


def _checked(result: Any) -> Any:
    """What a call of the driver returned; UserError if it failed."""
    error, *values = result
    if error != driver.CUresult.CUDA_SUCCESS:
        raise UserError(
            f"the GPU must run the kernels of the engine gpu, got {error.name}. Take the engine torch."
        )
    return values[0] if values else None


def refuse_device(device: Any) -> str | None:
    """Return the reason why a device of torch cannot run the kernels, or None."""
    if torch.device(device).type != "cuda" or not torch.cuda.is_available() or torch.version.cuda is None:
        return "torch must find a GPU of NVIDIA for the engine gpu, got none. Take the engine cpu."
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST:
        return (
            f"the GPU must have compute capability {OLDEST[0]}.{OLDEST[1]} or higher for the engine gpu, "
            f"got {capability[0]}.{capability[1]}. Take the engine torch."
        )
    return None


@lru_cache
def launcher_on(device: Any) -> CUDALauncher:
    """Return the launcher of a GPU, by torch's name or device; UserError if there is none."""
    reason = refuse_device(device)
    if reason is not None:
        raise UserError(reason)
    return CUDALauncher(device)


def _own_device() -> str:
    """The GPU of this process: that of the local rank among those of torchrun, or torch's first."""
    rank = parse_whole_number(os.environ.get("LOCAL_RANK", ""))
    if rank is None or not torch.cuda.is_available():
        return "cuda:0"
    return f"cuda:{rank % torch.cuda.device_count()}"


ENGINE = GPUEngine(launcher_on(_own_device()), _own_device())
