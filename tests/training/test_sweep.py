"""Sweeps: what is run, in which order and how often, what is said of it, and what happens when it is stopped."""

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.commands import (
    SMALL,
    STAND_IN,
    TEXT,
    WITH_STAND_IN,
    call,
    done,
    finish,
    metrics,
    on_disk,
    program,
    refused,
)
from helpers.marks import thorough_but
from helpers.patience import PATIENCE
from numdnc.training import sweep as sweeps
from numdnc.training.sweep import SweepProgress
from numdnc.training.sweep_folder import SweepFolder
from numdnc.training.sweep_plan import Sweep


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMDNC_THREADS", raising=False)
    return tmp_path


@pytest.fixture
def stand_in() -> Iterator[None]:
    """Runs are begun by a program that learns nothing, whose tasks numdnc does not know."""
    with (
        mock.patch.object(sweeps, "PROGRAM", STAND_IN),
        mock.patch("numdnc.cli.sweep.check_settings", lambda *_: None),
    ):
        yield


def journal(word: str) -> list[str]:
    lines = Path("journal.txt").read_text().splitlines() if Path("journal.txt").exists() else []
    return [line.removeprefix(f"{word} ") for line in lines if line.split()[0] == word]


def table(out: str) -> list[list[str]]:
    """The cells of the table, heads first."""
    lines = out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("setting"))
    rows = []
    for line in lines[start:]:
        if not line:
            break
        rows.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return rows


@pytest.mark.usefixtures("stand_in")
def test_every_setting_and_seed_is_a_run_of_its_own() -> None:
    varied = ("--vary", "hidden=3,4", "--vary", "links=yes,no")
    out = done("sweep", "all", "--seeds", 2, "--jobs", 3, *varied, "--", "easy", "--steps", 20)
    settings = [(h, k) for h in (3, 4) for k in ("yes", "no")]
    names = {f"hidden={h},links={k},seed={seed}" for h, k in settings for seed in (0, 1)}
    assert {path.name for path in Path("all").iterdir()} == names | {"sweep.json"}
    flags = {"yes": "--links", "no": "--no-links"}
    assert sorted(journal("begin")) == sorted(
        f"1 train easy --steps 20 --hidden={h} {flags[k]} --seed {seed} --out all/hidden={h},links={k},seed={seed}"
        for h, k in settings
        for seed in (0, 1)
    )
    lines = out.splitlines()
    assert lines[0] == "8 of 8 runs to do, 3 at a time"
    assert sorted(line.split("  ")[0].strip() for line in lines[1:9]) == sorted(names)
    assert "hidden=3,links=no,seed=1   solved  at iteration 10  held-out 0.2  1.0 s" in lines
    heads, *rows = table(out)
    assert heads == [
        "setting",
        "runs",
        "solved",
        "failed",
        "success (95 %)",
        "iterations to solve (sd)",
        "seconds to solve (sd)",
        "held-out (sd)",
        "sequence error (sd)",
    ]
    cells = ["2", "2", "0", "100% (34% to 100%)", "10 (0)", "1.0 (0.0)", "0.15 (0.07071)", "0 (0)"]
    assert rows == [[f"hidden={h}, links={k}", *cells] for h, k in settings]


@pytest.mark.usefixtures("stand_in")
def test_so_many_at_a_time_and_no_more() -> None:
    done("sweep", "all", "--seeds", 5, "--jobs", 2, "--", "pairs")
    running, most = 0, 0
    for line in Path("journal.txt").read_text().splitlines():
        running += {"begin": 1, "end": -1}[line.split()[0]]
        most = max(most, running)
    assert (running, most) == (0, 2)


@pytest.mark.usefixtures("stand_in")
def test_threads_are_one_a_run_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMDNC_THREADS", "2")
    done("sweep", "all", "--seeds", 1, "--", "hard")
    assert journal("begin")[0].startswith("2 train hard")


