"""Checkpoints: whole or not at all, checked when read."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from numdnc import DNCSpec, UserError
from numdnc.training import checkpoint
from numdnc.training.checkpoint import load_checkpoint, load_run, save_checkpoint, save_run
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run
from numdnc.tree import leaves

ARRAYS = {
    "a.weights": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "b": np.array([1e-300, -0.0, np.pi]),
    "empty": np.zeros((2, 0), np.float32),
    "scalar": np.array(7.5),
}
METADATA = {"text": "ä\n\"'☃", "numbers": [1, 2.5, None], "big": 2**127 + 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "run.safetensors"
    save_checkpoint(file, ARRAYS, METADATA)
    return file


def test_what_is_saved_is_loaded_bit_for_bit(path: Path) -> None:
    arrays, metadata = load_checkpoint(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    assert {name: metadata[name] for name in METADATA} == METADATA
    assert metadata["numpy"] == np.__version__


def test_nothing_but_the_checkpoint_lies_in_the_folder(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["run.safetensors"]


def test_every_shortened_file_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"must be a whole safetensors file|must match its checksum"):
            load_checkpoint(path)


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    """Except within the padding of the header, which holds nothing."""
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    text = whole[8 : 8 + header]
    meaning = [*range(8 + len(text.rstrip())), *range(8 + header, len(whole))]
    rng = np.random.default_rng(0)
    for place in rng.choice(meaning, 300, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            load_checkpoint(path)


def test_a_file_from_elsewhere_is_refused(tmp_path: Path) -> None:
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(
        UserError, match="must be a checkpoint of numdnc, got a safetensors file from elsewhere"
    ):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_newer_format_is_refused_and_the_way_out_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    save_checkpoint(tmp_path / "new.safetensors", ARRAYS, METADATA)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"format 6 or older, got 7.*Update numdnc"):
        load_checkpoint(tmp_path / "new.safetensors")


@pytest.mark.parametrize("place", ["open", "fsync", "replace"])
def test_a_failed_save_leaves_the_old_checkpoint_and_no_leftover(
    path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    target: Any = os if place == "fsync" else Path
    monkeypatch.setattr(target, place, fail)
    with pytest.raises(UserError, match="must be writable, got: No space left on device"):
        save_checkpoint(path, {"b": np.zeros(3)}, {})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_metadata_is_plain_json_that_other_tools_can_read(path: Path) -> None:
    header = path.read_bytes()[8:]
    length = int.from_bytes(path.read_bytes()[:8], "little")
    stored = json.loads(header[:length])["__metadata__"]
    assert json.loads(stored["json"])["text"] == METADATA["text"]


@pytest.mark.parametrize("carries_state", [True, False])
def test_a_state_is_stored_where_batches_go_on_from_it(carries_state: bool, tmp_path: Path) -> None:
    spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=5, word_size=2)
    settings = TrainingSettings(), OptimizerSettings()
    run = new_run(spec, *settings, task={}, position={}, batch=3, engine="reference")
    if not carries_state:
        run.carries_state, run.state = False, ()
    save_run(tmp_path / "run.safetensors", run)
    arrays, metadata = load_checkpoint(tmp_path / "run.safetensors")
    assert (metadata["batch"], metadata["carries_state"]) == (3, carries_state)
    assert ("state.memory" in arrays) == carries_state
    again = load_run(tmp_path / "run.safetensors")
    assert (again.batch, again.carries_state) == (3, carries_state)
    assert [leaf.shape for leaf in leaves(again.state)] == [leaf.shape for leaf in leaves(run.state)]
