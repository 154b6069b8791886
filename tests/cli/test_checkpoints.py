"""Checkpoints that are damaged, foreign or cannot be written, as users of the command line meet them."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from helpers.commands import (
    SMALL,
    TEXT,
    call,
    contents,
    done,
    error_line,
    finish,
    on_disk,
    program,
    refused,
    rewrite,
    train,
)
from helpers.marks import thorough_but
from numdnc.files import digest
from numdnc.training import checkpoint
from numdnc.training.checkpoint import load_checkpoint

LAST = Path("run/last.safetensors")
FULL = "No space left on device"
TRAIN = ("train", "text", "-c", "text.txt", "-m", "lstm", *SMALL.split(), "--steps", 12)
RESUME = ("resume", "run", "--steps", 24, "--sample-every", 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run of 12 iterations, to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("text.txt").write_text(TEXT)
        train("run", "--engine", "reference", model="lstm")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    rewrite(LAST, lambda _, metadata: metadata["task"].update(corpus=str(tmp_path / "text.txt")))
    return tmp_path


def refused_everywhere(expect: str) -> None:
    """Whatever reads the last checkpoint refuses it with these words; the best one is not touched by that."""
    Path("run/best.safetensors").unlink(missing_ok=True)
    for command in (
        ("resume", "run", "--steps", 20),
        ("eval", "run", "--last"),
        ("eval", "run"),
        ("sample", "run"),
    ):
        refused(*command, expect=expect)


def test_cut_short_at_any_length() -> None:
    whole = LAST.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    lengths = {0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(whole) // 2, len(whole) - 1}
    for length in sorted(lengths | {*range(0, len(whole), len(whole) // 40)}):
        LAST.write_bytes(whole[:length])
        refused("eval", "run", "--last", expect="last.safetensors must be a whole safetensors file, got ")
    refused_everywhere("must be a whole safetensors file")


def test_any_flipped_bit() -> None:
    whole, rng = LAST.read_bytes(), np.random.default_rng(0)
    header = int.from_bytes(whole[:8], "little")
    written = 8 + len(whole[8 : 8 + header].rstrip())  # the rest of the header is padding and means nothing
    places = [*rng.integers(written, size=40), *rng.integers(8 + header, len(whole), 40)]
    for position in places:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        LAST.write_bytes(damaged)
        refused("eval", "run", "--last", expect="last.safetensors must ")
    LAST.write_bytes(whole)
    done("eval", "run", "--last")


@pytest.mark.parametrize(
    "contents", [b"no checkpoint at all", b"\0" * 5000, b"\xff" * 5000, b"{}", b"PK\x03\x04"]
)
def test_not_a_safetensors_file(contents: bytes) -> None:
    LAST.write_bytes(contents)
    refused_everywhere("must be a whole safetensors file, got one that cannot be read")


def test_a_safetensors_file_from_elsewhere() -> None:
    save_file({"weight": np.zeros((3, 3), np.float32)}, LAST)
    refused_everywhere("must be a checkpoint of numdnc, got a safetensors file from elsewhere")
    save_file({"weight": np.zeros((3, 3), np.float32)}, LAST, metadata={"format": "pt"})
    refused_everywhere("must be a checkpoint of numdnc, got a safetensors file from elsewhere")


def test_a_folder_in_its_place() -> None:
    LAST.unlink()
    LAST.mkdir()
    refused_everywhere("last.safetensors must be a file that can be read, got: Is a directory")


def test_a_newer_format() -> None:
    with mock.patch.object(checkpoint, "FORMAT", 7):
        rewrite(LAST, lambda arrays, metadata: metadata.update(news="something"))
    refused_everywhere("must have checkpoint format 6 or older, got 7|Update numdnc")


def change_spec(**sizes: Any) -> Callable[..., None]:
    return lambda arrays, metadata: metadata["spec"].update(sizes)


def replace(name: str, change: Callable[[Any], Any]) -> Callable[..., None]:
    return lambda arrays, metadata: arrays.update({name: change(arrays[name])})


OF_ANOTHER_MODEL = {
    "other sizes": (change_spec(hidden_sizes=[6]), "params.controller.0.weights"),
    "more layers": (change_spec(hidden_sizes=[5, 5]), "params.controller.1.weights"),
    "no layers": (change_spec(hidden_sizes=[]), "hidden_sizes"),
    "another kind": (change_spec(kind="rnn"), "params.controller.0.weights"),
    "an unknown kind": (change_spec(kind="transformer"), "transformer"),
    "an unknown size": (change_spec(heads=4), "heads"),
    "an array of another type": (
        replace("params.output.bias", lambda a: a.astype("f8")),
        "params.output.bias",
    ),
    "an array of another shape": (
        replace("state.controller.0.cell", lambda a: a[1:]),
        "state.controller.0.cell",
    ),
    "an array missing": (lambda arrays, _: arrays.pop("moments.1.output.bias"), "moments.1.output.bias"),
    "another optimizer": (lambda _, metadata: metadata["optimizer"].update(optimizer="newton"), "newton"),
    "a setting missing": (lambda _, metadata: metadata.pop("training"), "training"),
    "a setting too many": (lambda _, metadata: metadata.update(colour="red"), "colour"),
    "a spec that is none": (lambda _, metadata: metadata.update(spec="lstm"), "str"),
    "a batch below 0": (lambda _, metadata: metadata.update(batch=-1), "batch: Expected int >= 1"),
}


@pytest.mark.parametrize("case", OF_ANOTHER_MODEL)
def test_of_another_model(case: str) -> None:
    change, expect = OF_ANOTHER_MODEL[case]
    rewrite(LAST, change)
    refused_everywhere(f"last.safetensors must hold a run of a model that this version knows|{expect}")


OF_ANOTHER_TASK = {
    "no vocabulary": {"name": "copy"},
    "a vocabulary of another kind": {
        "vocabulary": {"words": ["a"]},
        "settings": {},
        "corpus": "c",
        "sha256": "0",
    },
    "a setting it does not know": {"settings": {"width": 8}},
    "a corpus that is no text": {"corpus": 5},
}


@pytest.mark.parametrize("task", OF_ANOTHER_TASK.values(), ids=OF_ANOTHER_TASK)
def test_of_another_task(task: dict[str, Any]) -> None:
    def change(_: Any, metadata: dict[str, Any]) -> None:
        metadata["task"] = {**metadata["task"], **task} if "name" not in task else task

    rewrite(LAST, change)
    refused_everywhere("must be one of a text as this version knows it, got a checkpoint of another")


@pytest.mark.parametrize("text", ["[]", "7", "{", ""])
def test_metadata_that_are_no_object(text: str) -> None:
    header = {"format": "1", "json": text, "sha256": digest(text, {})}
    LAST.write_bytes(save({}, metadata=header))
    refused_everywhere("must describe itself by a JSON object, got none")


def full_disk(after: int) -> Any:
    """While this is entered the disk is full, from the `after`th sync on."""
    sync, count = os.fsync, iter(range(10**6))

    def fail(descriptor: int) -> None:
        if next(count) >= after:
            raise OSError(errno.ENOSPC, FULL)
        sync(descriptor)

    return mock.patch.object(os, "fsync", fail)


@pytest.mark.parametrize("after", range(4))
def test_a_disk_that_is_full_from_the_start(after: int, place: Path) -> None:
    """Each of the two files that a run begins with needs two syncs, its own and its folder's."""
    (place / "empty").mkdir()
    for folder in ("new/run", "empty"):
        with full_disk(after):
            refused(
                *TRAIN, "--out", folder, expect=f"{folder}/|must be writable, got: {FULL}|folder with --out"
            )