@pytest.mark.usefixtures("stand_in")
def test_what_is_done_is_left_alone_and_seeds_can_be_added() -> None:
    done("sweep", "all", "--seeds", 2, "--jobs", 1, "--", "easy")
    done("sweep", "hard", "--seeds", 1, "--", "hard")
    Path("journal.txt").unlink()
    before = on_disk(Path())
    out = done("sweep", "all", "--", "easy")
    assert out.startswith("0 of 2 runs to do\n")
    assert table(out)[1][:3] == ["easy", "2", "2"]
    assert table(done("sweep", "hard"))[1][:6] == ["hard", "1", "0", "0", "0% (0% to 79%)", "-"]
    assert on_disk(Path()) == before
    out = done("sweep", "all", "--seeds", 3)
    assert journal("begin") == ["1 train easy --seed 2 --out all/seed=2"]
    assert table(out)[1][:3] == ["easy", "3", "3"]
    assert json.loads(Path("all/sweep.json").read_text()) == {"train": ["easy"], "vary": {}, "seeds": 3}


@pytest.mark.usefixtures("stand_in")
def test_a_run_that_was_begun_is_resumed() -> None:
    words = ("halts", "--steps", 20, "--tensorboard", "--minutes", 5, "--track", "own.py:follow")
    again = "--tensorboard --minutes 5 --track own.py:follow"
    out = done("sweep", "all", "--seeds", 1, "--", *words)
    assert "seed=0  stopped at iteration 1  held-out 0.1  0.1 s" in out
    assert "1 of 1 runs have not ended and do not count yet" in out
    assert table(out)[1][:5] == ["halts", "0 of 1", "0", "0", "-"]
    out = done("sweep", "all")
    assert journal("begin")[1:] == [f"1 resume all/seed=0 {again}"]
    assert "seed=0  done    at iteration 20  held-out 0.1  2.0 s" in out
    log = Path("all/seed=0/log.txt").read_text()
    assert log == (
        f"$ numdnc train halts --steps 20 {again} --seed 0 --out all/seed=0\n"
        f"$ numdnc resume all/seed=0 {again}\n"
    )


@pytest.mark.usefixtures("stand_in")
def test_an_old_failure_and_later_reports_are_not_taken_for_how_a_run_stands() -> None:
    Path("all/seed=0").mkdir(parents=True)
    Path("all/seed=0/failure.txt").write_text("exit code 9: of the last time")
    done("sweep", "all", "--seeds", 1, "--", "halts")
    with Path("all/seed=0/metrics.jsonl").open("a") as file:
        file.write('{"iteration": 2, "held_out": 7}\n{"iterat')  # its checkpoint was not written any more
    (run,) = json.loads(done("sweep", "all", "--table", "--json"))["runs"]
    assert (run["state"], run["iteration"], run["held_out"]) == ("begun", 1, 0.1)


@pytest.mark.usefixtures("stand_in")
def test_a_damaged_checkpoint_is_a_failure_in_the_words_of_resume() -> None:
    Path("all/seed=0").mkdir(parents=True)
    Path("all/seed=0/last.safetensors").write_bytes(b"half")
    result = call("sweep", "all", "--seeds", 1, "--", "hard")
    assert result.code == 1
    assert journal("begin") == ["1 resume all/seed=0"]
    assert "seed=0  FAILED, exit code 1: numdnc.errors.UserError: all/seed=0/last.safetensors" in result.out


@pytest.mark.usefixtures("stand_in")
def test_a_failure_is_told_counted_and_tried_again() -> None:
    failure = "exit code 2: error: training must stay finite, but loss is not, at iteration 2."
    result = call("sweep", "all", "--seeds", 3, "--jobs", 2, "--", "bad")
    assert (result.code, result.err) == (1, "")
    assert f"seed=1  FAILED, {failure}" in result.out
    again = "the same command tries them again, from the start if their folders are deleted"
    assert f"1 of 3 runs failed; {again}:\n  seed=1: {failure}" in result.out
    # The score of a run that failed is from before it did, so it is in no mean: 0.1 and 0.3 are.
    assert table(result.out)[1] == ["bad", "3", "0", "1", "0% (0% to 56%)", "-", "-", "0.2 (0.1414)"]
    shown = call("sweep", "all", "--table")
    assert (shown.code, table(shown.out)) == (1, table(result.out))
    Path("mended.txt").touch()
    out = done("sweep", "all")
    assert journal("begin")[3:] == ["1 resume all/seed=1"]
    assert "FAILED" not in out
    assert table(out)[1][:4] == ["bad", "3", "0", "0"]


