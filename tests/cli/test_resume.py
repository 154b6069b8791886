"""A run that stopped and was resumed is, bit for bit, the run that never stopped."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.commands import (
    SMALL,
    TEXT,
    call,
    contents,
    done,
    interrupted_after,
    metrics,
    on_disk,
    refused,
    train,
)
from helpers.marks import thorough_but
from numdnc import UserError
from numdnc.training.checkpoint import load_checkpoint
from numdnc.training.folder import RunFolder
from numdnc.training.lock import file_lock

STEPS = 24
"""An epoch of 17 iterations and a part of the next; a report every 8."""
STOPS = {
    "before the first iteration": 0,
    "mid report": 3,
    "at a report": 8,
    "end of an epoch": 17,
    "after it": 18,
    "before the end": 23,
}
MODELS: dict[str, tuple[Any, ...]] = {
    "rnn": ("rnn",),
    "lstm": ("lstm",),
    "dnc": ("dnc",),
    "dnc-family": (
        *("dnc", "--init-scheme", "store", "--masking", "--deallocation", "--sharpness", "--normalisation"),
        *("--learned-state", "--bypass-dropout", 0.2, "--weight-noise", 0.01),
    ),
    "dnc-content-only": ("dnc", "--no-links"),
}
OPTIMIZERS = {
    "adam": ("--warmup", 10, "--weight-decay", 0.01),
    "rmsprop": ("--schedule", "constant"),
    "adagrad": ("--learning-rate", 0.1),
    "sgd": ("--learning-rate", 0.1, "--clip-value", 0.01),
}


def words(out: object, model: str, *settings: object) -> tuple[object, ...]:
    sizes = (*SMALL.split(), "--steps", STEPS, "--report-every", 8)
    return ("train", "text", "-c", "../text.txt", "-m", model, *sizes, *settings, "--out", out)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What a model and settings give if nothing comes between; each is trained once."""
    folder, known = tmp_path_factory.mktemp("straight"), {}
    (folder / "text.txt").write_text(TEXT)
    (folder / "work").mkdir()

    def get(model: str, *settings: object) -> dict[str, Any]:
        key = " ".join(map(str, (model, *settings)))
        if key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder / "work")
                done(*words(key, model, *settings))
                known[key] = comparable(Path(key))
        return known[key]

    return get


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def comparable(run: Path) -> dict[str, Any]:
    """All of a run but where its text lies."""
    found = contents(run)
    for name in ("last", "best"):
        found[f"{name} task"].pop("corpus")
    return found


def position() -> tuple[int, dict[str, Any]]:
    """Iteration and place in the text of the run as saved."""
    _, metadata = load_checkpoint(Path("run/last.safetensors"))
    return metadata["iteration"], metadata["position"]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("model", thorough_but(["lstm", "dnc-family"], MODELS))
def test_every_model_goes_on_from_every_place(model: str, stop: str, straight: Any) -> None:
    with interrupted_after(STOPS[stop]):
        result = call(*words("run", *MODELS[model]))
    assert result.code == 130
    assert f"interrupted at iteration {STOPS[stop]}; " in result.out
    assert result.out.endswith(f"resume run --steps {STEPS}\n")
    assert position()[0] == STOPS[stop]
    done("resume", "run", "--sample-every", 0)
    assert comparable(Path("run")) == straight(*MODELS[model])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(optimizer: str, straight: Any) -> None:
    settings = ("--optimizer", optimizer, *OPTIMIZERS[optimizer])
    with interrupted_after(13):
        assert call(*words("run", "lstm", *settings)).code == 130
    done("resume", "run", "--sample-every", 0)
    assert comparable(Path("run")) == straight("lstm", *settings)


def test_a_run_stopped_many_times_and_by_every_means(straight: Any) -> None:
    with interrupted_after(3):
        call(*words("run", "dnc"))
    for iterations in (1, 7, 6, 0, 1):
        with interrupted_after(iterations):
            assert call("resume", "run", "--sample-every", 0).code == 130
    assert position()[0] == 18
    done("resume", "run", "--minutes", 1e-9, "--sample-every", 0)
    done(
        "resume",
        "run",
        "--engine",
        "cpu",
        "--corpus",
        Path("../text.txt").resolve(),
        "--sample-every",
        0,
    )
    assert comparable(Path("run")) == straight("dnc")


def test_these_stops_are_where_their_names_say() -> None:
    """Else the tests above would not meet the end of an epoch."""
    for stop, epoch in (("end of an epoch", 0), ("after it", 1)):
        with interrupted_after(STOPS[stop]):
            call(*words(f"to {stop}", "rnn"))
        place = load_checkpoint(Path(f"to {stop}/last.safetensors"))[1]["position"]
        assert place["epoch"] == epoch
        assert (place["read"] % 8 != 0) == (epoch == 0)  # the last window is a shorter one


