"""Check and time the engine `gpu` on this machine's GPU, beside torch's operations there and the engine `cpu`.

    python benchmarks/gpu.py [--shapes babi traversal] [--batches 32 128 132] [--seconds 2] [--out gpu.json]
        [--peers torch cpu] [--threads 2] [--no-contract]

One run of a few minutes: the engine's tests on the device, then its errors at these shapes, then times, a table of them
with the aims, and everything in one JSON file, which is written again after each figure. If a test fails or an error is
too large there are no times, and the exit code is 1. Needs the extra `gpu`, a GPU of NVIDIA and the group `test`.

Times are medians in float32, of inputs, parameters and gradients that stay on the device: forward, with a tape; forward
and backward; the same without what surrounds the kernels (products over all steps). `torch` is the engine of plain
operations, eager, TF32 off as torch has it by default; `cpu` has so many threads and runs on this machine's processor.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from numdnc.engines import get_engine
from numdnc.errors import UserError
from numdnc.formatting import format_table
from numdnc.inspection.benchmark import (
    LARGEST_ERROR,
    SHAPES,
    Shape,
    make_problem,
    max_relative_error,
    repeat,
    time_engine,
)
from numdnc.tree import leaves, map_leaves, zeros_like

TESTS = ("tests/engines", "tests/nn/test_gpu.py")
AIMS = {
    "forward": ("us a step forward", 25.0),
    "both": ("us a step forward and backward", 60.0),
    "per_cpu": ("times the throughput of cpu at B 128", 50.0),
    "per_torch": ("times that of torch on the card", 20.0),
    "error": ("error in float32", 1e-4),
}


class Device:
    """Torch's device, and what launches the kernels there."""

    def __init__(self, name: str, launcher: Any) -> None:
        import torch

        self.torch, self.name, self.launcher = torch, name, launcher
        self.kernel_seconds: list[float] | None = None

    def wait(self) -> None:
        if self.name != "cpu":
            self.torch.cuda.synchronize(self.name)

    def seconds(self, run: Any) -> float:
        self.wait()
        began = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - began

    @property
    def threads(self) -> int:
        return self.launcher.threads

    @property
    def blocks(self) -> int:
        return self.launcher.blocks

    @property
    def shared_bytes(self) -> int:
        return self.launcher.shared_bytes

    def launch(self, *given: Any) -> None:
        """Launch, and note how long the kernel took, if that is asked for."""
        if self.kernel_seconds is None:
            self.launcher.launch(*given)
        else:
            self.kernel_seconds.append(self.seconds(lambda: self.launcher.launch(*given)))


def tensors(device: Device, shape: Shape, dtype: Any = np.float32) -> tuple[Any, ...]:
    """Spec, parameters, symbols, state and the gradient by the outputs on the device."""
    given = make_problem(shape, dtype)

    def put(array: Any) -> Any:
        return device.torch.from_numpy(np.array(array)).to(device.name)

    rng = np.random.default_rng(0)
    d_outputs = rng.standard_normal((shape.steps, shape.batch, shape.output_size)).astype(dtype)
    params, symbols, state = map_leaves(put, (given.params, given.symbols.astype(np.int64), given.state))
    return given.spec, params, symbols, state, put(d_outputs)


def gpu_times(device: Device, shape: Shape, seconds: float) -> dict[str, float]:
    """Median microseconds a step: forward, both, and both in the kernels alone."""
    from numdnc.engines.gpu.batch import backward_of_rows, forward_of_rows

    spec, params, symbols, state, d_outputs = tensors(device, shape)
    d_state = map_leaves(device.torch.zeros_like, state)

    def forward() -> Any:
        return forward_of_rows(device, spec, params, symbols, state, None, keep_tape=True)

    def both() -> None:
        backward_of_rows(device, params, forward()[2], d_outputs, d_state)

    both()
    found = {"forward": median(repeat(lambda: device.seconds(forward), seconds))}
    found["both"] = median(repeat(lambda: device.seconds(both), seconds))
    device.kernel_seconds = []
    runs = len(repeat(lambda: device.seconds(both), seconds / 2))
    each = len(device.kernel_seconds) // runs
    sums = [sum(device.kernel_seconds[i : i + each]) for i in range(0, each * runs, each)]
    device.kernel_seconds = None
    return {name: 1e6 * value / shape.steps for name, value in {**found, "kernels": median(sums)}.items()}


def torch_times(device: Device, shape: Shape, seconds: float) -> dict[str, float]:
    """Median microseconds a step of torch's operations on the device: forward and backward."""
    from numdnc.engines.torch import model

    spec, params, symbols, state, d_outputs = tensors(device, shape)
    for leaf in leaves(params):
        leaf.requires_grad_()

    def both() -> None:
        outputs, _ = model.forward(spec, params, symbols, state)
        device.torch.autograd.grad(outputs, leaves(params), d_outputs, allow_unused=True)

    both()
    return {"both": 1e6 * median(repeat(lambda: device.seconds(both), seconds)) / shape.steps}