@pytest.mark.usefixtures("stand_in")
def test_a_death_without_a_word() -> None:
    for _ in range(2):
        result = call("sweep", "all", "--seeds", 2, "--", "silent")
        assert result.code == 1
        assert "seed=1  FAILED, killed by signal 9: it said nothing" in result.out
    assert sum("--seed 1" in line for line in journal("begin")) == 2
    assert sum("--seed 0" in line for line in journal("begin")) == 1


@pytest.mark.usefixtures("stand_in")
def test_wrong_options_are_told_from_their_box() -> None:
    result = call("sweep", "all", "--seeds", 1, "--", "wrong")
    assert result.code == 1
    assert "seed=0  FAILED, exit code 2: Unrecognized options: --x\n" in result.out
    # Nothing was begun with them, so they can be put right.
    assert table(done("sweep", "all", "--seeds", 2, "--", "hard"))[1][:2] == ["hard", "2"]
    refused("sweep", "all", "--", "wrong", expect="must be continued as it was started, with `-- hard`")


@pytest.mark.usefixtures("stand_in")
def test_json() -> None:
    result = call("sweep", "all", "--seeds", 2, "--vary", "hidden=3,4", "--json", "--", "bad")
    found = json.loads(result.out)
    assert result.code == 1
    assert found["train"] == ["bad"]
    assert found == json.loads(call("sweep", "all", "--table", "--json").out)
    setting = found["settings"][1]
    assert setting["setting"] == {"hidden": "4"}
    assert (setting["planned"], setting["runs"], setting["solved"], setting["failed"]) == (2, 2, 0, 1)
    assert setting["success_rate"] == 0
    assert setting["success_interval"] == pytest.approx([0, 0.657620], abs=1e-6)
    assert setting["held_out"] == {"mean": 0.1, "sd": None}
    assert [run["state"] for run in found["runs"]] == ["done", "done", "failed", "failed"]
    assert found["runs"][3] == {
        "name": "hidden=4,seed=1",
        "setting": {"hidden": "4"},
        "seed": 1,
        "state": "failed",
        "failure": "exit code 2: error: training must stay finite, but loss is not, at iteration 2.",
        "iteration": 1,
        "target": 20,
        "seconds": 0.1,
        "solved_iteration": None,
        "solved_seconds": None,
        "held_out": 0.2,
        "sequence_error": None,
        "stopped_early": False,
    }


def wait_for_journal(process: "subprocess.Popen[bytes] | None", word: str, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while len(journal(word)) < count:
        assert process is None or process.poll() in (None, -signal.SIGKILL), finish(process)
        assert time.monotonic() < until, f"{word} must come {count} times"
        time.sleep(0.02)


@pytest.mark.parametrize("number", thorough_but([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]))
def test_a_signal_lets_every_run_save(number: signal.Signals) -> None:
    process = program("sweep", "all", "--seeds", 3, "--jobs", 2, "--", "patient", before=WITH_STAND_IN)
    wait_for_journal(process, "ready", 2)
    process.send_signal(number)
    result = finish(process)
    assert result.code == 130
    assert "interrupted; 0 of 3 runs have ended, the others are saved" in result.err
    assert result.err.endswith(" sweep all --jobs 2\n")
    assert journal("told") == ["1", "1"]  # each just once: at the second signal a run stops without saving
    assert result.out.count("stopped at iteration 2  held-out 0.") == 2
    assert "FAILED" not in result.out
    assert len(journal("begin")) == 2
    assert not list(Path("all").glob("*/failure.txt"))


def test_ctrl_c_on_a_terminal_reaches_runs_by_way_of_the_sweep_alone() -> None:
    """A terminal signals the whole process group; the runs are in others."""
    process = program("sweep", "all", "--seeds", 1, "--", "patient", before=WITH_STAND_IN, process_group=0)
    wait_for_journal(process, "ready", 1)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process).code == 130
    assert journal("told") == ["1"]