def test_the_comparison_sees_one_bit(straight: Any) -> None:
    done(*words("run", "rnn", "--seed", 0))
    assert comparable(Path("run")) == straight("rnn")
    for changed in (("--seed", 1), ("--learning-rate", 0.0030001), ("--clip-norm", 0.1)):
        other = f"run {changed[1]}"
        done(*words(other, "rnn", *changed))
        found, expected = comparable(Path(other)), straight("rnn")
        assert found["last params.output.bias"] != expected["last params.output.bias"]
        assert found["metrics"] != expected["metrics"]


def test_another_learning_rate_is_the_whole_rate_of_a_schedule_that_has_fallen(place: Path) -> None:
    train("run", "--steps", 8, "--schedule", "plateau", "--learning-rate", 0.01, corpus="../text.txt")
    run = RunFolder(Path("run")).load_last()
    run.rate_scale = 0.25
    RunFolder(Path("run")).save_last(run)
    for steps, options in ((16, ()), (24, ("--learning-rate", 0.002))):
        done("resume", "run", "--steps", steps, "--sample-every", 0, *options)
    assert RunFolder(Path("run")).load_last().rate_iteration == 16, "the time to wait is counted anew"
    rates = [line["learning_rate"] for line in metrics(Path("run"))]
    assert rates == pytest.approx([0.01, 0.01, 0.0025, 0.0025, 0.002, 0.002])


def test_a_run_can_go_on_at_another_learning_rate(place: Path) -> None:
    train("run", "--steps", 8, "--schedule", "constant", "--learning-rate", 0.01, corpus="../text.txt")
    done("resume", "run", "--steps", 16, "--sample-every", 0, "--learning-rate", 0.002)
    done("resume", "run", "--steps", 24, "--sample-every", 0)
    rates = [line["learning_rate"] for line in metrics(Path("run"))]
    assert rates == [0.01, 0.01, 0.002, 0.002, 0.002, 0.002]


def test_a_finished_run_can_be_given_more_steps() -> None:
    """The schedule stays where the first step count ended it; the target is remembered."""
    train("run", corpus="../text.txt")
    with interrupted_after(5):
        call("resume", "run", "--steps", 30, "--sample-every", 0)
    assert position()[0] == 17
    done("resume", "run", "--sample-every", 0)
    assert position()[0] == 30
    rates = {record["iteration"]: record["learning_rate"] for record in metrics(Path("run"))}
    assert list(rates) == [4, 8, 12, 16, 20, 24, 28, 30]
    assert {rates[iteration] for iteration in rates if iteration >= 12} == {rates[12]}


TORN = {
    "a torn line": b'{"seconds": 0.1, "iterat',
    "a torn line that is JSON": b"7",
    "a line of which only the end is missing": b'{"iteration": 12}',
    "a later report": b'{"iteration": 16, "seconds": 1.5}\n',
    "a torn line, then a later report": b'{"seconds": 0.1, "ite\n{"iteration": 16}\n',
    "half a character": b'{"seconds": \xc3',
    "an empty line": b"\n",
    "another object": b"{}\n[1]\n",
}


@pytest.mark.parametrize("case", TORN)
def test_what_a_crash_left_in_the_metrics_is_cleared_away(case: str, place: Path) -> None:
    train("run", corpus="../text.txt")
    with (place / "run/metrics.jsonl").open("ab") as file:
        file.write(TORN[case])
    done("resume", "run", "--steps", 20, "--sample-every", 0)
    assert [record["iteration"] for record in metrics(place / "run")] == [4, 8, 12, 16, 20]
    assert all(len(record) == 8 for record in metrics(place / "run"))


def test_missing_metrics_are_begun_anew(place: Path) -> None:
    train("run", corpus="../text.txt")
    (place / "run/metrics.jsonl").unlink()
    done("resume", "run", "--steps", 16, "--sample-every", 0)
    assert [record["iteration"] for record in metrics(place / "run")] == [16]


def test_half_written_files_of_a_killed_process_are_removed(place: Path) -> None:
    train("run", corpus="../text.txt")
    for name in (".last.safetensors.4242", ".best.safetensors.1", ".metrics.jsonl.77"):
        (place / "run" / name).write_bytes(b"half")
    done("resume", "run", "--steps", 16, "--sample-every", 0)
    assert len(list((place / "run").iterdir())) == 3


