"""A DNC with several write heads on the command line: trained, resumed, scored, traced, diagnosed and described."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import done, refused
from numdnc import DNCSpec, load_run, nn
from numdnc.inspection.trace_file import load_trace

TINY = "--hidden 5 -N 4 -W 3 -R 2 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_dnc_with_three_write_heads_is_trained_and_examined() -> None:
    done("train", "copy", *TINY.split(), "--write-heads", 3, "--sharpness", "--steps", 2, "--out", "run")
    done("resume", "run", "--steps", 4)
    run = load_run("run")
    assert isinstance(run.spec, DNCSpec)
    assert run.spec.write_heads == 3
    done("eval", "run", "-N", 9)
    done("trace", "run", "--out", "trace.safetensors")
    arrays = load_trace(Path("trace.safetensors")).arrays
    T = len(arrays["outputs"])
    shapes = {"write_weights": (3, 4), "link": (3, 4, 4), "forward": (3, 2, 4), "read_modes": (2, 7)}
    shapes |= {"allocation_gate": (3,), "backward_sharpness": (3, 2), "write_vector": (3, 3), "usage": (4,)}
    assert {name: arrays[name].shape for name in shapes} == {
        name: (T, *shape) for name, shape in shapes.items()
    }
    np.testing.assert_allclose(
        arrays["reads"], arrays["read_weights"] @ arrays["memory"], rtol=1e-5, atol=1e-6
    )
    said = done("diagnose", "run")
    for words in (
        "Write head 2 has ",
        "reads by ",
        "backward 0 ",
        "forward 2 ",
        "allocation 1",
        "write head 1 ",
    ):
        assert words in said
    assert json.loads(done("info", "run", "--json"))["interface"]["write_vector"] == 3 * 3
    done("view", "run", "--plot", "figure.svg")
    done("view", "run", "--no-open")
    module = nn.from_run("run")
    assert isinstance(module, nn.DNC)
    assert module.spec == run.spec


def test_several_write_heads_and_sparse_memory_are_refused() -> None:
    words = "DNCSpec.write_heads must be 1 with sparsity, got 2|Leave out"
    refused("train", "copy", "--write-heads", 2, "--sparsity", 4, expect=words)
    refused(
        "train", "copy", "--write-heads", 0, expect="write_heads must be a whole number of at least 1, got 0"
    )