def test_runs_of_a_killed_sweep_keep_another_out_and_the_table_can_be_seen() -> None:
    process = program("sweep", "all", "--seeds", 1, "--", "patient", before=WITH_STAND_IN)
    wait_for_journal(process, "ready", 1)
    message = "the runs of all must be run by one process, but process {} on |--table"
    refused("sweep", "all", expect=message.format(process.pid))
    process.kill()
    finish(process)
    refused("sweep", "all", expect=message.format(journal("ready")[0]))
    assert table(call("sweep", "all", "--table").out)[1][:2] == ["patient", "0 of 1"]
    # The run itself is still there.
    os.kill(int(journal("ready")[0]), signal.SIGTERM)
    wait_for_journal(process, "told", 1)


@pytest.mark.usefixtures("stand_in")
def test_at_once_kills_what_is_running() -> None:
    folder = SweepFolder(Path("all"))
    with folder.lock(("patient",), {}, 2) as (sweep, _):
        events = sweeps.run_all(folder, sweep, sweep.runs, jobs=2)
        assert next(events) == SweepProgress(2, 0)
        wait_for_journal(None, "ready", 2)
        events.close()  # type: ignore[attr-defined]
    assert journal("told") == []
    with folder.lock((), {}, None):
        pass  # nobody holds it any more


