"""An NTM on the command line: trained, resumed, scored, traced, diagnosed and described like the other models."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import done, refused, train
from numdnc import NTMSpec, load_run, nn
from numdnc.cli.presets import PRESETS
from numdnc.inspection.trace_file import load_trace

TINY = "--hidden 5 -N 4 -W 3 -R 2 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"
NTM = "--model ntm --write-heads 3 --shift-range 2"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_ntm_is_trained_and_examined() -> None:
    out = done("train", "copy", *TINY.split(), *NTM.split(), "--learned-state", "--steps", 2, "--out", "run")
    assert out.startswith("ntm with ")
    done("resume", "run", "--steps", 4)
    run = load_run("run")
    assert isinstance(run.spec, NTMSpec)
    assert (run.spec.write_heads, run.spec.shift_range, run.spec.read_heads) == (3, 2, 2)
    assert run.spec.learned_state
    done("trace", "run", "--out", "trace.safetensors")
    arrays = load_trace(Path("trace.safetensors")).arrays
    T = len(arrays["outputs"])
    assert arrays["write_weights"].shape == (T, 3, 4)
    assert arrays["read_shifts"].shape == (T, 2, 5)
    np.testing.assert_allclose(arrays["read_weights"].sum(2), 1, rtol=1e-5)
    np.testing.assert_allclose(
        arrays["reads"], arrays["read_weights"] @ arrays["memory"], rtol=1e-5, atol=1e-6
    )
    said = done("diagnose", "run")
    for words in ("Write head 2 shifts by -2 ", "Write head 0 has ", "interpolation (read head 1)"):
        assert words in said
    assert "write_heads" in done("info", "run")
    assert json.loads(done("info", "run", "--json"))["interface"]["write_vectors"] == 3 * 3
    module = nn.from_run("run")
    assert isinstance(module, nn.NTM)
    assert module.spec == run.spec


def test_without_learned_state_an_ntm_runs_with_more_slots() -> None:
    done("train", "copy", *TINY.split(), *NTM.split(), "--steps", 1, "--out", "run")
    done("eval", "run", "-N", 9, "--no-reads")


def test_a_text_is_trained_too() -> None:
    Path("text.txt").write_text("to be or not to be, that is the question. " * 20)
    out = train("run", "--steps", 2, "--report-every", 1, model="ntm")
    assert out.startswith("ntm with ")
    assert done("sample", "run", "-n", 5)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_an_ntm(preset: str) -> None:
    given = PRESETS[preset]
    model, training = given.adapt(dataclasses.replace(given.model, model="ntm"), given.training)
    assert isinstance(model.spec(5, 6), NTMSpec)
    assert training.init_scheme == "plain"


def test_options_of_another_model_are_refused() -> None:
    lacks = "must be left out with --model {}, which does not have it, got"
    for model, words, name in (
        ("ntm", ("--masking",), "masking"),
        ("ntm", ("--no-links",), "links"),
        ("dnc", ("--shift-range", 2), "shift_range"),
    ):
        refused("train", "copy", "-m", model, *words, expect=f"{name} {lacks.format(model)}")
    refused("train", "copy", "-m", "lstm", "--write-heads", 2, expect="write_heads must be|has no memory")
    refused("train", "copy", "-m", "ntm", "--shift-range", 0, expect="NTMSpec.shift_range must be|got 0")
