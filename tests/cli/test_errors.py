"""User errors on the command line: one clear line, exit code 2, no files left behind."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import SMALL, TEXT, call, error_line, finish, on_disk, program, refused, rewrite, train
from helpers.marks import thorough_but
from numdnc import map_leaves
from numdnc.engines.reference import ReferenceEngine
from numdnc.schema import json_text
from numdnc.training.folder import RunFolder
from numdnc.tree import leaves


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def training(*words: object, corpus: object = "text.txt", out: object = "run") -> tuple[object, ...]:
    return ("train", "text", "-c", corpus, *SMALL.split(), "--steps", 4, "--out", out, *words)


CORPORA = {
    "missing": (None, "the corpus must be one of python-topics, |got 'corpus', which is neither"),
    "empty": (b"", "must hold some text, got the empty file corpus"),
    "one symbol": (b"a" * 900, "at least 2 different symbols, got 'a' only in corpus"),
    "shorter than a window": (
        b"ab",
        "at least 56 training characters|got 1 in corpus. Lower --batch or --window",
    ),
    "shorter than all streams": (
        b"ab" * 30 + b"a",
        "at least 56 training characters|got 55",
    ),  # 6 are held out
    "no UTF-8": (
        b"abc\xff\xfeabc",
        "must be UTF-8, got byte 0xff at offset 3 of corpus. Give its --encoding|or --unit bytes",
    ),
    "cut within a character": ("abcä".encode()[:-1], "must be UTF-8, got byte 0xc3 at offset 3"),
    "with NUL": (b"abc\0abc", "must be text, got a NUL at offset 3 of corpus. Give --unit bytes"),
}


@pytest.mark.parametrize("case", CORPORA)
def test_a_corpus_that_cannot_be_used(case: str, place: Path) -> None:
    data, expect = CORPORA[case]
    if data is not None:
        (place / "corpus").write_bytes(data)
    refused(*training(corpus="corpus"), expect=expect)


def test_a_folder_as_corpus(place: Path) -> None:
    (place / "empty").mkdir()
    refused(*training(corpus=place / "empty"), expect="a folder of a corpus must hold files|got none in")


def test_an_endless_device_is_no_corpus() -> None:
    refused(*training(corpus="/dev/zero"), expect="must be an ordinary file|'/dev/zero'")
    refused(*training(corpus="text.txt/part"), expect="must be readable, got: Not a directory")


SETTINGS = {
    **{
        f"--{name} {value}": f"{name.replace('-', '_')}|at least 1, got {value}"
        for name in (
            "memory-size",
            "word-size",
            "read-heads",
            "batch",
            "window",
            "steps",
            "report-every",
            "score-limit",
        )
        for value in (0, -3)
    },
    "--mask-floor 1.5 --masking": "mask_floor|[0, 1], got 1.5",
    "--mask-floor 0.5": "mask_floor must be 0 without masks, got 0.5",
    "--sharpness --no-links": "sharpness must be False without links",
    "--bypass-dropout 1": "bypass_dropout|[0, 1), got 1.0",
    "--normalisation --hidden 1": "hidden_sizes must be 2 or more with normalisation, got (1,)",
    "-m lstm --masking": "masking must be left out with --model lstm, which has no memory, got True",
    "-m rnn --no-links": "links must be left out with --model rnn",
    "--input-scale 0": "input_scale must be above 0 and finite, got 0.0",
    "-m lstm --init-scheme store": "init_scheme must be plain for a model other than a dnc",
    "--hidden 0": "hidden_sizes must be a whole number of at least 1, got 0",
    "--hidden -1": "hidden_sizes must be a whole number of at least 1, got -1",
    "--layers 0": "layers must be from 1 to 1000, got 0",
    "--layers -2": "layers must be from 1 to 1000, got -2",
    "--layers 100000000": "layers must be from 1 to 1000, got 100000000",
    "--engine warp": "engine must be one of auto, cpu, reference|got 'warp'",
    "--model gru": "model must be one of rnn, lstm, dnc, ntm, got 'gru'",
    "--controller gru": "controller must be one of lstm, rnn, feedforward, got 'gru'",
    "--memory-size 10000000": "must fit into the |GiB of this machine|Lower --hidden, --memory-size",
    "--hidden 100000000": "must fit into the |GiB of this machine",
    f"--hidden 1{'0' * 200}": "must fit into the |GiB of this machine",
    "--learning-rate 0": "learning_rate must be a number above 0, got 0.0",
    "--learning-rate -1": "learning_rate must be a number above 0, got -1.0",
    "--learning-rate nan": "learning_rate must be a number above 0, got nan",
    "--learning-rate inf": "learning_rate must be a number above 0, got inf",
    "--momentum 1": "momentum must lie in [0, 1), got 1.0",
    "--clip-norm nan": "clip_norm must be at least 0, got nan",
    "--clip-value -1": "clip_value must be at least 0, got -1.0",
    "--weight-decay -1": "weight_decay must be at least 0, got -1.0",
    "--warmup -1": "warmup must be at least 0, got -1",
    "--minutes 0": "minutes must be above 0, got 0.0",
    "--minutes nan": "minutes must be above 0, got nan",
    "--held-out 0": "held_out must lie between 0 and 1, got 0.0",
    "--held-out 1": "held_out must lie between 0 and 1, got 1.0",
    "--held-out nan": "held_out must lie between 0 and 1, got nan",
    "--seed -1": "seed must be at least 0, got -1",
}


@pytest.mark.parametrize("words", SETTINGS)
def test_a_setting_that_cannot_be_used(words: str) -> None:
    refused(*training(*words.split()), expect=SETTINGS[words])


GRADCHECKS = {
    "--steps 0": "steps must be at least 1, got 0",
    "--batch -1": "batch must be at least 1, got -1",
    "--samples 0": "samples must be at least 1, got 0",
    "--seed -1": "seed must be at least 0, got -1",
    "--engine warp": "engine must be one of",
    "--hidden 0": "hidden_sizes must be",
    "--memory-size 10000000": "GiB of this machine",
}


@pytest.mark.parametrize("words", GRADCHECKS)
def test_a_gradcheck_that_cannot_be_made(words: str) -> None:
    refused("gradcheck", *words.split(), expect=GRADCHECKS[words])


OTHER = {
    "sample run --length -1": "length must be at least 0, got -1",
    "sample run --temperature -0.5": "temperature must be a number of at least 0, got -0.5",
    "sample run --temperature nan": "temperature must be a number of at least 0, got nan",
    "sample run --temperature inf": "temperature must be a number of at least 0, got inf",
    "sample run --seed -1": "seed must be at least 0, got -1",
    "sample run --engine warp": "engine must be one of auto, cpu, reference|got 'warp'",
    "sample run --prime": "prime must hold at least one character, got none. Give --prime TEXT",
    "sample run --prime XY\x1bZ": r"the 19 symbols the model was trained on, got others: '\x1b', 'X', 'Y', 'Z'",
    "eval run --engine warp": "engine must be one of",
    "eval run --no-reads": "--no-reads must be given for a model with a memory, got a run of a lstm",
    "resume run": "iterations left, but 12 of 12 are done. Give more with --steps",
    "resume run --steps 12": "iterations left, but 12 of 12 are done",
    "resume run --steps -1": "iterations left, but 12 of -1 are done",
    "resume run --steps 20 --minutes 0": "minutes must be above 0, got 0.0",
    "resume run --steps 20 --minutes nan": "minutes must be above 0, got nan",
    "resume run --steps 20 --learning-rate 0": "learning_rate must be a number above 0, got 0.0",
    "resume run --steps 20 --engine warp": "engine must be one of",
    "data fetch alice30": "must be one of |got 'alice30'",
}


@pytest.mark.parametrize("words", OTHER)
def test_a_request_that_cannot_be_met(words: str) -> None:
    train("run", model="lstm")
    given = [*words.split(), ""] if words.endswith("--prime") else words.split()
    refused(*given, expect=OTHER[words])


@pytest.mark.parametrize("temperature", ["1e-310", "1e-9", "0", "1e300"])
def test_every_temperature_allowed_gives_text(temperature: str) -> None:
    train("run")
    result = call("sample", "run", "-n", 20, "--temperature", temperature)
    assert (result.code, len(result.out), result.err) == (0, 21, "")


@pytest.mark.parametrize("command", ["resume", "eval", "sample"])
def test_a_folder_without_a_run(command: str, place: Path) -> None:
    (place / "empty").mkdir()
    for folder in ("empty", "nowhere", "text.txt", "n" * 300):
        refused(command, folder, expect=f"{folder} must be ")


def test_the_corpus_of_a_run_has_changed_or_vanished(place: Path) -> None:
    train("run")
    text = place / "text.txt"
    for changed, expect in (
        (TEXT + ".", "the corpus must be the one the run was started with|Give the old one with --corpus"),
        ("ab", "the corpus must be the one the run was started with"),
        ("a\0b", "the corpus must be the one the run was started with"),
        ("", "must hold some text"),
    ):
        text.write_text(changed)
        refused("resume", "run", "--steps", 20, expect=expect)
        refused("eval", "run", expect=expect)
    text.unlink()
    for command in (("resume", "run", "--steps", 20), ("eval", "run")):
        refused(*command, expect=f"got '{text.name}', which is neither|say with --corpus where it lies now")
    (place / "moved.txt").write_text(TEXT)
    for command in (("resume", "run", "--steps", 20), ("eval", "run")):
        assert call(*command, "--corpus", "moved.txt").code == 0


@pytest.mark.parametrize("out", ["text.txt", "text.txt/run", "new/folders/" + "n" * 300, "/proc/numdnc/run"])
def test_an_output_folder_that_cannot_be_made(out: str) -> None:
    refused(
        *training(out=out), expect="must be |got: |Choose another with --out" if len(out) < 99 else "too long"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folders_without_permission(place: Path) -> None:
    train("run")
    (place / "closed").mkdir()
    (place / "closed").chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused(*training(out="closed/run"), expect="Permission denied")
    (place / "run/last.safetensors").chmod(0)
    assert "last.safetensors must be a file that can be read, got: Permission denied" in error_line(
        call("eval", "run", "--last")
    )


@pytest.mark.parametrize("file", ["last.safetensors", "best.safetensors", "metrics.jsonl"])
def test_an_output_folder_that_holds_a_run(file: str, place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / file).write_text("{}\n")
    refused(*training(), expect="run must not hold a run yet, got one. Continue it with `numdnc resume run`")


def test_what_else_lies_in_the_output_folder_stays(place: Path) -> None:
    (place / "run").mkdir()
    for name in (".profile.bak", ".last.txt", "notes.md"):
        (place / "run" / name).write_text("mine")
    train("run")
    assert call("resume", "run", "--steps", 14).code == 0
    assert {(place / "run" / name).read_text() for name in (".profile.bak", ".last.txt", "notes.md")} == {
        "mine"
    }


# Without a memory nothing grows but the parameters themselves: gates and tanh saturate.
@pytest.mark.parametrize(("model", "rate"), [("rnn", 1e40), ("lstm", 1e40), ("dnc", 1e30)])
def test_an_absurd_learning_rate_stops_at_the_first_bad_array(model: str, rate: float, place: Path) -> None:
    line = error_line(call(*training("-m", model, "--optimizer", "sgd", "--learning-rate", rate)))
    assert "training must stay finite, but " in line
    named = line.partition("but ")[2].partition(" is not")[0]
    assert named.startswith("state.read_weights at step 0" if model == "dnc" else "params."), line
    assert "iteration 2. The last checkpoint is kept; start again with a lower --learning-rate" in line
    kept = RunFolder(place / "run").load_last()
    assert kept.iteration == 0
    assert all(np.isfinite(leaf).all() for leaf in leaves((kept.params, kept.moments, kept.state)))
    assert set(on_disk(place / "run")) == {"last.safetensors", "metrics.jsonl"}
    assert call("sample", "run", "-n", 3).code == 0


def test_a_held_out_score_that_is_not_finite_is_never_the_best(place: Path) -> None:
    line = error_line(call(*training("--optimizer", "sgd", "--learning-rate", 1e30, "--report-every", 1)))
    assert "training must stay finite, but the held-out score is not, at iteration 1." in line
    assert set(on_disk(place / "run")) == {"last.safetensors", "metrics.jsonl"}


UNPARSABLE = [
    "",
    "train",
    "train text --frobnicate 3",
    "frobnicate",
    "sample",
    "train text --hidden many",
    "train text --precision float16",
    "train text --unit words",
    "resume",
    "train text --optimizer newton",
]


@pytest.mark.parametrize("words", UNPARSABLE)
def test_a_command_that_cannot_be_parsed(words: str) -> None:
    result = call(*words.split())
    assert (result.code, result.out) == (2, "")
    assert result.err
    assert "Traceback" not in result.err
    assert on_disk(Path()) == {"text.txt": TEXT.encode()}


@pytest.mark.parametrize(
    "words", [pytest.param(training("--hidden", 0), marks=pytest.mark.thorough), ("eval", "gone")]
)
def test_the_real_program_fails_alike(words: tuple[Any, ...]) -> None:
    result = finish(program(*words))
    assert result == call(*words)
    error_line(result)


def test_a_name_that_drives_terminals_or_breaks_lines_is_shown_as_escapes() -> None:
    line = refused("eval", "a\x1b[31m\nb", expect=r"a\x1b[31m\nb must be the folder of a run")
    assert line.isprintable()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("how", thorough_but([("--json",)], [("--json",), ()]))
def test_standard_output_on_a_full_disk(how: tuple[str, ...]) -> None:
    train("run")
    with Path("/dev/full").open("wb") as full:
        process = program(
            *("eval", "run", "--engine", "reference", *how),
            before=f"import os; os.dup2({full.fileno()}, 1)",
            pass_fds=[full.fileno()],
        )
        line = error_line(finish(process))
    assert "No space left on device" in line


def test_a_state_that_is_not_finite_is_named_and_not_saved_again(place: Path) -> None:
    train("run")

    def poison(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["state.controller.0.hidden"][:] = np.nan

    rewrite(place / "run/last.safetensors", poison)
    before = (place / "run/last.safetensors").read_bytes()
    line = error_line(call("resume", "run", "--steps", 20))
    assert "but state.controller.0.hidden is not, at iteration 13" in line
    assert (place / "run/last.safetensors").read_bytes() == before


def test_a_state_that_goes_bad_behind_good_outputs_is_not_saved(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run could ever go on from it."""
    forward, calls = ReferenceEngine.forward, iter(range(100))

    def overflow(*given: Any, keep_tape: bool, **masks: Any) -> Any:
        outputs, state, tape = forward(*given, keep_tape=keep_tape, **masks)
        if keep_tape and next(calls) == 3:
            state = map_leaves(lambda leaf: leaf + np.float32(np.inf), state)
        return outputs, state, tape

    monkeypatch.setattr(ReferenceEngine, "forward", overflow)
    line = error_line(call(*training("-m", "rnn", "--engine", "reference")))
    assert "must stay finite, but state.controller.0.hidden is not, at iteration 4." in line
    assert RunFolder(place / "run").load_last().iteration == 0


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert json.loads(json_text({"a": (1.5, float("nan")), "b": [float("inf"), "x"]})) == {
        "a": [1.5, None],
        "b": [None, "x"],
    }
