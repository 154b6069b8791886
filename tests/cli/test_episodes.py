"""`train` of presets and of anyone's own task, `resume`, `eval` and what users get wrong with them."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numdnc
from helpers.commands import (
    TEXT,
    call,
    contents,
    done,
    finish,
    interrupted_after,
    metrics,
    on_disk,
    program,
    refused,
    rewrite,
)
from helpers.commands import train as train_text
from helpers.marks import thorough_but
from numdnc.cli.presets import PRESETS
from numdnc.cli.published import PUBLISHED
from numdnc.cli.train import TRAIN_OPTIONS
from numdnc.tasks.by_name import GENERATORS
from numdnc.tasks.sequence_task import SequenceTask
from numdnc.training.checkpoint import load_checkpoint, load_run
from numdnc.training.folder import RunFolder
from numdnc.training.run import TrainingSettings
from numdnc.tree import named_leaves

EXAMPLE = Path(__file__).parents[2] / "examples" / "parity.py"
TINY = "--hidden 5 -N 4 -W 3 -R 1 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"
CURRICULUM = "--grow max_length --pass-at 1 --easier 0.5"
LINE = re.compile(
    r" *(\d+\.\d) s, iter +(\d+), +[\d,]+ samples, loss +(\S+), held-out +(\S+), +(\d+\.\d\d) % bits wrong, +"
    r"(\d+\.\d) % sequences right, (level \d, )? +\d+ bits/s, \d+:\d\d left"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(out: object, *more: object) -> tuple[object, ...]:
    return ("train", "copy", *TINY.split(), "--steps", 12, "--report-every", 4, *more, "--out", out)


def train(*more: object) -> str:
    return done(*words("run", *more))


def evaluation(*more: object) -> dict[str, Any]:
    found = json.loads(done("eval", "run", "--json", *more))
    assert isinstance(found, dict)
    return found


def test_train_eval_and_resume() -> None:
    first, few, *lines = train("--sample-every", 10).splitlines()
    assert first.startswith("dnc with ")
    assert "engine cpu; copy: width 2, min_length 1, max_length 3, " in first
    assert first.endswith("4 inputs, 2 outputs")
    assert re.fullmatch(r"few such sequences exist: \d\d % of those to train on are scored on too", few)
    progress = [LINE.fullmatch(line) for line in lines[:3]]
    stored = metrics(Path("run"))
    for match, record in zip(progress, stored, strict=True):
        assert match
        assert int(match[2]) == record["iteration"]
        assert match[3] == f"{record['train']:.4f}"
        assert match[4] == f"{record['loss']:.4f}" == f"{record['held_out']:.4f}"
        assert match[5] == f"{100 * record['bit_error']:.2f}"
        assert match[6] == f"{100 * (1 - record['sequence_error']):.1f}"
    picture = "\n".join(lines[3:])
    assert re.search(r"^----\ninput\nbit 0 \|.*\nerror \(\d+ of \d+ bits wrong\)", picture, re.DOTALL)
    assert re.search(
        r"^loss \d\.\d{4}, \d+\.\d\d % of bits wrong, \d+\.\d % of sequences without error$", picture, re.M
    )
    assert re.search(
        r"^done at iteration 12; best held-out loss \d\.\d{4} at iteration \d+; saved", picture, re.M
    )
    assert picture.endswith(
        "next:  numdnc eval run --show\n       numdnc view run\n       numdnc diagnose run\n"
        "       numdnc resume run --steps 24"
    )
    best = min(stored, key=lambda record: record["loss"])
    found = evaluation()
    assert (found["task"], found["iteration"], found["sequences"]) == ("copy", best["iteration"], 20)
    assert found["settings"]["max_length"] == 3
    for name in ("loss", "bit_error", "sequence_error"):
        assert found[name] == pytest.approx(best[name], rel=1e-5)
    assert done("eval", "run").endswith(f"; 20 sequences (iteration {best['iteration']})\n")
    assert "resuming run at iteration 12" in done("resume", "run", "--steps", 14, "--sample-every", 0)
    assert [record["iteration"] for record in metrics(Path("run"))] == [4, 8, 12, 14]
    assert json.loads(done("info", "run", "--json"))["spec"]["memory_size"] == 4


@pytest.mark.parametrize("stop", [0, 3, 4, 7, 8, 9])
def test_a_resumed_run_with_a_curriculum_is_the_one_that_never_stopped(stop: int) -> None:
    done(*words("straight", *CURRICULUM.split()))
    with interrupted_after(stop):
        assert call(*words("run", *CURRICULUM.split())).code == 130
    done("resume", "run", "--sample-every", 0)
    assert contents(Path("run")) == contents(Path("straight"))
    assert [record.get("level") for record in metrics(Path("run"))] == [1, 2, 3]


def test_a_solved_run_stops_and_goes_on_if_told_to() -> None:
    out = train("--solved-at", 5, "--minutes", 9)
    assert "solved at iteration 4; best held-out loss" in out
    assert out.endswith("numdnc resume run --steps 12\n")
    saved = RunFolder(Path("run")).load_last()
    assert (saved.iteration, saved.solved_iteration) == (4, 4)
    assert "run is solved, at iteration 4: nothing is left to learn" in done("resume", "run")
    assert RunFolder(Path("run")).load_last().iteration == 4
    assert "done at iteration 12" in done("resume", "run", "--steps", 12, "--sample-every", 0)
    assert [record["solved"] for record in metrics(Path("run"))] == [True] * 3
    assert RunFolder(Path("run")).load_last().solved_iteration == 4


def test_eval_at_other_lengths_slots_and_counts() -> None:
    train()
    plain = evaluation()
    longer = evaluation("-N", 9, "--set", "max_length=9", "--set", "min-length=8", "--sequences", 7)
    assert longer["settings"] | {"min_length": 1, "max_length": 3} == plain["settings"]
    assert (longer["settings"]["min_length"], longer["sequences"]) == (8, 7)
    assert longer["loss"] != plain["loss"]
    more_slots = evaluation("--memory-size", 40)
    assert more_slots["loss"] == pytest.approx(plain["loss"], rel=0.1)
    assert more_slots["loss"] != plain["loss"]
    assert evaluation("-N", 4) == plain
    assert evaluation("--no-reads")["without_reads"]["loss"] != plain["loss"]
    assert "with every read vector zeroed" in done("eval", "run", "--no-reads")


def test_eval_warns_of_a_memory_that_cannot_hold_what_is_shown() -> None:
    train()
    result = call("eval", "run", "-N", 2, "--json")
    assert result.code == 0
    assert json.loads(result.out)["loss"] > 0
    assert result.err == "warning: a sequence can make it hold 3 vectors at once, more than its 2 slots\n"
    assert call("eval", "run", "-N", 3).err == ""
    assert "5 vectors at once, more than its 4 slots" in call("eval", "run", "--set", "max_length=5").err


def test_eval_leaves_the_folder_alone_and_shows_one_sequence(place: Path) -> None:
    train()
    before = on_disk(place)
    out = done("eval", "run", "--show", "--set", "min_length=3")
    assert re.search(r"^error \(\d+ of 6 bits wrong\)$", out, re.MULTILINE)
    assert on_disk(place) == before


def test_eval_saves_a_figure() -> None:
    pytest.importorskip("matplotlib")
    train()
    done("eval", "run", "--plot", "picture.png", "--json")
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")


def test_eval_takes_the_best_checkpoint_or_the_last() -> None:
    train("--learning-rate", 3, "--optimizer", "sgd", "--report-every", 2)
    losses = {record["iteration"]: record["loss"] for record in metrics(Path("run"))}
    best = min(losses, key=losses.__getitem__)
    assert evaluation()["iteration"] == best
    assert evaluation("--last")["iteration"] == 12 != best


@pytest.mark.parametrize("published", thorough_but([False], [False, True]))
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains(name: str, published: bool) -> None:
    settings = ("--steps", 1, "--evaluated", 2, "--batch", 2, "--sample-every", 0)
    if published and name not in PUBLISHED:
        refused(
            "train", name, "--published", expect="--published must be given with a task that has published"
        )
        return
    done("train", name, *settings, "--out", "run", *(["--published"] if published else []))
    saved = RunFolder(Path("run")).load_last()
    preset = (PUBLISHED if published else PRESETS)[name]
    assert saved.task["settings"] == dataclasses.asdict(preset.generator)
    assert saved.optimizer == preset.optimizer
    assert saved.training == dataclasses.replace(preset.training, steps=1)
    assert saved.spec == preset.model.spec(saved.spec.input_size, saved.spec.output_size)
    if not published:  # the paper's memory is smaller than its last graphs, of which `eval` warns
        found = call("eval", "run", "--json")
        assert json.loads(found.out)["task"] == name
        warned = "240 vectors at once, more than its 96 slots" in found.err  # where it grows with the lessons
        assert warned if name == "traversal" else (found.code, found.err) == (0, "")


def test_published_settings_are_those_of_the_source() -> None:
    """Graves et al. 2016 of traversal, bhpfelix/DNC-NumPy of copy-four; an option given beside them counts."""
    paper = PUBLISHED["traversal"]
    assert (paper.model.layers, paper.model.hidden, paper.model.memory_size) == (3, 256, 256)
    assert (paper.model.word_size, paper.model.read_heads, paper.settings.batch) == (50, 5, 2)
    assert (paper.optimizer.learning_rate, paper.settings.grow_from) == (1e-5, 1)
    done(
        "train", "copy-four", "--published", "--hidden", 9, "--steps", 1, "--sample-every", 0, "--out", "run"
    )
    saved = RunFolder(Path("run")).load_last()
    assert (saved.spec.hidden_sizes, saved.optimizer.momentum, saved.optimizer.learning_rate) == (
        (9,),
        0,
        1e-3,
    )
    refused("train", "text", "--published", expect="--published must be given with a task|got train text")


def test_runs_are_numbered_where_no_folder_is_given(place: Path) -> None:
    shutil.copy(EXAMPLE, place / "a_task.py")
    done(*words("x")[:-2])
    done("train", "a_task:Parity", "-m", "rnn", "--steps", 1, "--evaluated", 2, "--sample-every", 0)
    assert sorted(map(str, Path("runs").iterdir())) == ["runs/copy-dnc-1", "runs/parity-rnn-1"]


def test_a_checkpoint_finds_the_task_of_every_preset() -> None:
    assert {name: type(preset.generator) for name, preset in PRESETS.items()} == GENERATORS


@pytest.mark.parametrize("preset", ["key-value", "key-value-two-way"])
def test_what_a_preset_sets_of_a_memory_is_for_a_memory(preset: str) -> None:
    few = ("--steps", 1, "--batch", 2, "--evaluated", 2, "--sample-every", 0, "--engine", "reference")
    done("train", preset, *few, "-H", 4, "--out", "dnc")
    assert load_run(Path("dnc/last.safetensors")).training.init_scheme == "store"
    done("train", preset, *few, "-H", 4, "-m", "lstm", "--out", "lstm")
    assert load_run(Path("lstm/last.safetensors")).training.init_scheme == "plain"
    refused(
        "train", preset, *few, "-m", "lstm", "--masking", expect="masking must be left out with --model lstm"
    )


def test_no_setting_of_a_preset_is_named_like_an_option() -> None:
    for preset in PRESETS.values():
        assert not {field.name for field in dataclasses.fields(preset.generator)} & TRAIN_OPTIONS  # type: ignore[arg-type]
    assert "seed" in TRAIN_OPTIONS


OWN = ("train", "parity:Parity", "-m", "lstm", "--hidden", 5, "--max-length", 4, "--evaluated", 9)
OWN = (*OWN, "--batch", 4, "--report-every", 4, "--sample-every", 0, "--out", "run")


@pytest.mark.thorough
def test_somebody_elses_task_is_trained_from_the_folder_it_lies_in(place: Path) -> None:
    """By the program that users start, from another folder than the project's."""
    shutil.copy(EXAMPLE, place / "parity.py")
    result = finish(program(*OWN, "--steps", 8))
    assert (result.code, result.err) == (0, "")
    assert "parity:Parity: min_length 1, max_length 4; 1 inputs, 1 outputs" in result.out
    saved = RunFolder(place / "run").load_last()
    assert saved.task["source"] == "parity:Parity"
    assert saved.task["settings"] == {"min_length": 1, "max_length": 4}
    for command in (("resume", "run", "--steps", 12), ("eval", "run", "--set", "max_length=30", "--show")):
        result = finish(program(*command))
        assert (result.code, result.err) == (0, "")
    assert [record["iteration"] for record in metrics(place / "run")] == [4, 8, 12]


