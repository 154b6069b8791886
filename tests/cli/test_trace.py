"""`trace`: which sequence of which model is recorded, what is said of it, and what users get wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import done, on_disk, refused, rewrite
from numdnc.inspection.trace import Trace
from numdnc.inspection.trace_file import load_trace
from numdnc.runs.consent import save_source
from numdnc.runs.kinds import load_run
from numdnc.tasks import Batch
from numdnc.tasks.bits import Copy
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run, forward_with

TINY = "--hidden 5 -N 4 -W 3 -R 2 --sample-every 0 --steps 4 --report-every 2"
STRANGE = "<script>alert('ü')</script>\u2028 \U0001f600 &amp; \t\"'\\\n"
TEXT = STRANGE * 12
SYMBOLS = '''
from dataclasses import dataclass
import numpy as np
from numdnc.tasks import Batch

@dataclass(frozen=True)
class Next:
    """The number after each, of four; the mask leaves out the first."""

    length: int = 5
    input_size = 4
    output_size = 4

    def draw(self, rng, batch):
        inputs = rng.integers(4, size=(self.length, batch))
        mask = np.ones(inputs.shape, bool)
        mask[0] = False
        return Batch(inputs, (inputs + 1) % 4, mask=mask)
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a task of bits, of one of classes, of a text and of its bytes, to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("text.txt").write_text(TEXT, encoding="utf-8")
        Path("mine.py").write_text(SYMBOLS, encoding="utf-8")
        small, text = TINY.split(), ("--batch", 4, "--window", 8, "--score-limit", 60)
        sizes = ["--evaluated", "70", "--batch", "4", "--width", "2", "--max-length", "3"]
        done("train", "copy", *small, *sizes, "--out", "bits")
        done("train", "mine:Next", *small, "--evaluated", 3, "-m", "lstm", "--out", "classes")
        done("train", "text", "-c", "text.txt", *small, *text, "-m", "dnc", "--out", "text")
        done(
            "train", "text", "-c", "text.txt", *small, *text, "-m", "rnn", "--unit", "bytes", "--out", "bytes"
        )
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    save_source(Path("classes"), "mine:Next", "mine:Next")
    return tmp_path


def traced(folder: str, *words: object) -> tuple[Trace, dict[str, Any]]:
    """The trace that the command writes, and its JSON."""
    said = json.loads(done("trace", folder, "--json", *words))
    return load_trace(Path(said["out"])), said


def outputs(run: Run, batch: Batch) -> Any:
    """(T, Y) of the only sequence of a batch, computed at once."""
    found, _ = forward_with(run.engine, run.spec, run.params)(batch.inputs, None)
    return found[:, 0]


def same(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


# Which sequence of which model


@pytest.mark.parametrize("number", [0, 1, 63, 64, 69])
def test_a_sequence_that_the_task_is_scored_on(number: int) -> None:
    trace, said = traced("bits", "--sample", number)
    opened = load_run("bits")
    run, batches = opened.checkpoint, list(opened.task.evaluation_batches())
    batch, row = (batches[0], number) if number < 64 else (batches[1], number - 64)
    assert batch.mask is not None
    T = int(np.flatnonzero(batch.mask[:, row])[-1]) + 1
    same(trace.arrays["inputs"], batch.inputs[:T, row])
    same(trace.arrays["targets"], batch.targets[:T, row])
    np.testing.assert_array_equal(trace.arrays["mask"], batch.mask[:T, row])
    same(trace.arrays["outputs"], outputs(run, Batch(batch.inputs[:T, row : row + 1], batch.targets)))
    assert (trace.steps, said["steps"], trace.unit) == (T, T, "bits")
    assert trace.about.sequence == f"sequence {number} of those scored on"
    assert trace.about.settings["max_length"] == 3
    assert trace.about.input_channels == Copy(width=2).input_channels
    assert trace.about.output_channels == ("bit 0", "bit 1")


def test_errors_of_all_sequences_are_those_that_eval_says() -> None:
    found = [traced("bits", "--sample", number)[1] for number in range(0, 70)]
    wrong, answers = sum(one["wrong"] for one in found), sum(one["answers"] for one in found)
    evaluated = json.loads(done("eval", "bits", "--json"))
    assert wrong / answers == pytest.approx(evaluated["bit_error"], abs=1e-12)


@pytest.mark.parametrize("folder", ["bits", "text", "bytes", "classes"])
def test_the_best_checkpoint_or_the_last(folder: str) -> None:
    def other(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        arrays["params.output.bias"] += 1
        metadata["iteration"] = 1

    place = RunFolder(Path(folder))
    assert place.load_last().iteration == 4
    rewrite(place.best, other)
    best, last = traced(folder)[0], traced(folder, "--last")[0]
    assert (best.about.iteration, last.about.iteration) == (1, 4)
    for trace, run in ((best, place.load_best()), (last, place.load_last())):
        a = trace.arrays
        same(a["outputs"], outputs(run, Batch(a["inputs"][:, None], a["targets"])))
    assert np.abs(best.arrays["outputs"] - last.arrays["outputs"]).max() > 0.5


def test_another_task_memory_and_engine() -> None:
    trace, said = traced("bits", "--set", "max_length=9", "--set", "min-length=9", "-N", 7, "-e", "reference")
    assert trace.steps == 20
    assert trace.about.settings["min_length"] == 9
    assert trace.arrays["link"].shape == (20, 7, 7)
    assert said["arrays"]["memory"] == [20, 7, 3]
    assert (trace.about.engine, said["engine"]) == ("reference", "reference")
    assert traced("bits")[0].about.engine == "cpu"


def test_a_graph_task_says_the_digits_of_its_labels() -> None:
    sizes = ["--digits", 2, "--lesson", 1, "--grow", "", "--evaluated", 2, "--batch", 2]
    done("train", "traversal", *TINY.split(), *sizes, "--out", "graph")
    assert traced("graph")[0].about.digits == 2
    assert traced("bits")[0].about.digits is None


def test_a_stretch_of_the_text_that_is_held_out() -> None:
    held_out = TEXT[len(TEXT) - round(0.1 * len(TEXT)) :]
    first, said = traced("text", "--length", 10)
    second, _ = traced("text", "-n", 10, "--sample", 1)
    symbols = first.about.symbols
    assert symbols == "".join(sorted(set(TEXT)))

    def text(trace: Trace, name: str) -> str:
        return "".join(symbols[number] for number in trace.arrays[name])

    assert text(first, "targets") + text(second, "targets") == held_out[:20]
    assert text(first, "inputs")[1:] == held_out[:9]
    assert text(second, "inputs") == held_out[9:19]
    assert (first.unit, said["unit"], said["answers"]) == ("characters", "characters", 10)
    assert first.about.sequence == "held-out characters 0 to 9"
    assert second.about.sequence == "held-out characters 10 to 19"
    assert first.about.input_channels == first.about.output_channels == tuple(symbols)
    run = RunFolder(Path("text")).load_best()
    same(
        first.arrays["outputs"], outputs(run, Batch(first.arrays["inputs"][:, None], first.arrays["targets"]))
    )
    assert traced("text")[0].steps == len(held_out) < 100


def test_a_text_that_has_moved() -> None:
    described = lambda _, metadata: metadata["task"].update(corpus="gone.txt")  # noqa: E731
    for name in ("best", "last"):
        rewrite(Path(f"text/{name}.safetensors"), described)
    refused("trace", "text", expect="gone.txt|--corpus")
    assert traced("text", "--corpus", "text.txt")[0].steps == len(TEXT) // 10
    assert traced("text", "--input", "alert")[0].steps == 4


# Sequences of one's own


def test_a_text_of_ones_own() -> None:
    trace, said = traced("text", "--input", STRANGE)
    symbols = trace.about.symbols
    assert symbols is not None
    assert "".join(symbols[n] for n in trace.arrays["inputs"]) == STRANGE[:-1]
    assert "".join(symbols[n] for n in trace.arrays["targets"]) == STRANGE[1:]
    assert trace.arrays["mask"].all()
    assert said["sequence"] == "a text given by hand"


def test_bytes_of_ones_own() -> None:
    trace, _ = traced("bytes", "--input", "ü\U0001f600")
    symbols = trace.about.symbols
    assert symbols is not None
    typed = "".join(symbols[n] for n in [trace.arrays["inputs"][0], *trace.arrays["targets"]])
    assert typed.encode("latin-1") == "ü\U0001f600".encode()
    assert trace.about.settings["unit"] == "bytes"


@pytest.mark.parametrize("given", ["1010 0101\n0000", "given.csv"])
def test_bits_of_ones_own(given: str) -> None:
    Path("given.csv").write_text("1,0,1.0,0\r\n0, 1,0,1\r\n\r\n0,0,0,0\r\n", encoding="utf-8")
    trace, said = traced("bits", "--input", given)
    rows = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(trace.arrays["inputs"], rows)
    np.testing.assert_array_equal(trace.arrays["targets"], np.zeros((3, 2)))
    assert not trace.arrays["mask"].any()
    run = RunFolder(Path("bits")).load_best()
    same(trace.arrays["outputs"], outputs(run, Batch(rows[:, None], rows)))
    assert (said["wrong"], said["answers"], trace.unit) == (0, 0, "bits")
    assert trace.about.sequence == "a sequence given by hand"


def test_numbers_of_ones_own() -> None:
    Path("given.csv").write_text("0.5,-2,1e-3,7\n", encoding="utf-8")
    trace, _ = traced("bits", "--input", "given.csv")
    same(trace.arrays["inputs"], [[0.5, -2, 1e-3, 7]])


@pytest.mark.parametrize("given", ["3 0 1", "given.csv"])
def test_symbols_of_ones_own(given: str) -> None:
    Path("given.csv").write_text("3\n 0\n1\n", encoding="utf-8")
    trace, _ = traced("classes", "--input", given)
    assert trace.arrays["inputs"].tolist() == [3, 0, 1]
    assert trace.arrays["targets"].shape == (3,)
    assert trace.unit == "classes"


def test_classes_of_a_task_of_ones_own() -> None:
    trace, _ = traced("classes", "--sample", 2)
    assert trace.steps == 5
    np.testing.assert_array_equal(trace.arrays["targets"], (trace.arrays["inputs"] + 1) % 4)
    assert trace.arrays["mask"].tolist() == [0, 1, 1, 1, 1]
    assert "cell" in trace.arrays
    assert "usage" not in trace.arrays
    assert trace.about.input_channels == ("input 0", "input 1", "input 2", "input 3")


# What is said, and where it goes


def test_what_is_said() -> None:
    trace, said = traced("bits")
    first, *lines, size, following = done("trace", "bits").splitlines()
    wrong, answers = said["wrong"], said["answers"]
    assert first == (
        f"copy, sequence 0 of those scored on: {trace.steps} steps, {wrong} of {answers} bits wrong "
        f"(iteration {trace.about.iteration}, engine cpu)"
    )
    assert [line.split(maxsplit=1)[0] for line in lines] == list(said["arrays"])
    assert lines[0].split(maxsplit=1) == ["inputs", f"{trace.steps} x 4"]
    assert size.endswith(" in bits/trace.safetensors")
    assert following == "next:  numdnc view bits/trace.safetensors"
    assert said["bytes"] == Path("bits/trace.safetensors").stat().st_size
    assert " no targets " in done("trace", "bits", "--input", "1000")


def test_a_note_says_what_was_thinned() -> None:
    words = ("bits", "-N", 400, "--set", "min_length=9", "--set", "max_length=9")
    note = "links: only the strongest 4 of the 400 of each slot are kept"
    assert note in done("trace", *words).splitlines()
    assert traced(*words)[1]["note"] == note


def test_only_the_trace_is_written() -> None:
    before = on_disk(Path())
    done("trace", "bits")
    done("trace", "bits", "--out", "a trace.safetensors", "--sample", 1)
    after = on_disk(Path())
    assert after.keys() - before.keys() == {"bits/trace.safetensors", "a trace.safetensors"}
    assert {name: after[name] for name in before} == before
    assert "numdnc view 'a trace.safetensors'" in done("trace", "bits", "--out", "a trace.safetensors")


def test_resume_goes_on_beside_a_trace() -> None:
    done("trace", "bits")
    done("resume", "bits", "--steps", 6, "--sample-every", 0)
    assert load_trace(Path("bits/trace.safetensors")).about.iteration <= 4


REFUSED = {
    "nothing there": ("none", "none must be the folder of a run"),
    "a text's option": ("bits --length 5", "--length must be given for a run of a text, got one of copy"),
    "another of a text's": ("bits --corpus text.txt", "--corpus must be given for a run of a text"),
    "an episode's option": ("text --set width=3", "--set must be given for a run of separate sequences"),
    "no such sequence": ("bits --sample 70", "the sequence must be one of 0..69, the held-out ones, got 70"),
    "negative": ("bits --sample -1", "the sequence must be one of 0..69"),
    "no such stretch": ("text -n 10 --sample 60", "the segment must be one of the "),
    "length": ("text -n 0", "length must be at least 1, got 0"),
    "longer than all": ("text -n 100000", "the segment must be one of the 0 of 100000 characters"),
    "both": ("bits -i 1000 --sample 1", "--input must be given without --sample, --length and --set"),
    "both, the first": ("bits -i 1000 --sample 0", "--input must be given without --sample"),
    "other slots": (
        "bytes -N 5",
        "--memory-size must be given for a model with a memory, got a run of a rnn",
    ),
    "no slots": ("bits -N 0", "memory_size must be a whole number of at least 1"),
    "engine": ("bits -e warp", "engine must be one of auto, cpu, reference, torch, gpu, got 'warp'"),
    "a checkpoint": ("bits -o bits/best.safetensors", "--out must not be a checkpoint of the run"),
    "the other checkpoint": ("bits -o bits/../bits/last.safetensors", "--out must not be a checkpoint"),
    "no such folder": ("bits -o nowhere/t.safetensors", "must be writable, got: No such file or directory"),
    "one character": ("text -i a", "--input must hold at least 2 characters, got 'a'"),
    "strangers": ("text -i aZl", "text must use the |got others: 'Z'"),
    "few digits": ("bits -i 100", "must be 4 digits 0 or 1, got '100' as row 1|bit 0, bit 1, start, stop"),
    "no digits": ("bits -i 10a0", "must be 4 digits 0 or 1, got '10a0' as row 1"),
    "many digits": ("bits -i " + "1" * 9999, "must be 4 digits 0 or 1"),
    "no such file": (
        "bits -i none.csv",
        "--input must name a CSV file that can be read, got none.csv: No such file",
    ),
    "few numbers": ("bits -i few.csv", "must be 4 numbers, with commas between, got '1,2' as row 2"),
    "no numbers": ("bits -i words.csv", "must be 4 numbers, with commas between, got 'a,b,c,nan' as row 1"),
    "nothing in it": ("bits -i empty.csv", "--input must hold at least one row of 4 numbers"),
    "no text": ("bits -i text/best.safetensors.csv", "--input must name a CSV file of UTF-8 or UTF-16 text"),
    "no symbols": ("classes -i 0,4", "must be a whole number from 0 to 3, got '0,4' as number 1"),
    "a symbol too many": ("classes -i 4", "must be a whole number from 0 to 3, got '4' as number 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_users_get_wrong(name: str) -> None:
    Path("few.csv").write_text("0,0,0,0\n1,2\n", encoding="utf-8")
    Path("words.csv").write_text("a,b,c,nan\n", encoding="utf-8")
    Path("empty.csv").write_text("", encoding="utf-8")
    Path("text/best.safetensors.csv").write_bytes(b"\xff\xfe\x00")
    words, expect = REFUSED[name]
    refused("trace", *words.split(), expect=expect)


def test_an_empty_input() -> None:
    refused("trace", "text", "--input", "", expect="--input must hold at least 2 characters, got ''")
    refused("trace", "bits", "--input", " ", expect="--input must hold at least one row of 4 digits")
    refused(
        "trace", "classes", "--input", "", expect="--input must hold at least one whole number from 0 to 3"
    )