@pytest.mark.thorough
def test_two_real_settings_of_two_seeds(place: Path) -> None:
    Path("text.txt").write_text(TEXT)
    train = ("text", "-c", "text.txt", "-m", "dnc", *SMALL.split(), "--steps", 6, "--report-every", 3)
    out = done("sweep", "all", "--seeds", 2, "--jobs", 2, "--vary", "links=yes,no", "--", *train)
    rows = table(out)[1:]
    for links, row in zip(("yes", "no"), rows, strict=True):
        reports = [metrics(Path(f"all/links={links},seed={seed}")) for seed in (0, 1)]
        assert [[report["iteration"] for report in run] for run in reports] == [[3, 6], [3, 6]]
        mean = (reports[0][1]["held_out"] + reports[1][1]["held_out"]) / 2
        sd = abs(reports[0][1]["held_out"] - reports[1][1]["held_out"]) / math.sqrt(2)
        assert row[:4] == [f"links={links}", "2", "0", "0"]
        assert row[-1] == f"{mean:.4g} ({sd:.4g})"
        assert sd > 0
    assert rows[0][-1] != rows[1][-1]
    assert "done at iteration 6" in (place / "all/links=no,seed=1/log.txt").read_text()
    assert "0 of 4 runs to do\n" in done("sweep", "all")


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing to do": (("new",), "new must hold a sweep, got none|numdnc sweep new --seeds 5 -- copy"),
    "a table of nothing": (("new", "--table"), "new must hold a sweep, got none"),
    "no seeds": (("new", "--seeds", 0, "--", "easy"), "seeds must be at least 1, got 0"),
    "no jobs": (("new", "--jobs", 0, "--", "easy"), "jobs must be at least 1, got 0"),
    "train twice": (("new", "--", "train", "easy"), "what follows `numdnc train`|got train easy"),
    "no task": (("new", "--", "--steps", 3), "got --steps 3"),
    "no values": (
        ("new", "--vary", "hidden", "--", "easy"),
        "hidden must be varied over different values, got none",
    ),
    "the same value": (("new", "--vary", "hidden=3,3", "--", "easy"), "different values, got 3,3"),
    "no value": (("new", "--vary", "hidden=3,", "--", "easy"), "different values, got 3,."),
    "no name": (("new", "--vary", "=3", "--", "easy"), "must be given the name of an option, got ''"),
    "twice": (("new", "--vary", "a-b=3", "--vary", "a_b=4", "--", "easy"), "a_b must be varied once"),
    "fixed too": (
        ("new", "--vary", "mask_floor=1,2", "--", "easy", "--mask-floor=3"),
        "--mask_floor must be varied or be given after --, got both",
    ),
    "fixed too, by no": (
        ("new", "--vary", "links=yes,no", "--", "easy", "--no-links"),
        "--links must be varied or",
    ),
    "a seed": (("new", "--", "easy", "--seed", 3), "--seed must be left to the sweep"),
    "seeds varied": (("new", "--vary", "seed=3,4", "--", "easy"), "--seed must be left to the sweep"),
    "an output folder": (("new", "--", "easy", "-o", "x"), "-o must be left to the sweep"),
    "other arguments": (
        ("old", "--vary", "hidden=3,4", "--", "easy", "--steps", 30),
        "old must be continued as it was started, with `--vary hidden=3,4 -- easy`"
        "|got `--vary hidden=3,4 -- easy --steps 30`",
    ),
    "nothing varied": (("old", "--", "easy"), "got `-- easy`"),
    "other values": (("old", "--vary", "hidden=3,5"), "got `--vary hidden=3,5 -- easy`"),
    "fewer seeds": (("old", "--seeds", 1), "seeds must be at least 2, as many as old has, got 1"),
    "a table and more": (("old", "--table", "--seeds", 3), "--table must be given with a folder alone"),
    "a damaged description": (("damaged",), "sweep.json must describe a sweep, got something else"),
    "a file": (("text.txt/new", "--", "easy"), "text.txt/new must be a folder that can be made"),
}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_swept_is_refused_and_nothing_is_left(case: str) -> None:
    Path("text.txt").touch()
    Path("old").mkdir()
    Path("old/sweep.json").write_text('{"train": ["easy"], "vary": {"hidden": ["3", "4"]}, "seeds": 2}')
    Path("old/hidden=4,seed=1").mkdir()
    Path("old/hidden=4,seed=1/last.safetensors").touch()
    Path("damaged").mkdir()
    Path("damaged/sweep.json").write_text('{"train": ["easy"]}')
    words, expect = REFUSED[case]
    refused("sweep", *words, expect=expect)
    assert journal("begin") == []


def test_values_that_are_paths_make_one_folder_each() -> None:
    sweep = Sweep(train=("text",), vary={"corpus": ("a/b", "a%2Fb", "../c")}, seeds=1)
    names = [run.name for run in sweep.runs]
    assert names == ["corpus=a%2Fb,seed=0", "corpus=a%252Fb,seed=0", "corpus=..%2Fc,seed=0"]


WRONG = {
    "a size": (("--vary", "hidden=3,0", "--", "copy"), "got `copy --hidden=0`: |hidden_sizes must be"),
    "only together": (
        ("--vary", "masking=yes,no", "--vary", "mask_floor=0.5", "--", "copy"),
        "got `copy --no-masking --mask-floor=0.5`: |mask_floor must be 0",
    ),
    "an option": (("--vary", "hiden=3,4", "--", "copy"), "got --hiden. Did you mean --hidden?"),
    "a task": (("--", "copyy"), "Did you mean `numdnc train copy`?"),
    "a file": (("--", "text", "--corpus", "nowhere"), "got 'nowhere'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_setting_is_checked_before_one_run_begins(case: str) -> None:
    words, expect = WRONG[case]
    refused(
        "sweep", "all", *words, expect=f"every setting of a sweep must be one that can be trained|{expect}"
    )


def test_a_value_that_is_no_number_begins_nothing_either() -> None:
    result = call("sweep", "all", "--vary", "hidden=3,many", "--", "copy")
    assert (result.code, result.out) == (2, "")
    assert "many" in result.err
    assert on_disk(Path()) == {}
