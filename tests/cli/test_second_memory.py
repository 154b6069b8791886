"""A DNC with a second memory on the command line: trained, resumed, scored, traced, diagnosed and described."""

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


def test_a_dnc_with_a_second_memory_is_trained_and_examined() -> None:
    done("train", "copy", *TINY.split(), "--second-memory", "reads", "--steps", 2, "--out", "run")
    done("resume", "run", "--steps", 4)
    run = load_run("run")
    assert isinstance(run.spec, DNCSpec)
    assert run.spec.second_memory == "reads"
    done("eval", "run", "-N", 9)
    done("trace", "run", "--out", "trace.safetensors")
    arrays = load_trace(Path("trace.safetensors")).arrays
    T = len(arrays["outputs"])
    shapes = {"write_weights": (2, 4), "link": (2, 4, 4), "forward": (2, 2, 4), "read_modes": (2, 2, 3)}
    shapes |= {"allocation_gate": (2,), "write_vector": (3,), "usage": (2, 4), "reads": (2, 2, 3)}
    assert {name: arrays[name].shape for name in shapes} == {
        name: (T, *shape) for name, shape in shapes.items()
    }
    np.testing.assert_allclose(
        arrays["reads"], arrays["read_weights"] @ arrays["memory"], rtol=1e-5, atol=1e-6
    )
    said = done("diagnose", "run")
    for words in ("Memory 0: At its fullest", "Memory 1: At its fullest", "Memory 1: Head 1 reads by"):
        assert words in said
    assert "reads of memory 1" in said
    assert "head 1 of memory 0" in said
    assert json.loads(done("info", "run", "--json"))["interface"]["read_keys"] == 2 * 2 * 3
    done("view", "run", "--plot", "figure.svg")
    done("view", "run", "--no-open")
    module = nn.from_run("run")
    assert isinstance(module, nn.DNC)
    assert module.spec == run.spec


def test_what_a_second_memory_does_not_go_with_is_refused() -> None:
    words = "DNCSpec.second_memory must be none with sparsity, got own|Leave out"
    refused("train", "copy", "--second-memory", "own", "--sparsity", 4, expect=words)
    words = "DNCSpec.write_heads must be 1 where the second memory writes reads, got 2|Leave out"
    refused("train", "copy", "--second-memory", "reads", "--write-heads", 2, expect=words)
    words = "second_memory must be left out with --model ntm, which does not have it, got own"
    refused("train", "copy", "--model", "ntm", "--second-memory", "own", expect=words)