def test_a_start_that_was_killed_does_not_stand_in_the_way(place: Path) -> None:
    (place / "run").mkdir()
    (place / "run/metrics.jsonl").touch()
    (place / "run/.last.safetensors.4242").write_bytes(b"half")
    train("run", corpus="../text.txt")
    assert len(list((place / "run").iterdir())) == 3


def test_the_speed_after_a_resume_counts_what_was_trained_since(place: Path) -> None:
    """Not also the iterations before, which took none of that time."""
    with interrupted_after(7):
        call(*words("run", "rnn"))
    with mock.patch("time.perf_counter", iter(range(10**6)).__next__):
        done("resume", "run", "--sample-every", 0)
    first = json.loads((place / "run/metrics.jsonl").read_text().splitlines()[0])
    assert (first["iteration"], first["per_second"]) == (8, 6 * 8 / 2)


def test_a_solved_run_is_left_as_it_is_unless_told_how_far(place: Path) -> None:
    sizes = ("-m", "rnn", "-H", 4, "--batch", 2, "--evaluated", 2, "--max-length", 2, "--engine", "reference")
    often = ("--steps", 40, "--report-every", 4, "--sample-every", 0)
    with mock.patch("numdnc.tasks.sequence_task.SequenceTask.solved", lambda self, scores: True):
        assert "solved at iteration 4; " in done("train", "copy", *sizes, *often, "--out", "run")
        before = on_disk(place / "run")
        for more in ((), ("--learning-rate", 0.1), ("--minutes", 5)):
            assert done("resume", "run", *more) == (
                "run is solved, at iteration 4: nothing is left to learn\n"
                "to train it further all the same:  numdnc resume run --steps 40\n"
            )
        assert on_disk(place / "run") == before
        with interrupted_after(3):
            assert call("resume", "run", "--steps", 20, "--sample-every", 0).code == 130
        assert load_checkpoint(place / "run/last.safetensors")[1]["iteration"] == 7
        assert "done at iteration 20; " in done("resume", "run", "--sample-every", 0)  # as it was told last


def test_two_processes_do_not_resume_one_run(place: Path) -> None:
    train("run", corpus="../text.txt")
    before = on_disk(place / "run")
    with RunFolder(Path("run")).lock():
        line = refused(
            "resume", "run", "--steps", 20, expect="run must be written by one process at a time, but "
        )
        assert f"but process {os.getpid()} on " in line
        assert "Wait until it has ended, or stop it" in line
        refused(
            "train",
            "text",
            "-c",
            "../text.txt",
            "--out",
            "run",
            expect="run must not hold a run yet, got one",
        )
        for command in ("eval", "info", "sample"):
            done(command, "run")
    assert on_disk(place / "run") == before
    done("resume", "run", "--steps", 16, "--sample-every", 0)


def test_a_folder_in_which_another_begins_is_left_to_it(place: Path) -> None:
    """Whoever comes later is refused, removes nothing, and without a name takes the next folder."""
    train("one", corpus="../text.txt")
    run = RunFolder(Path("one")).load_last()
    Path("run").mkdir()
    with file_lock(Path("run/run.lock")):
        with pytest.raises(UserError, match="run must be written by one process at a time, but process "):
            RunFolder(Path("run")).create(run)
        assert [path.name for path in Path("run").iterdir()] == ["run.lock"]
    exists, looks = Path.exists, iter([False])  # at the first look it is not there yet
    Path("runs/text-rnn-1").mkdir(parents=True)
    with (
        file_lock(Path("runs/text-rnn-1/run.lock")),
        mock.patch.object(
            Path, "exists", lambda path: next(looks, True) if path.name == "text-rnn-1" else exists(path)
        ),
    ):
        out = done("train", "text", "-c", "../text.txt", "-m", "rnn", *SMALL.split(), "--steps", 1)
    assert "saved in runs/text-rnn-2\n" in out


def test_a_begin_that_fails_leaves_nothing_but_what_others_made(place: Path) -> None:
    train("one", corpus="../text.txt")
    run = RunFolder(Path("one")).load_last()
    for error in (UserError("no room"), KeyboardInterrupt()):
        with (
            mock.patch("numdnc.training.folder.save_run", side_effect=error),
            pytest.raises(type(error)),
        ):
            RunFolder(Path("deep/er/run")).create(run)
        assert not Path("deep").exists()
    Path("deep/er/run").mkdir(parents=True)
    Path("deep/er/run/notes.txt").write_text("mine")
    with (
        mock.patch("numdnc.training.folder.save_run", side_effect=UserError("no room")),
        pytest.raises(UserError),
    ):
        RunFolder(Path("deep/er/run")).create(run)
    assert on_disk(Path("deep")) == {"er": None, "er/run": None, "er/run/notes.txt": b"mine"}
