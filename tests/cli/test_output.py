"""Each kind of command with a standard output that is a broken pipe, closed, or on a full disk."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from helpers.commands import SMALL, TEXT, call, contents, done, train
from helpers.marks import thorough_but
from helpers.patience import PATIENCE, without_notice
from numdnc import console
from numdnc.training.checkpoint import load_checkpoint

ENDLESS = (
    "train",
    "text",
    "-c",
    "text.txt",
    "-m",
    "rnn",
    *SMALL.split(),
    "--engine",
    "reference",
    "--steps",
    10**6,
    "--report-every",
    20,
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def ended(shell: str) -> tuple[int, str]:
    """Exit code and standard error of `numdnc` (as $N) in a line of the shell."""
    program = f"{sys.executable} -m numdnc"
    result = subprocess.run(
        ["bash", "-c", shell.replace("$N", program)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return result.returncode, without_notice(result.stderr)


def words(*given: object) -> str:
    return " ".join(map(str, given))


def closed(*words: object) -> tuple[int, str]:
    """Exit code and standard error of `numdnc WORDS`, whose output nobody reads from the start."""
    read, write = os.pipe()
    os.close(read)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "numdnc", *map(str, words)],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    return result.returncode, without_notice(result.stderr)


COMMANDS = [
    "data list",
    "--help",
    "train copy --help",
    "info run",
    "eval run --json --engine reference",
    "sample run",
    "trace run",
]


@pytest.mark.parametrize("command", thorough_but(["eval run --json --engine reference"], COMMANDS))
def test_a_reader_that_has_had_enough_is_no_failure(command: str) -> None:
    if "run" in command:
        train("run")
    assert closed(*command.split()) == (0, "")
    assert (command == "trace run") == Path("run/trace.safetensors").exists()


def test_an_error_is_told_also_where_nobody_reads_the_output() -> None:
    code, errors = closed("eval", "nothing")
    assert code == 2
    assert errors.startswith("error: nothing must be the folder of a run")


@pytest.mark.parametrize("passes", thorough_but([False], [True, False]))
def test_a_check_ends_by_its_verdict_also_where_nobody_reads_it(passes: bool) -> None:
    code = "import sys, numdnc.cli.gradcheck as g; check = g.gradcheck\n"
    code += f"g.gradcheck = lambda *a, **b: (row._replace(passed={passes}) for row in check(*a, **b))\n"
    code += "sys.argv = ['numdnc', 'gradcheck', '--model', 'rnn']\nfrom numdnc.cli import main; main()"
    result = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | true; exit ${PIPESTATUS[0]}', sys.executable, code],
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0 if passes else 1, b"")


def test_a_sweep_whose_reader_leaves_stops_and_goes_on_later() -> None:
    train = "-- copy -m rnn -H 4 --batch 2 --evaluated 2 --max-length 2 --steps 1000000 --report-every 50"
    train += " --engine reference"
    code, said = ended(f"$N sweep all --seeds 2 --jobs 2 {train} | true; exit ${{PIPESTATUS[0]}}")
    assert code == 141
    first, second = said.splitlines()
    assert first == (
        "the output can no longer be written (Broken pipe); 0 of 2 runs have ended, the others are saved"
    )
    assert second == "next:  numdnc sweep all --jobs 2"
    assert not list(Path("all").glob("*/failure.txt"))


def test_training_whose_reader_leaves_saves_and_says_so() -> None:
    code, said = ended(f"$N {words(*ENDLESS)} --out run | head -3; exit ${{PIPESTATUS[0]}}")
    match = re.fullmatch(
        r"the output can no longer be written \(Broken pipe\); saved in run at iteration (\d+), go on with "
        r"`numdnc resume run --steps 1000000`\n",
        said,
    )
    assert match, said
    stopped = int(match[1])
    assert (code, load_checkpoint(Path("run/last.safetensors"))[1]["iteration"]) == (141, stopped)
    assert stopped >= 40
    done("resume", "run", "--steps", stopped + 1, "--sample-every", 0)


def test_training_whose_output_has_no_room_saves_and_fails() -> None:
    code, said = ended(f"$N {words(*ENDLESS)} --out run > /dev/full")
    assert code == 2
    first, second = said.splitlines()
    assert first.startswith("the output can no longer be written (No space left on device); saved in run at ")
    assert second.startswith(
        "error: files and output must be usable, got: [Errno 28] No space left on device. "
    )
    load_checkpoint(Path("run/last.safetensors"))


@pytest.mark.parametrize("closed", thorough_but([">&-"], [">&-", "2>&-", "<&- >&- 2>&-"]))
def test_what_was_closed_before_the_start_is_not_missed(closed: str) -> None:
    assert ended(f"$N {words(*ENDLESS, '--steps', 40)} --out run {closed}") == (0, "")
    train("beside", "--engine", "reference", "--steps", 40, "--report-every", 20)
    assert contents(Path("run")) == contents(Path("beside"))
    assert ended(f"$N data list {closed}") == (0, "")


def test_a_terminal_that_is_gone_does_not_keep_a_run_from_being_saved() -> None:
    """After a hang-up every write to the terminal fails."""

    class Gone(io.StringIO):
        left = 2

        def write(self, text: str) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "Input/output error")
            return super().write(text)

    with mock.patch.object(sys, "stdout", Gone()):
        with pytest.raises(OSError, match="Input/output error"), console.outliving_output():
            with console.stop_on_signals() as interrupted:
                sys.stdout.write("one")
                sys.stdout.write("two")
                assert not interrupted()
                sys.stdout.write("three")
                assert interrupted()
                sys.stdout.write("four")
            raise SystemExit(130)
        assert console.lost_output() is None


@pytest.mark.parametrize(
    "command",
    [
        ("train", "text", "-c", "text.txt", "--out", ""),
        ("resume", ""),
        ("eval", ""),
        ("trace", "run", "--out", ""),
        ("view", "run", "--plot", ""),
        ("sweep", "", "--", "copy"),
        ("data", "list", "--data", ""),
        ("export", "run", "--to", "torch", "--out="),
    ],
)
def test_an_empty_path_is_refused(command: tuple[str, ...]) -> None:
    """As of a variable of the shell that is not set; else it would be the working folder."""
    train("run")
    before = sorted(Path().rglob("*"))
    result = call(*command)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: a path must have a name, got an empty one. Leave it out, or give . for the working folder.\n"
    )
    assert sorted(Path().rglob("*")) == before