@pytest.fixture(scope="module")
def straight(trained: Path) -> dict[str, Any]:
    """The run as it is after 24 iterations, if nothing comes between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        shutil.copytree("run", "straight")
        done(*RESUME[:1], "straight", *RESUME[2:])
        return contents(Path("straight"))


def assert_goes_on(straight: dict[str, Any]) -> None:
    """Both checkpoints are whole, nothing else lies there, and with room the run goes on as if nothing had been."""
    assert sorted(file.name for file in Path("run").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
    ]
    for command in ("eval", "sample"):
        done(command, "run")
    assert load_checkpoint(LAST)[1]["iteration"] in (12, 16, 20, 24)
    if load_checkpoint(LAST)[1]["iteration"] < 24:
        done(*RESUME)
    ended = contents(Path("run"))
    assert ended | {"last task": None, "best task": None} == straight | {"last task": None, "best task": None}


def test_checkpoints_are_replaced_and_never_written_into() -> None:
    """Whoever has the old one open, or a crash before the last moment, still finds it whole."""
    names, before = ("last.safetensors", "best.safetensors", "metrics.jsonl"), on_disk(Path("run"))
    for name in names:
        Path("run", name).rename(name)
        Path("run", name).hardlink_to(name)
    done(*RESUME)
    for name in names:
        assert Path(name).read_bytes() == before[name]
        assert Path("run", name).read_bytes() != before[name]


@pytest.mark.parametrize("after", thorough_but(range(5), range(14)))
def test_a_disk_that_fills_up_during_training(after: int, straight: dict[str, Any]) -> None:
    with full_disk(after):
        assert f"must be writable, got: {FULL}" in error_line(call(*RESUME))
    assert_goes_on(straight)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("file", thorough_but(["metrics.jsonl"], ["last.safetensors", "metrics.jsonl"]))
def test_writes_that_really_fail_half_way(file: str, straight: dict[str, Any]) -> None:
    """The system cuts the file off in the middle of what is written: of the checkpoint, or of a line of metrics."""
    before = LAST.read_bytes()
    room = (Path("run") / file).stat().st_size
    room = room // 2 if file == "last.safetensors" else room + 50
    result = finish(
        program(*RESUME, before=f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({room},) * 2)")
    )
    line = error_line(result)
    assert " must be writable, got: File too large" in line
    assert ("metrics.jsonl" in line) == (file == "metrics.jsonl")
    assert LAST.read_bytes() == before
    torn = (Path("run") / "metrics.jsonl").read_bytes().splitlines(keepends=True)[-1]
    assert torn.endswith(b"\n") == (file == "last.safetensors")
    assert_goes_on(straight)
