"""The kernels compile for GPUs, which needs none; and what is said where something is missing."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from helpers.contract import SPECS
from numdnc import UserError
from numdnc.engines.gpu.batch import split_rows
from numdnc.engines.gpu.declarations import Problem, fields
from numdnc.engines.gpu.plan import Plan, refuse_spec


def compiled(*given: Any) -> bytes:
    try:
        from numdnc.engines.gpu.compiling import compile_kernels

        return compile_kernels(*given)
    except UserError as error:
        if "package" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize(
    ("architecture", "heads", "real"),
    [
        ("sm_90", 2, "float"),
        pytest.param("sm_80", 4, "float", marks=pytest.mark.thorough),
        pytest.param("sm_90", 8, "double", marks=pytest.mark.thorough),
    ],
)
def test_kernels_compile(architecture: str, heads: int, real: str) -> None:
    code = compiled(architecture, heads, real)
    assert code.startswith(b"\x7fELF")
    assert b"forward" in code
    assert b"backward" in code


def test_a_compiler_that_refuses_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match=r"NVRTC must compile the kernels for sm_1, got \S.*") as caught:
        compiled("sm_1", 1, "float")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is about machines without a GPU")
@pytest.mark.parametrize("package", ["torch", "cuda", "cuda.bindings"])
def test_missing_packages_are_named(package: str) -> None:
    absent = f"import sys\nsys.modules[{package!r}] = None\nimport numdnc.engines as e\n"
    code = f"{absent}try:\n    e.get_engine('gpu')\nexcept Exception as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name = "torch" if package == "torch" else "cuda-bindings"
    assert done.stdout.startswith(f"UserError the engine gpu must find the package {name}, got none.")


def test_models_that_it_cannot_compute_are_refused_with_a_reason() -> None:
    reasons = {name: refuse_spec(spec) for name, spec in SPECS.items()}
    assert reasons["dnc-2-layers"] is None
    assert reasons["lstm"] == "it computes DNCs, not the model lstm"
    assert reasons["dnc-masking"] == "it computes DNCs with masking=False, got True"
    assert reasons["dnc-sparse"] == "it computes DNCs with sparsity=None, got 3"
    many = SPECS["dnc"].__class__(input_size=1, output_size=1, read_heads=9, hidden_sizes=(2,) * 9)
    assert refuse_spec(many) == "read_heads must be at most 8, got 9"


def test_declarations_are_read() -> None:
    record = {field.name: field.axes for field in fields("Record")}
    assert record["read_weights"] == ("R", "N")
    assert record["usage"] == ("N",)
    assert {"size", "layer", "part", "place", "array", "gradient"} <= set(dir(Problem))
    sizes = Plan(SPECS["dnc"], 3, 2, True, 64, 1 << 16).sizes
    shapes = {field.name: field.shape(sizes) for field in fields("Arrays") if field.name != "outside"}
    assert shapes["hidden"] == (4, 2, 8)
    assert shapes["records"] == (4, 2, sizes["D"])


@pytest.mark.parametrize("batch", [0, 1, 131, 132, 133, 400])
def test_rows_are_split_evenly(batch: int) -> None:
    parts = split_rows(batch, 132)
    rows = [row for part in parts for row in range(part.start, part.stop)]
    sizes = [part.stop - part.start for part in parts]
    assert rows == list(range(batch))
    assert len(parts) == -(-batch // 132)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