def test_the_example_is_parity(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    from parity import Parity

    batch = Parity(max_length=5).draw(np.random.default_rng(0), 50)
    assert batch.mask is not None
    assert set(batch.mask.argmax(axis=0)) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(batch.mask.sum(axis=0), 1)
    odd = batch.inputs[:, :, 0].sum(axis=0) % 2  # padding is zeros, which change no parity
    np.testing.assert_array_equal((batch.targets[:, :, 0] * batch.mask).sum(axis=0), odd)
    assert 0.3 < odd.mean() < 0.7


HEAD = """
from dataclasses import dataclass
import numpy as np
from numdnc.tasks import Batch

@dataclass(frozen=True)
class Task:
    length: int = 3
    input_size = output_size = 2

    def draw(self, rng, batch):
        vectors = np.zeros((self.length, batch, 2), "float32")
        return Batch(vectors, vectors)
"""
OWN_FAULTS = {
    "": ("nothing:Task", "a custom task must be MODULE:CLASS|got 'nothing': there is none. Go to its folder"),
    "# no class": ("{}:Other", "must hold 'Other', got none such"),
    "import no_such_thing": ("{}:Task", "ModuleNotFoundError: No module named 'no_such_thing'"),
    "def (": ("{}:Task", "SyntaxError"),
    "1 / 0": ("{}:Task", "ZeroDivisionError: division by zero"),
    "Task = 5": ("{}:Task", "must be a frozen dataclass, got something else"),
    "class Plain: pass": ("{}:Plain", "must be a frozen dataclass, got something else"),
    "Task = dataclass(type('Task', (), {}))": ("{}:Task", "must be a frozen dataclass"),
    "del Task.draw": ("{}:Task", "must offer draw, input_size and output_size, got no draw"),
    "del Task.output_size": ("{}:Task", "got no output_size"),
    "Task.input_size = 0": ("{}:Task", "input_size of |must be a whole number of at least 1, got 0"),
    "Task.input_size = property(lambda self: 1 / 0)": ("{}:Task", "tell its sizes, got ZeroDivisionError"),
    "Task.output_channels = ('a',)": ("{}:Task", "output_channels of |must be 2 names, one a channel, got 1"),
    "@dataclass(frozen=True)\nclass Own(Task):\n    steps: int = 3": ("{}:Own", "got steps, an option of `train`"),
    "@dataclass(frozen=True)\nclass Own(Task):\n    sizes: tuple = ()": ("{}:Own", "got sizes, which has not"),
    "@dataclass(frozen=True, kw_only=True)\nclass Own(Task):\n    size: int": ("{}:Own", "got size, which has not"),
    "Task.draw = lambda self, rng, batch: 1 / 0": ("{}:Task", "Task.draw must give sequences, got ZeroDivisionError"),
    "Task.draw = lambda self, rng, batch: 5": ("{}:Task", "Task.draw must give a Batch, got a int"),
    "Task.draw = lambda self: 5": ("{}:Task", "Task.draw must give sequences, got TypeError"),
    "Task.input_size = 3": ("{}:Task", "Task.draw must give inputs (T, 1, 3) of floats"),
    "draw = Task.draw\nTask.draw = lambda *given: (b := draw(*given))._replace(inputs=b.inputs / 0 + np.nan)":
        ("{}:Task", "Task.draw must give inputs that are finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", OWN_FAULTS)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_an_own_task_that_cannot_be_used(case: str, place: Path, request: pytest.FixtureRequest) -> None:
    source, expect = OWN_FAULTS[case]
    module = f"own_{list(OWN_FAULTS).index(case)}"  # Python keeps what it once imported
    (place / f"{module}.py").write_text(HEAD + case)
    before = {path.name for path in place.iterdir()}
    line = call("train", source.format(module), "--steps", 1, "--out", "run").err
    assert line.startswith("error: ")
    assert " must " in line
    for fragment in expect.split("|"):
        assert fragment in line, (fragment, line)
    assert {path.name for path in place.iterdir()} <= before | {"__pycache__"}


def test_a_run_of_an_own_task_needs_its_module(place: Path) -> None:
    (place / "own_left.py").write_text(HEAD)
    (place / "elsewhere").mkdir()
    settings = ("--engine", "reference", "--steps", 1, "--evaluated", 2, "--sample-every", 0)
    done("train", "own_left:Task", *settings, "--out", "run")
    (place / "own_left.py").unlink()
    result = finish(program("resume", "run", "--steps", 2))
    assert result.code == 2
    assert "got 'own_left': there is none. Go to its folder" in result.err


SETTINGS = {
    "--max-length 0": "max_length must be at least 1, got 0",
    "--min-length 4": "min_length must be at most max_length, got 4 and 3",
    "--width 0": "width must be at least 1, got 0",
    "--batch 0": "batch must be at least 1, got 0",
    "--evaluated -1": "evaluated must be at least 1, got -1",
    "--grow colour": "grow must be one of |got 'colour'",
    "--solved-at nan": "solved_at must be at least 0, got nan",
    "--minutes 0": "minutes must be above 0, got 0.0",
    "--memory-size 10000000": "must fit into the |GiB of this machine",
    "--engine warp": "engine must be one of",
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_be_used(case: str) -> None:
    refused(*words("run", *case.split()), expect=SETTINGS[case])


def test_more_pairs_than_keys_are_refused() -> None:
    refused("train", "key-value", "--width", 4, "--out", "run", expect="max_pairs must be at most 4|got 16")


REQUESTS = {
    "eval run --set max_length": "--set must be NAME=VALUE with a name of width, |got 'max_length'",
    "eval run --set colour=3": "--set must be NAME=VALUE|got 'colour=3'",
    "eval run --set max_length=long": "max_length must be a whole number, got 'long'",
    "eval run --set end_marker=2": "end_marker must be yes or no, got '2'",
    "eval run --set max_length=0": "max_length must be at least 1, got 0",
    "eval run --set width=3": "the task must have the model's 4 inputs and 2 outputs, got 5 and 3",
    "eval run --set end_marker=yes": "the task must have the model's 4 inputs and 2 outputs, got 4 and 3",
    "eval run --sequences 0": "sequences must be at least 1, got 0",
    "eval run --memory-size 0": "memory_size must be a whole number of at least 1, got 0",
    "eval run --memory-size 10000000": "must fit into the |GiB of this machine",
    "eval run --show --json": "--show must be given without --json, got both",
    "eval run --corpus text.txt": "--corpus must be given for a run of a text or molecules, got one of copy",
    "eval run --plot picture.doc": "a plot must be named .png, .pdf or .svg, got picture.doc",
    "resume run --steps 20 --corpus text.txt": "--corpus must be given for a run of a text or molecules, got",
    "sample run": "sample must be given a run of a text or molecules, got one of copy. |eval DIR --show",
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_cannot_be_met(case: str) -> None:
    train()
    refused(*case.split(), expect=REQUESTS[case])


def test_a_memory_size_is_for_a_dnc_whose_start_does_not_depend_on_it() -> None:
    train("-m", "lstm")
    refused(
        "eval",
        "run",
        "-N",
        5,
        expect="--memory-size must be given for a model with a memory, got a run of a lstm",
    )
    refused(*("eval", "run", "--sparsity", 2), expect="--sparsity must be given for a model with a memory")
    shutil.rmtree("run")
    train("--learned-state")
    refused(
        "eval", "run", "-N", 5, expect="--memory-size must be 4 for a dnc that has learned its initial memory"
    )
    assert evaluation("-N", 4) == evaluation()


def test_a_trained_model_can_be_run_with_a_sparse_memory() -> None:
    train()
    dense, spec = evaluation(), numdnc.load_run("run").spec
    all_kept, one = evaluation("--sparsity", 4), evaluation("--sparsity", 1)
    assert all_kept["loss"] == pytest.approx(dense["loss"], rel=1e-6)  # of 4 slots: nothing is cut
    assert one["loss"] != pytest.approx(dense["loss"], rel=1e-6)
    assert numdnc.load_run("run", sparsity=3).spec == dataclasses.replace(spec, sparsity=3)
    changed = numdnc.load_run("run", memory_size=9, sparsity=5).spec
    assert changed == dataclasses.replace(spec, memory_size=9, sparsity=5)
    refused("eval", "run", "--sparsity", 5, expect="sparsity must be |4")
    shutil.rmtree("run")
    train("-m", "ntm")
    refused("eval", "run", "--sparsity", 2, expect="--sparsity must be given for a dnc, got a run of a ntm")


def test_training_can_begin_with_a_trained_model() -> None:
    train()
    still = ("--learning-rate", 1e-30, "--start-from", "run")
    said = done(*words("same", *still))
    assert "begins with all parameters of run, copy at iteration " in said
    assert "its optimizer, learning rate, level and place in the data are not taken\n" in said
    assert "the model here has" not in said
    old, new = (load_run(Path(name)) for name in ("run/best.safetensors", "same/best.safetensors"))
    for (name, one), (_, other) in zip(named_leaves(old.params), named_leaves(new.params), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert (new.training.start_from, new.seconds > 0) == ("run", True)
    done(*words("far", "--learning-rate", 1e-30, "--start-from", Path("run").absolute()))
    assert load_run(Path("far/best.safetensors")).training.start_from == "run"
    said = done(*words("sparse", *still, "-N", 6, "--sparsity", 2))
    assert "the model here has memory_size 6, there 4; sparsity 2, there None\n" in said
    sparse = load_run(Path("sparse/best.safetensors")).spec
    assert sparse == dataclasses.replace(old.spec, memory_size=6, sparsity=2)
    done("resume", "sparse", "--steps", 13, "--sample-every", 0)
    said = done(*words("deep", *still, "--layers", 3))
    assert "the model here has hidden_sizes (5, 5, 5), there (5,)\n" in said
    deep = json.loads(done("eval", "deep", "--json"))
    assert deep["loss"] == pytest.approx(evaluation()["loss"], rel=1e-5)
    done(*words("forward", "--controller", "feedforward"))
    said = done(*words("recurrent", *still[:2], "--start-from", "forward", "--controller", "rnn"))
    assert "the model here has controller rnn, there feedforward\n" in said
    recurrent, before = (json.loads(done("eval", name, "--json")) for name in ("recurrent", "forward"))
    assert recurrent["loss"] == pytest.approx(before["loss"], rel=1e-5)
    done(*words("learned", "--learned-state"))
    done(*words("both", "--bidirectional"))
    refused(
        *words("deeper", "--bidirectional", "--layers", 2, "--start-from", "both"),
        expect="layers must be those of the trained model where there are two directions, 1, got 2",
    )
    for more, expect in (
        (("--layers", 2, "--start-from", "learned"), "initial.controller.0.hidden is "),
        (("--hidden", 6), "start_from must be a run of a model of the same sizes|numdnc info run"),
        (("--hidden", 6, "--layers", 2), "start_from must be a run of a model of the same sizes"),
        (("--layers", 1, "--start-from", "deep"), "interface.weights is 15 x 20 in deep and 5 x 20 here"),
        (("--layers", 2, "--masking"), "interface.weights is 5 x 20 in run and 10 x 26 here"),
        (("--layers", 2, "--learned-state"), "initial.controller.0.hidden is missing in run and "),
        (("--masking",), "interface.weights is 5 x 20 in run and 5 x 26 here"),
        (("--controller", "feedforward"), "start_from must be a run of a "),
        (("--start-from", "nowhere"), "nowhere must be the folder of a run"),
    ):
        refused(*words("other", *still, *more), expect=expect)


def test_eval_of_a_text_refuses_what_is_for_sequences(place: Path) -> None:
    (place / "text.txt").write_text(TEXT)
    train_text("run", model="dnc")
    for option in (("--set", "a=1"), ("--sequences", 3), ("--show",), ("--plot", "a.png")):
        refused("eval", "run", *option, expect=f"{option[0]}|must be given for a run of ")
    assert "BPC" in done("eval", "run", "--memory-size", 9)


FOREIGN = {
    "another name": ({"name": "juggle"}, "juggle"),
    "another setting": ({"settings": {"colour": 3}}, "colour"),
    "no settings": ({"settings": None}, "settings: Expected object, got null"),
    "another setting of sequences": ({"episode_settings": {"colour": 3}}, "colour"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_checkpoint_of_a_task_that_is_not_known(case: str) -> None:
    train()
    change, expect = FOREIGN[case]
    for name in ("last", "best"):
        rewrite(Path(f"run/{name}.safetensors"), lambda _, metadata: metadata["task"].update(change))
    for command in (("resume", "run", "--steps", 20), ("eval", "run")):
        refused(*command, expect=f"the run must be one of a task as this version knows it|{expect}")


def test_a_task_that_is_no_object() -> None:
    train()
    rewrite(Path("run/last.safetensors"), lambda _, metadata: metadata.update(task="copy"))
    refused("resume", "run", "--steps", 20, expect="must hold a run of a model that this version knows")


def test_what_a_checkpoint_says_is_what_was_trained() -> None:
    train(*CURRICULUM.split(), "--seed", 5)
    saved = load_checkpoint(Path("run/last.safetensors"))[1]
    task = saved["task"]
    assert (task["name"], task["kind"], task["source"]) == ("copy", "episodes", None)
    assert task["episode_settings"]["grow"] == "max_length"
    assert saved["position"]["level"] == 3
    assert TrainingSettings(**saved["training"]).seed == 5
    assert SequenceTask.unit == "nats"