def cpu_times(shape: Shape, seconds: float, threads: int) -> dict[str, float]:
    """The same of the engine `cpu`."""
    from numdnc.engines.cpu import CPUEngine

    found = time_engine(CPUEngine(threads=threads), shape, seconds)
    return {"both": 1e6 * found.total / shape.steps}


def float32_error(engine: Any, shape: Shape) -> float:
    """Largest error of outputs and gradients in float32, relative to the largest number of the definition's array."""
    short = shape._replace(steps=min(shape.steps, 12), batch=min(shape.batch, 2))

    def arrays(computed_by: Any, dtype: Any) -> list[Any]:
        given = make_problem(short, dtype)
        rng = np.random.default_rng(0)
        d_outputs = rng.standard_normal((short.steps, short.batch, short.output_size)).astype(dtype)
        outputs, state, tape = computed_by.forward(
            given.spec, given.params, given.symbols, given.state, keep_tape=True
        )
        d_params, _, _ = computed_by.backward(given.spec, given.params, tape, d_outputs, zeros_like(state))
        return [outputs, *leaves(d_params)]

    pairs = zip(arrays(engine, np.float32), arrays(get_engine("reference"), np.float64), strict=True)
    return max(float(abs(mine - right).max() / max(1e-6, abs(right).max())) for mine, right in pairs)


def summary(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each shape and batch: what the aims are about."""
    found = {}
    for name, each in measured.items():
        row = {key: each["gpu"][key] for key in ("forward", "both", "kernels")}
        for peer in ("torch", "cpu"):
            if peer in each:
                row[f"per_{peer}"] = each[peer]["both"] / row["both"]
        found[name] = row
    return found


def show(result: dict[str, Any]) -> None:
    rows = [["shape", "forward", "both", "kernels", "torch / gpu", "cpu / gpu"]]
    for name, row in result["summary"].items():
        keys = ("forward", "both", "kernels", "per_torch", "per_cpu")
        rows.append([name, *(f"{row[key]:.1f}" if key in row else "-" for key in keys)])
    print(f"{result['device']}: microseconds a step, then how many times faster\n")
    print(format_table(rows), end="\n\n")
    for name, error in result["errors"].items():
        print(f"{name}: error {error['float64']:.1e} in float64, {error['float32']:.1e} in float32")
    print("aims: " + ", ".join(f"{value:g} {text}" for text, value in AIMS.values()))


def test_on_device() -> str | None:
    """The first words of pytest about the engine's tests if one of them fails."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", *TESTS, "-k", "gpu"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    last = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()[-1]
    print(f"tests on the device: {last}", file=sys.stderr, flush=True)
    return last if done.returncode else None


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["babi", "traversal"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128, 132])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, at least three runs")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--peers", nargs="*", choices=("torch", "cpu"), default=["torch", "cpu"])
    parser.add_argument("--threads", type=int, default=2, help="of the engine cpu")
    parser.add_argument("--no-contract", action="store_true", help="leave out the tests")
    return parser.parse_args()


def main() -> None:
    """Test, check, measure and print; exit with 1 if the engine is wrong or there is none."""
    options = parsed()
    try:
        engine = get_engine("gpu")
        from numdnc.engines.gpu import cuda
    except UserError as error:
        sys.exit(f"no GPU to measure: {error}")
    import torch

    result: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    result |= {"processor": platform.processor() or platform.machine(), "measured": {}, "errors": {}}
    if not options.no_contract and (failed := test_on_device()):
        sys.exit(f"FAIL: {failed}. No figures.")
    for name in options.shapes:
        shape = SHAPES[name]
        errors = {"float64": max_relative_error(engine, shape), "float32": float32_error(engine, shape)}
        result["errors"][name] = errors
        if not (errors["float64"] <= LARGEST_ERROR and errors["float32"] <= AIMS["error"][1]):
            sys.exit(f"FAIL: the engine gpu at {name}: {errors}. No figures.")
    device = Device("cuda:0", cuda.launcher_on("cuda:0"))
    result |= {"blocks": device.blocks, "shared_bytes": device.shared_bytes}
    for name in options.shapes:
        for batch in options.batches:
            shape = SHAPES[name]._replace(batch=batch)
            measured = result["measured"].setdefault(f"{name}, B {batch}", {})
            measured["gpu"] = gpu_times(device, shape, options.seconds)
            if "torch" in options.peers:
                measured["torch"] = torch_times(device, shape, options.seconds)
            if "cpu" in options.peers and batch == 128:
                measured["cpu"] = cpu_times(shape, options.seconds, options.threads)
            result["summary"] = summary(result["measured"])
            options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(f"{name}, B {batch}: {measured}", file=sys.stderr, flush=True)
    show(result)


if __name__ == "__main__":
    main()
