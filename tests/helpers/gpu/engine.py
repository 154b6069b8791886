"""The engine gpu, in the place of numdnc.engines.gpu.cuda: emulated where there is no GPU."""

import torch

from helpers.gpu.emulator import Emulator
from numdnc.engines.gpu.engine import GPUEngine


def _engine() -> GPUEngine:
    if not torch.cuda.is_available():
        return GPUEngine(Emulator(), "cpu")
    from numdnc.engines.gpu import cuda

    return cuda.ENGINE


ENGINE = _engine()
