"""Several processes train as one: the same run to rounding, written once, stopped and resumed whole.

Those that torchrun starts are in test_torchrun.py, shared sweeps in test_shared_sweep.py.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from helpers.commands import SMALL, TEXT, contents, done, finish, metrics, program, refused
from helpers.launcher import (
    LEARN_COPY,
    LEARN_TEXT,
    PRECISE,
    TOLERANCE,
    Launcher,
    difference,
    done_by,
    enter,
    wait_for_report,
)
from helpers.marks import thorough_but
from numdnc.engines.cpu.threads import count_threads
from numdnc.machine import count_processors
from numdnc.training import distributed
from numdnc.training.checkpoint import load_checkpoint
from numdnc.training.workers import SINGLE

FAMILY = (
    *("--masking", "--deallocation", "--sharpness", "--normalisation", "--learned-state"),
    *("--bypass-dropout", 0.2, "--weight-noise", 0.01, "--weight-decay", 0.01, "--clip-norm", 0.1),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    started = Launcher()
    yield started
    started.kill()
    started._program.communicate()


# The same as one process.


@pytest.mark.parametrize("count", thorough_but([3], [2, 3]))
def test_separate_sequences_with_padding_and_a_curriculum(count: int, launcher: Launcher) -> None:
    """A batch of 5 and 7 to be scored on: even for none of them."""
    words = (*LEARN_COPY, "--steps", 18)
    done(*words, "--out", "alone")
    done_by(launcher, count, *words, "--out", "together")
    levels = [report["level"] for report in metrics(Path("together")) if "level" in report]
    assert levels == [1, 2]
    assert difference(Path("alone"), Path("together")) < TOLERANCE


def test_a_text_whose_state_is_carried(launcher: Launcher) -> None:
    """18 updates go beyond the end of an epoch; 6 streams are 2, 2, 1 and 1."""
    words = (*LEARN_TEXT, *FAMILY, "--steps", 18)
    done(*words, "--out", "alone")
    out = done_by(launcher, 4, *words, "--out", "together")
    assert len(re.findall(r"\d held-out", out)) == 2
    assert difference(Path("alone"), Path("together")) < TOLERANCE


@pytest.mark.thorough
def test_single_precision_and_the_fast_engine(launcher: Launcher) -> None:
    settings = ("--steps", 6, "--report-every", 3, "-m", "rnn", "--engine", "cpu")
    words = ("train", "text", "-c", "text.txt", *SMALL.split(), *settings)
    done(*words, "--out", "alone")
    done_by(launcher, 2, *words, "--out", "together")
    assert difference(Path("alone"), Path("together")) < 1e-6  # measured 1.4e-7
    arrays, _ = load_checkpoint(Path("together/last.safetensors"))
    assert {array.dtype.str for array in arrays.values()} == {"<f4"}


def test_one_process_or_three_go_on_from_a_checkpoint_of_two(launcher: Launcher) -> None:
    """In the middle of an epoch, as the run of a single process."""
    words = (*LEARN_TEXT, "-m", "dnc", "--learned-state", "--weight-noise", 0.01, "--steps", 5)
    done(*words, "--out", "alone")
    done("resume", "alone", "--steps", 9, "--sample-every", 0)
    done_by(launcher, 2, *words, "--out", "one")
    shutil.copytree("one", "three")
    assert "resuming one at iteration 5" in done("resume", "one", "--steps", 9, "--sample-every", 0)
    out = done_by(launcher, 3, "resume", "three", "--steps", 9, "--sample-every", 0)
    assert "resuming three at iteration 5" in out
    assert difference(Path("alone"), Path("one")) < TOLERANCE
    assert difference(Path("alone"), Path("three")) < TOLERANCE


def test_every_process_uses_only_its_rows(launcher: Launcher) -> None:
    """Else equal losses would say little of how the work is shared."""
    seen = (
        "import numpy, pathlib, os; from numdnc.engines.reference import ENGINE as e; was = type(e).forward\n"
    )
    seen += (
        "def forward(self, spec, params, inputs, *rest, **more):\n"
        "    with open('widths.' + os.environ['RANK'], 'a') as f: print(inputs.shape[1], file=f)\n"
        "    return was(self, spec, params, inputs, *rest, **more)\n"
        "type(e).forward = forward\n"
    )
    Path("spy.py").write_text(
        f"{seen}\nfrom numdnc.tasks.bits import Copy\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Spied(Copy):\n    pass\n"
    )
    words = ("train", "spy:Spied", "-m", "rnn", "--batch", 5, "--evaluated", 7, "--steps", 3, *PRECISE)
    done_by(launcher, 2, *words, "--out", "together")
    widths = [Path(f"widths.{rank}").read_text().split() for rank in range(2)]
    # Three updates; then 7 sequences scored, and 4 for the health of the first process.
    assert widths[1] == ["2", "2", "2", "3"]
    assert widths[0][:4] == ["3", "3", "3", "4"]


# How it ends.


@pytest.mark.parametrize("rank", thorough_but([1], [1, 0]))
def test_one_process_that_is_killed_ends_the_others_and_nothing_is_lost(
    rank: int, launcher: Launcher
) -> None:
    """Without torchrun the first process holds what all meet at; without it, the two others both speak."""
    launcher.start(3, *LEARN_COPY, "--steps", 10**6, "--out", "together")
    wait_for_report(Path("together"), 18)
    os.kill(launcher.running[rank], signal.SIGKILL)
    ended = launcher.wait()
    assert ended.codes == [-9 if number == rank else 2 for number in range(3)]
    said = "".join(ended.err).splitlines()
    assert len(said) == (1 if rank else 2)
    for line in said:
        assert re.match(
            r"error: all 3 processes must stay until the end, but one was lost \([^()/]+\)\. ", line
        )
        assert line.endswith("go on with `numdnc resume`, on as many processes as you like.")
    reached = load_checkpoint(Path("together/last.safetensors"))[1]["iteration"]
    assert reached >= 9  # a report is noted before the checkpoint is written
    done("resume", "together", "--steps", reached + 2, "--sample-every", 0)
    done_by(launcher, 2, "resume", "together", "--steps", reached + 4, "--sample-every", 0)
    assert metrics(Path("together"))[-1]["iteration"] == reached + 4


def test_what_one_is_told_stops_all_at_the_same_iteration(launcher: Launcher) -> None:
    launcher.start(2, *LEARN_TEXT, "-m", "rnn", "--steps", 10**6, "--out", "together")
    wait_for_report(Path("together"), 9)
    os.kill(launcher.running[1], signal.SIGTERM)
    ended = launcher.wait()
    assert (ended.codes, ended.err, ended.out[1]) == ([130, 130], ["", ""], "")
    match = re.search(r"^interrupted at iteration (\d+); ", ended.out[0], re.MULTILINE)
    assert match
    stopped = int(match[1])
    _, metadata = load_checkpoint(Path("together/last.safetensors"))
    assert metadata["iteration"] == stopped >= 9
    done("resume", "together", "--steps", stopped + 1, "--sample-every", 0)


@pytest.mark.thorough
def test_time_is_up_for_all(launcher: Launcher) -> None:
    out = done_by(launcher, 2, *LEARN_COPY, "--steps", 10**6, "--minutes", 0.01, "--out", "together")
    assert "stopped after 0.01 minutes at iteration " in out


def test_what_is_not_finite_is_said_once(launcher: Launcher) -> None:
    words = "--learning-rate 1e308 --clip-norm 0 --optimizer sgd --steps 24 --out together"
    ended = launcher.run(2, *LEARN_TEXT, "-m", "lstm", *words.split())
    assert ended.codes == [2, 2]
    assert "training must stay finite, but " in ended.line
    assert load_checkpoint(Path("together/last.safetensors"))[1]["iteration"] == 0


@pytest.mark.thorough
def test_a_full_disk_ends_all_and_is_said_once(launcher: Launcher) -> None:
    Path("task.py").write_text(
        "from numdnc.tasks.bits import Copy\nfrom numdnc.training import folder\nfrom numdnc.errors import UserError\n"
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Full(Copy):\n    pass\n"
        "def full(self, record):\n    raise UserError('metrics must be writable, got: No space left. Make room.')\n"
        "folder.RunFolder.append_metrics = full\n"
    )
    words = (
        "train",
        "task:Full",
        "-m",
        "rnn",
        "--steps",
        6,
        "--report-every",
        2,
        *PRECISE,
        "--out",
        "together",
    )
    ended = launcher.run(2, *words)
    assert ended.codes == [2, 2]
    assert ended.line == "error: metrics must be writable, got: No space left. Make room."
    assert load_checkpoint(Path("together/last.safetensors"))[1]["iteration"] == 0


REFUSED: dict[str, tuple[int, tuple[object, ...], str]] = {
    "fewer sequences than processes": (
        3,
        (*LEARN_TEXT, "--batch", 2, "--out", "new"),
        "batch must be at least 3, a sequence for each process, got 2.",
    ),
    "fewer in a checkpoint": (
        3,
        ("resume", "two", "--steps", 9),
        "batch must be at least 3, a sequence for each process, got 2.",
    ),
    "a run that is not there": (2, ("resume", "nothing"), "nothing must be the folder of a run"),
    "a folder in use": (2, (*LEARN_TEXT, "--out", "two"), "two must not hold a run yet, got one."),
}


@pytest.mark.parametrize("case", thorough_but(["fewer in a checkpoint"], REFUSED))
def test_what_cannot_be_trained_together_is_refused_once(case: str, launcher: Launcher) -> None:
    count, words, expect = REFUSED[case]
    done(*LEARN_TEXT, "-m", "rnn", "--batch", 2, "--steps", 3, "--out", "two")
    before = contents(Path("two"))
    ended = launcher.run(count, *words)
    assert (ended.codes, "".join(ended.out)) == ([2] * count, "")
    assert expect in ended.line
    assert contents(Path("two")) == before
    assert not Path("new").exists()


LOOSE = """
import os
from dataclasses import dataclass
from numdnc.tasks.bits import Copy

