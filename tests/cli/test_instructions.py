"""A DNC with instructions on the command line: trained, resumed, scored, traced, diagnosed and described."""

from pathlib import Path

import numpy as np
import pytest

from helpers.commands import done, refused
from numdnc import DNCSpec, load_run, nn

TINY = "--hidden 5 -N 4 -W 3 -R 2 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_dnc_with_instructions_is_trained_and_examined() -> None:
    done("train", "copy", *TINY.split(), "--instruction-slots", 6, "--steps", 2, "--out", "run")
    done("resume", "run", "--steps", 4)
    run = load_run("run")
    assert isinstance(run.spec, DNCSpec)
    assert run.spec.instruction_slots == 6
    assert run.params.instructions.rows.shape == (6, 3)
    done("eval", "run", "-N", 9, "--no-reads")
    done("trace", "run", "--out", "trace.safetensors")
    assert "without reads" in done("diagnose", "run")
    assert "instructions" in done("info", "run")
    done("view", "run", "--plot", "figure.svg")
    done("view", "run", "--no-open")
    module = nn.from_run("run")
    assert isinstance(module, nn.DNC)
    assert module.spec == run.spec
    batch = run.task.example(2)
    import torch

    outputs, _ = module(torch.from_numpy(batch.inputs))
    np.testing.assert_allclose(
        outputs.detach().numpy(), run.forward(batch.inputs, None)[0], rtol=1e-4, atol=1e-5
    )


def test_of_the_task_of_instructions_both_are_told() -> None:
    done(
        "train",
        "instructed-copy",
        "--instruction-slots",
        4,
        "--instructions",
        "copy,invert",
        "--steps",
        1,
        "--out",
        "run",
    )
    run = load_run("run")
    assert isinstance(run.spec, DNCSpec)
    assert run.spec.instruction_slots == 4


def test_what_instructions_do_not_go_with_is_refused() -> None:
    refused(
        "train",
        "copy",
        "--instruction-slots",
        0,
        expect="DNCSpec.instruction_slots must be a whole number of at least 1",
    )
    words = "instruction_slots must be left out with --model lstm, which has no memory, got 3"
    refused("train", "copy", "--model", "lstm", "--instruction-slots", 3, expect=words)
