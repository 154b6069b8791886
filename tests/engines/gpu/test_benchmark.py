"""benchmarks/gpu.py: what it would measure on a GPU, on an emulated one; and what it says where there is none."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.gpu.emulator import Emulator
from numdnc.engines.gpu.engine import GPUEngine
from numdnc.inspection.benchmark import Shape

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu.py"
TINY = Shape(3, (4,), 2, 5, 3, 1, batch=2, steps=2)


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_measures_and_shows(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    device = script.Device("cpu", Emulator())
    gpu = script.gpu_times(device, TINY, 0)
    assert 0 < gpu["kernels"] < gpu["both"]
    measured = {"tiny": {"gpu": gpu, "torch": script.torch_times(device, TINY, 0)}}
    error = script.float32_error(GPUEngine(Emulator(), "cpu"), TINY)
    assert 0 < error < 1e-5
    result = {"device": "emulated", "summary": script.summary(measured)}
    script.show({**result, "errors": {"tiny": {"float64": 0.0, "float32": error}}})
    shown = capsys.readouterr().out
    assert "emulated: microseconds a step" in shown
    assert "aims: 25 us a step forward" in shown
    assert "tiny" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is about machines without a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no GPU to measure: ")
    assert len(done.stderr.splitlines()) == 1
