"""The command line where all goes well: train, resume, eval, sample, gradcheck, data."""

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from rich.console import Console

from helpers.commands import SMALL, TEXT, call, contents, done, finish, metrics, on_disk, program, train
from helpers.marks import thorough_but
from helpers.patience import PATIENCE, without_notice
from numdnc import console
from numdnc.cli import progress
from numdnc.engines.reference import ReferenceEngine
from numdnc.formatting import format_duration
from numdnc.training.checkpoint import load_checkpoint
from numdnc.training.events import Finished, Report, Tick

GRADCHECK = "--hidden 3 -N 4 -W 3 -R 2 --steps 4 --samples 2"
PROGRESS = re.compile(
    r" *(\d+\.\d) s, iter +(\d+), (\d+\.\d{4}) BPC, (\d+\.\d{4}) held-out BPC, +(\d+\.\d\d) char/s, \d+:\d\d left"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


@pytest.mark.parametrize("model", ["rnn", "lstm", "dnc"])
def test_train_eval_sample_and_resume_each_model(model: str) -> None:
    out = train("run", "--steps", 30, "--report-every", 10, model=model)
    first, *lines = out.splitlines()
    assert first.startswith(f"{model} with ")
    assert "engine cpu; text.txt: 813 characters to train on, 90 held out, 19 symbols" in first
    progress = [PROGRESS.fullmatch(line) for line in lines[:3]]
    assert [match and int(match[2]) for match in progress] == [10, 20, 30]
    stored = metrics(Path("run"))
    for match, record in zip(progress, stored, strict=True):
        assert match
        assert match[3] == f"{record['train']:.4f}"
        assert match[4] == f"{record['held_out']:.4f}"
    best = min(record["held_out"] for record in stored)
    assert f"done at iteration 30; best held-out BPC {best:.4f} at iteration 30; saved in run" in out
    assert "numdnc resume run --steps 60" in out
    result = json.loads(done("eval", "run", "--json"))
    assert result.keys() == {"held_out_bpc", "iteration", "held_out_characters"}
    assert (result["iteration"], result["held_out_characters"]) == (30, 90)
    assert done("eval", "run").startswith(f"{result['held_out_bpc']:.4f} BPC on 90 held-out characters")
    written = done("sample", "run", "--length", 40)
    assert len(written) == 41  # and a line break
    assert set(written) <= set(TEXT)
    assert written == done("sample", "run", "--length", 40)
    assert written != done("sample", "run", "--length", 40, "--seed", 1)
    assert "resuming run at iteration 30" in done("resume", "run", "--steps", 35, "--sample-every", 0)
    assert [record["iteration"] for record in metrics(Path("run"))] == [10, 20, 30, 35]


def test_eval_without_reads_gives_another_score_beside_the_whole() -> None:
    train("run", "--steps", 6, "--learning-rate", 0.5, model="dnc")
    result = json.loads(done("eval", "run", "--no-reads", "--json"))
    assert abs(result["held_out_bpc"] - result["held_out_bpc_without_reads"]) > 1e-4
    first, second = done("eval", "run", "--no-reads").splitlines()
    assert first.startswith(f"{result['held_out_bpc']:.4f} BPC")
    assert second.startswith(f"{result['held_out_bpc_without_reads']:.4f} BPC with every read vector zeroed")


def test_eval_takes_the_best_checkpoint_or_the_last() -> None:
    settings = ("--learning-rate", 10, "--schedule", "constant", "--optimizer", "sgd", "--input-scale", 1)
    train("run", *settings, "--report-every", 2)
    scores = {record["iteration"]: record["held_out"] for record in metrics(Path("run"))}
    best, last = min(scores, key=scores.__getitem__), max(scores)
    assert best != last
    assert json.loads(done("eval", "run", "--json"))["iteration"] == best
    assert json.loads(done("eval", "run", "--last", "--json"))["iteration"] == last


def test_eval_and_sample_leave_the_folder_alone(place: Path) -> None:
    """The run may be under way: its half-written files and its latest report are not theirs to remove."""
    train("run")
    (place / "run/.last.safetensors.123").write_bytes(b"half")
    with (place / "run/metrics.jsonl").open("a") as file:
        file.write('{"iteration": 16}\n')
    before = on_disk(place)
    done("eval", "run", "--last")
    done("eval", "run")
    done("sample", "run", "-n", 1)
    assert on_disk(place) == before


def test_training_shows_samples(place: Path) -> None:
    out = train("run", "--sample-every", 2, "--steps", 16)
    written = re.findall(r"----\n(.*?)\n----\n", out, re.DOTALL)
    assert [len(sample) for sample in written] == [200, 200]  # at iterations 8 and 16


def test_runs_are_numbered_where_no_folder_is_given() -> None:
    for _ in range(2):
        done("train", "text", "-c", "text.txt", "-m", "rnn", *SMALL.split(), "--steps", 1)
    assert sorted(map(str, Path("runs").iterdir())) == ["runs/text-rnn-1", "runs/text-rnn-2"]


def test_the_commands_to_go_on_with_can_be_pasted_into_a_shell() -> None:
    assert "numdnc resume 'my run' --steps 24" in train("my run")


def test_a_time_limit_stops_and_says_so() -> None:
    out = train("run", "--steps", 10**6, "--minutes", 0.3 / 60)
    assert "stopped after 0.005 minutes at iteration" in out
    assert f"resume run --steps {10**6}" in out


def test_the_words_of_a_text_are_printed_as_they_are() -> None:
    """Rich would make pictures of :dog: and colours of [red]."""
    assert "saved in :dog: [red]/run\n" in train(":dog: [red]/run")


def test_a_corpus_keeps_its_name_where_a_file_is_called_the_same(place: Path) -> None:
    (place / "python-topics").mkdir()
    train("run", "--held-out", 0.01, corpus="python-topics")
    assert "BPC on" in done("eval", "run")


def test_newlines_are_universal(place: Path) -> None:
    (place / "dos.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    (place / "mac.txt").write_bytes(TEXT.replace("\n", "\r").encode())
    train("run")
    for corpus in ("dos.txt", "mac.txt"):
        train(corpus[:3], corpus=corpus)
        (mine, told), (other, other_told) = (
            load_checkpoint(place / name / "last.safetensors") for name in ("run", corpus[:3])
        )
        assert told["task"]["vocabulary"] == other_told["task"]["vocabulary"]
        assert all(np.array_equal(mine[name], other[name]) for name in mine)


NTM = "ntm --write-heads 3 --shift-range 2 --learned-state"
FLAGS = "--masking --learned-state --bypass-dropout 0.3"


@pytest.mark.parametrize(
    "model",
    thorough_but(["lstm", f"dnc {FLAGS}"], ["rnn", "lstm", "dnc", f"dnc {FLAGS}", "dnc --no-links", NTM]),
)
def test_gradcheck_passes(model: str) -> None:
    result = json.loads(done("gradcheck", "-m", *model.split(), *GRADCHECK.split(), "--json"))
    assert result["passed"] is True
    assert 0 < result["worst"] < 1e-6
    names = {array["name"] for array in result["arrays"]}
    assert {"controller.0.weights", "output.bias", "inputs", "state.controller.0.hidden"} <= names


@pytest.mark.parametrize("how", [("--json",), ()])
def test_gradcheck_fails_a_wrong_gradient(how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    right = ReferenceEngine.backward

    def wrong(*given: Any) -> Any:
        params, *rest = right(*given)
        output = params.output._replace(bias=params.output.bias * (2.001 / 2))
        return params._replace(output=output), *rest

    monkeypatch.setattr(ReferenceEngine, "backward", wrong)
    result = call("gradcheck", "-m", "rnn", *GRADCHECK.split(), *how)
    assert (result.code, result.err) == (1, "")
    if how:
        failed = [row["name"] for row in json.loads(result.out)["arrays"] if not row["passed"]]
        assert failed == ["output.bias"]
    else:
        assert re.search(r"output\.bias:.*\n.*FAILED", result.out)
        assert "\nFAIL: worst relative error" in result.out


def test_gradcheck_json_is_json_where_nothing_was_valid() -> None:
    out = done("gradcheck", "--hidden", 2, "-N", 2, "-W", 2, "-R", 1, "--steps", 1, "--blank", "--json")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(out, parse_constant=refuse)["passed"] is True


def test_data_list_names_every_corpus() -> None:
    out = done("data", "list", "--data", "nowhere")
    for name in ("python-topics", "alice29", "ptb", "text8", "enwik8"):
        assert re.search(rf"^{name} +[\d,]+ bytes", out, re.MULTILINE)


def test_any_file_trains_as_bytes_and_samples_are_bytes(place: Path) -> None:
    (place / "file.bin").write_bytes(bytes([0, 255, 13, 128, 27, 255]) * 150)
    train("run", "--unit", "bytes", corpus="file.bin")
    result = call("sample", "run", "-n", 300)
    assert (result.code, result.err) == (0, "")
    assert len(result.raw) == 300
    assert set(result.raw) == {0, 255, 13, 128, 27}


def test_a_model_of_bytes_is_primed_by_the_bytes_typed(place: Path) -> None:
    (place / "umlauts.txt").write_bytes("äöü, ßäö; ".encode() * 90)
    train("run", "--unit", "bytes", corpus="umlauts.txt")
    assert len(call("sample", "run", "-n", 5, "--prime", "ß").raw) == 5


def test_control_characters_reach_files_but_no_terminal(place: Path) -> None:
    (place / "red.txt").write_text("\x1b[31mred\x1b[0m\x07\n\u202eder\x9b1m" * 60)
    train("run", corpus="red.txt")
    assert "\x1b" in done("sample", "run", "-n", 300)
    shown = done("sample", "run", "-n", 300, terminal=True)
    assert r"\x1b" in shown
    assert not set(shown) & set("\x1b\x07\u202e\x9b")


@pytest.mark.parametrize(
    "words", thorough_but(["sample run -n 1000000"], ["sample run -n 1000000", "eval run"])
)
def test_a_reader_that_has_enough_ends_the_program_quietly(words: str) -> None:
    train("run", "--engine", "reference")
    process = program(*words.split(), "--engine", "reference")
    assert process.stdout
    if words.startswith("sample"):
        process.stdout.read(10)
    process.stdout.close()
    assert process.stderr
    assert without_notice(process.stderr.read().decode()) == ""
    process.stderr.close()
    assert process.wait() == 0


def test_output_in_a_narrow_encoding_is_escaped(place: Path) -> None:
    (place / "snow.txt").write_text("☃ä, " * 200, encoding="utf-8")
    train("run", "--engine", "reference", corpus="snow.txt")
    process = program(
        *("sample", "run", "-n", 100, "--engine", "reference"),
        before="import sys; sys.stdout.reconfigure(encoding='ascii')",
    )
    result = finish(process)
    assert (result.code, result.err) == (0, "")
    assert r"\u2603" in result.out


def test_the_real_program_and_the_module_are_the_same(place: Path) -> None:
    """`numdnc`, as installed, and `python -m numdnc` train alike."""
    starts = ([str(Path(sys.executable).with_name("numdnc"))], [sys.executable, "-m", "numdnc"])
    for name, start in zip(("one", "two"), starts, strict=True):
        words = [
            "train",
            "text",
            "-c",
            "text.txt",
            "-m",
            "lstm",
            *SMALL.split(),
            "--engine",
            "reference",
            "--steps",
            "4",
            "--out",
            name,
        ]
        subprocess.run([*start, *words], check=True, capture_output=True)
    assert contents(place / "one") == contents(place / "two")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar_and_a_file_only_lines(terminal: bool) -> None:
    def events() -> Iterator[Any]:
        yield Tick(41, 1.5, 61)
        until = time.monotonic() + PATIENCE
        while terminal and "41/42" not in out.getvalue() and time.monotonic() < until:
            time.sleep(0.01)  # the bar is drawn ten times a second
        yield Report(2.5, 42, 1.25, 1.5, {"bpc": 1.5}, False, 1234.5, 61, 0.1, 0.2, {})
        yield Finished("steps", 42)

    out = io.StringIO()
    screen = Console(
        file=out, force_terminal=terminal, highlight=False, width=100, _environ={"TERM": "xterm"}
    )
    with (
        mock.patch.object(console, "console", screen),
        progress.training_progress(
            line=lambda report: f"iter {report.iteration}, {report.train} BPC",
            target=42,
            start=40,
            seconds=0.0,
        ) as show,
    ):
        for event in events():
            show(event)
    line = "iter 42, 1.25 BPC\n"
    if terminal:
        assert line in out.getvalue()
        assert "41/42" in out.getvalue()
    else:
        assert out.getvalue() == line


def test_durations() -> None:
    assert [format_duration(s) for s in (0, 59.6, 3723, float("inf"), float("nan"))] == [
        "0:00",
        "1:00",
        "1:02:03",
        "?",
        "?",
    ]
