"""A large sparse memory on the command line: trained, scored, traced, shown, diagnosed."""

import json
from pathlib import Path

import pytest

from helpers.commands import done, refused
from numdnc.inspection.trace_file import load_trace

SIZES = "--hidden 5 -W 3 -R 2 --batch 4 --steps 2 --max-length 3 --evaluated 4 --sample-every 0 --out run"


@pytest.mark.parametrize("options", ["--sparsity 2", "--sparsity 2 --recency"], ids=["usage", "recency"])
def test_a_run_with_many_slots(options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("train", "copy", "-N", 5000, *options.split(), *SIZES.split())
    assert Path("run/last.safetensors").stat().st_size < 100_000  # a state alone would take 1.4 MB
    done("resume", "run", "--steps", 3)
    assert "error" in done("eval", "run")
    said = json.loads(done("trace", "run", "--json"))
    trace = load_trace(Path("run/trace.safetensors"))
    assert trace.slots is not None
    assert said["slots"] == trace.slots.tolist()
    assert said["arrays"]["memory"] == [trace.steps, len(trace.slots), 3]
    assert said["note"] == trace.note
    assert trace.note in done("trace", "run").splitlines()
    assert Path("run/trace.safetensors").stat().st_size < 200_000
    done("view", "run", "--no-open", "--plot", "run/trace.svg", "--out", "run/page.html")
    assert Path("run/page.html").stat().st_size < 300_000
    assert "of 5,000 slots" in done("diagnose", "run")


def test_two_directions_and_many_slots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their steps are the definition's, which has N x N links; the engine itself would have room."""
    monkeypatch.chdir(tmp_path)
    words = ("train", "copy", "--sparsity", 2, "--bidirectional", *SIZES.split())
    refused(*words, "-N", 10**6, expect="must fit into the")
    done(*words, "-N", 8, "--engine", "reference")
    refused("trace", "run", "-N", 10**6, "--engine", "cpu", expect="must fit into the")