@dataclass(frozen=True)
class Loose(Copy):
    def draw(self, rng, batch):
        drawn = super().draw(rng, batch)
        return drawn._replace(inputs=drawn.inputs * (1 + int(os.environ["RANK"])))
"""
DIFFERENT: dict[str, tuple[object, ...]] = {
    "draws": ("loose:Loose", "-m", "rnn"),
    "texts": ("text", "-c", "other.txt", *SMALL.split(), "-m", "rnn"),
    "symbols": ("text", "-c", "strange.txt", *SMALL.split(), "-m", "rnn"),
}


@pytest.mark.parametrize("what", thorough_but(["draws"], DIFFERENT))
def test_processes_that_do_not_learn_the_same_are_refused(what: str, launcher: Launcher) -> None:
    for rank in range(2):
        Path(f"host-{rank}").mkdir()
        Path(f"host-{rank}/loose.py").write_text(LOOSE)
        Path(f"host-{rank}/other.txt").write_text(TEXT.replace("mouse", "house") if rank else TEXT)
        Path(f"host-{rank}/strange.txt").write_text(TEXT + "?!" * rank)
    ended = launcher.run(2, "train", *DIFFERENT[what], "--steps", 3, *PRECISE, "--out", "run")
    assert ended.codes == [2, 2]
    expect = "all 2 processes must draw the same batches and compute the same parameters, but they differ."
    assert expect in ended.line
    assert load_checkpoint(Path("host-0/run/last.safetensors"))[1]["iteration"] == 0


@pytest.mark.thorough
def test_only_the_first_has_to_have_the_folder(launcher: Launcher) -> None:
    for rank in range(2):
        Path(f"host-{rank}").mkdir()
        Path(f"host-{rank}/text.txt").write_text(TEXT)
    done_by(launcher, 2, *LEARN_TEXT, "-m", "rnn", "--steps", 2, "--out", "run")
    done_by(launcher, 2, "resume", "run", "--steps", 4, "--sample-every", 0)
    assert load_checkpoint(Path("host-0/run/last.safetensors"))[1]["iteration"] == 4
    assert [path.name for path in Path("host-1").iterdir()] == ["text.txt"]


def test_wrong_options_are_told_by_one_process_alone(launcher: Launcher) -> None:
    ended = launcher.run(2, "train", "copy", "--hiden", 3)
    assert ended.codes == [2, 2]
    nothing, told = sorted(ended.err)  # whoever knows first tells
    assert "got --hiden. Did you mean --hidden?" in told
    assert (nothing, ended.out) == ("", ["", ""])


@pytest.mark.thorough
def test_folders_without_a_name_are_the_same_for_all(launcher: Launcher) -> None:
    for number in (1, 2):
        out = done_by(launcher, 2, *LEARN_TEXT, "-m", "rnn", "--steps", 2)
        assert f"saved in runs/text-rnn-{number}\n" in out
    assert sorted(path.name for path in Path("runs").iterdir()) == ["text-rnn-1", "text-rnn-2"]


@pytest.mark.parametrize("rank", thorough_but([0], [0, 1]))
def test_without_torch(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = finish(program(*LEARN_TEXT, before="import sys; sys.modules['torch'] = None"))
    assert (result.code, result.out) == (2, "")
    expected = (
        "error: training on 2 processes must find the package torch, got none. "
        f"Install it by `{sys.executable} -m pip install 'torch<3,>=2.7'`.\n"
    )
    assert result.err == (expected if rank == 0 else "")
    assert not Path("runs").exists()


def test_one_process_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    hidden = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""
    result = finish(program(*LEARN_TEXT, "-m", "rnn", "--steps", 2, "--out", "alone", before=hidden))
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("rank", "count"),
    [("2", "2"), ("", "2"), ("-1", "2"), ("x", "2"), ("0", "0"), ("0", "two"), ("0", "\u0662")],
)
def test_a_rank_that_cannot_be(rank: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    line = f"RANK must be a whole number from 0 and below WORLD_SIZE, got {rank!r} and {count!r}."
    refused(*LEARN_TEXT, expect=line)


def test_numbers_of_very_many_digits_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python refuses to read them, with an error of its own."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1" * 5000)
    monkeypatch.delenv("NUMDNC_THREADS", raising=False)
    assert (distributed.local_world_size(), count_threads()) == (1, count_processors())
    monkeypatch.setenv("WORLD_SIZE", "1" * 5000)
    refused(*LEARN_TEXT, expect="RANK must be a whole number from 0 and below WORLD_SIZE, got '' and '1111")


def test_processes_of_one_machine_share_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numdnc.engines.cpu.threads.count_processors", lambda: 5)
    processors = 5
    for here, wanted in (("2", max(1, processors // 2)), ("1", processors), ("1000", 1), ("", processors)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
        assert count_threads() == wanted
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    monkeypatch.setenv("NUMDNC_THREADS", "3")
    assert count_threads() == 3


def test_ctrl_c_ends_a_process_that_waits_for_the_others_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which torch does for ten minutes without listening to Python's signals."""
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "2"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "0"),
    ):
        monkeypatch.setenv(name, value)
    before = "from numdnc.training import distributed; joined = distributed._TorchWorkers.__init__\n"
    before += (
        "def connect(*given): print('now', flush=True); joined(*given)\n"
        "distributed._TorchWorkers.__init__ = connect"
    )
    process = program(*LEARN_TEXT, before=before)
    assert process.stdout
    assert process.stdout.readline() == b"now\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == -signal.SIGINT


def test_only_torchrun_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other launchers may well end before what they have started."""
    with mock.patch.object(os, "getppid", return_value=distributed._PARENT + 1):
        joined = distributed._TorchWorkers.__new__(distributed._TorchWorkers)
        monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
        assert not joined.launcher_exited()
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        assert joined.launcher_exited()
        assert not SINGLE.launcher_exited()
