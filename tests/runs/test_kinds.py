"""Every kind of run, opened in Python: what it returns is what the commands print, and it prints nothing itself."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numdnc
from helpers.babi_stories import FOLDER, files, save_archive
from helpers.commands import TEXT, done, refused, rewrite
from helpers.marks import thorough_but
from numdnc.inspection.trace import Trace
from numdnc.runs.kinds import KINDS, kinds_with, open_run
from numdnc.runs.results import Diagnosis, Evaluation, StoryAnswers
from numdnc.runs.sequences import SequenceRun
from numdnc.tasks.babi.asking import StoryAnswer
from numdnc.training.folder import RunFolder

DOCS = Path(__file__).parents[2] / "docs" / "runs.md"
TUBE = """\
source,edge,destination
Bond Street,Central Line,Oxford Circus
Oxford Circus,Central Line,Tottenham Court Road
Tottenham Court Road,Victoria Line,Holborn
"""
SIZES = (
    "--hidden",
    5,
    "-N",
    64,
    "-W",
    4,
    "-R",
    1,
    "--steps",
    2,
    "--report-every",
    1,
    "--engine",
    "reference",
)
TRAIN: dict[str, tuple[Any, ...]] = {
    "text-lstm-1": ("text", "-c", "text.txt", "--batch", 4, "--window", 8, *SIZES, "-m", "lstm"),
    "copy-dnc-1": ("copy", "--batch", 2, "--evaluated", 5, "--max-length", 3, *SIZES),
    "traversal-dnc-1": ("traversal", "--lesson", 2, "--batch", 2, "--evaluated", 3, *SIZES),
    "language-dnc-1": ("language", "--prefixes", "--batch", 2, "--evaluated", 20, *SIZES),
    "interface-copy-dnc-1": (
        *("interface-copy", "--length", 2, "--batch", 2, "--evaluated", 3, "--critic-hidden", 2, "-m", "dnc"),
        *SIZES,
    ),
    "shrdlu-dnc-1": ("shrdlu", "--batch", 2, "--evaluated", 3, *SIZES),
    "babi-dnc-1": ("babi", "--batch", 4, "--evaluated", 3, "--validation", 0.2, *SIZES),
    "catbabi-dnc-1": ("catbabi", "--batch", 4, "--evaluated", 3, "--validation", 0.2, *SIZES),
    "molecules-dnc-1": ("molecules", "-c", "molecules.smi", "--batch", 4, "--max-tokens", 9, *SIZES),
    "arrays-dnc-1": ("arrays", "--inputs", "sequences.jsonl", "--batch", 4, *SIZES),
}
CLASSES = {
    "text-lstm-1": "TextRun",
    "copy-dnc-1": "SequenceRun",
    "traversal-dnc-1": "GraphRun",
    "language-dnc-1": "TypedRun",
    "interface-copy-dnc-1": "InterfaceRun",
    "shrdlu-dnc-1": "ShrdluRun",
    "babi-dnc-1": "BabiRun",
    "catbabi-dnc-1": "CatbabiRun",
    "molecules-dnc-1": "MoleculeRun",
    "arrays-dnc-1": "ArrayRun",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each kind, hardly trained."""
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("NUMDNC_DATA", str(folder))
        Path("text.txt").write_text(TEXT)
        lines = [f'{{"inputs": [{n % 3}, {n % 2}], "targets": [0, {n % 2}]}}\n' for n in range(20)]
        Path("sequences.jsonl").write_text("".join(lines))
        Path("molecules.smi").write_text("".join(f"{k * 'C'}O\n" for k in range(1, 9)))
        Path("london.csv").write_text(TUBE)
        save_archive(folder / f"{FOLDER}.tar.gz", files())
        for name, words in TRAIN.items():
            done("train", *words, "--out", f"runs/{name}")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMDNC_DATA", str(tmp_path))
    return tmp_path


def load(name: str, **options: Any) -> Any:
    return numdnc.load_run(Path("runs", name), engine="reference", **options)


def test_the_code_in_the_document_runs_as_it_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    story = "Mary went to the kitchen. Where is Mary?"
    text = DOCS.read_text(encoding="utf-8").replace(story, "Ann ran to the porch. Where is Ann?")
    blocks, names = re.findall(r"```python\n(.*?)```", text, re.DOTALL), dict[str, Any]()
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert capsys.readouterr().err == ""
    assert names["trace"].arrays["read_weights"].shape[1:] == (1, 64)
    assert names["outputs"].shape[1:] == (2, names["run"].spec.output_size)
    assert len(names["text"].sample(length=20)) == 20
    assert 0 <= next(iter(names["answers"][0].answer[0].values())) <= 1


@pytest.mark.parametrize("name", thorough_but(["text-lstm-1", "copy-dnc-1", "babi-dnc-1"], TRAIN))
def test_results_are_what_the_commands_print(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = load(name)
    assert type(run).__name__ == CLASSES[name]
    others = {
        "ReinventRun",
        "EnvironmentRun",
    }  # need consent to load code: test_molecules.py, test_environments.py
    assert {kind.__name__ for kind in KINDS} == set(CLASSES.values()) | others
    found, diagnosis, trace = run.evaluate(), run.diagnose(), run.trace()
    assert capsys.readouterr() == ("", "")
    assert isinstance(found, Evaluation)
    assert isinstance(diagnosis, Diagnosis)
    assert isinstance(trace, Trace)
    place, options = f"runs/{name}", ("--engine", "reference")
    assert str(found) == done("eval", place, *options).rstrip("\n")
    assert found.record() == json.loads(done("eval", place, "--json", *options))
    assert str(diagnosis) == done("diagnose", place, *options).rstrip("\n")
    assert (
        diagnosis.record()["findings"] == json.loads(done("diagnose", place, "--json", *options))["findings"]
    )
    assert {name: list(array.shape) for name, array in trace.arrays.items()} == json.loads(
        done("trace", place, "--json", *options)
    )["arrays"]


@pytest.mark.parametrize("name", TRAIN)
def test_a_run_has_its_model_and_its_task(name: str) -> None:
    run = load(name)
    assert run.spec == RunFolder(Path("runs", name)).load_best().spec
    assert (
        dict(numdnc.named_leaves(run.params)).keys()
        == dict(numdnc.named_leaves(run.checkpoint.params)).keys()
    )
    batch = run.task.example(2)
    outputs, state = run.forward(batch.inputs, None)
    assert outputs.shape == (*batch.inputs.shape[:2], run.spec.output_size)
    again, _ = run.forward(batch.inputs, state)
    assert np.isfinite(again).all()


@pytest.mark.parametrize("name", TRAIN)
def test_a_checkpoint_is_opened_like_its_folder(name: str) -> None:
    last = numdnc.load_run(f"runs/{name}/last.safetensors", engine="reference")
    assert last.checkpoint.iteration == load(name, last=True).checkpoint.iteration == 2
    assert last.evaluate().scores == load(name, last=True).evaluate().scores


@pytest.mark.parametrize("name", TRAIN)
def test_what_a_kind_does_not_have_is_refused(name: str) -> None:
    run = load(name)
    for method in ("ask", "sample", "stream"):
        if getattr(type(run), method) is getattr(numdnc.runs.TaskRun, method):
            with pytest.raises(numdnc.UserError, match=f"must be given a run of {kinds_with(method)}, got"):
                getattr(run, method)("Where?")


def test_options_of_other_kinds_are_refused() -> None:
    for name, options in (
        ("copy-dnc-1", {"corpus": "text.txt"}),
        ("copy-dnc-1", {"data_folder": "."}),
        ("babi-dnc-1", {"corpus": "text.txt"}),
        ("copy-dnc-1", {"custom_task": "a:B"}),
    ):
        with pytest.raises(numdnc.UserError, match="must be given for a run of"):
            load(name, **options)


def test_a_kind_of_a_later_version_is_refused() -> None:
    run = RunFolder(Path("runs/copy-dnc-1")).load_last()
    run.task["kind"] = "images"
    with pytest.raises(
        numdnc.UserError,
        match="must be one of text, episodes, arrays, babi, catbabi, molecules, reinvent, policy, shrdlu, got 'ima",
    ):
        open_run(run)


class Echo(SequenceRun):
    """A new kind."""

    kind, noun = "echo", "echoes"

    def ask(self, question: str, *, times: int = 1) -> StoryAnswers:
        return StoryAnswers([StoryAnswer(question * times, [])])


def test_a_new_kind_needs_no_change_of_any_command(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "runs/copy-dnc-1"
    for name in ("last", "best"):
        rewrite(Path(place, f"{name}.safetensors"), lambda _, metadata: metadata["task"].update(kind="echo"))
    refused(
        "eval",
        place,
        expect="must be one of text, episodes, arrays, babi, catbabi, molecules, reinvent, policy, shrdlu, got 'echo'",
    )
    monkeypatch.setattr("numdnc.runs.kinds.KINDS", (*KINDS, Echo))
    assert type(load("copy-dnc-1")) is Echo
    assert done("ask", place, "Who?") == "Who?\n"
    assert "loss" in done("eval", place, "--set", "max_length=2", "--show")
    assert "5 sequences" in done("eval", place)
    assert "findings to look at" in done("diagnose", place)
    assert "steps" in done("trace", place)
    assert "kB" in done("view", place, "--no-open") or Path(place, "trace.html").exists()
    refused("sample", place, expect="sample must be given a run of a text or molecules, got one of copy")
    refused(
        "ask", place, "Who?", "--words", 2, expect="--words must be given for a run of bAbI, got one of copy"
    )
    assert "done at iteration 3" in done("resume", place, "--steps", 3)


def test_other_settings_are_values_or_words() -> None:
    run = load("copy-dnc-1")
    typed, given = (run.evaluate(overrides={"max_length": length}) for length in ("5", 5))
    assert typed.record() == given.record() != run.evaluate().record()
    for overrides, message in (
        ({"colour": 1}, "--set must be NAME=VALUE"),
        ({"max_length": "long"}, "max_length must be a whole number"),
        ({"width": 9}, "must have the model's"),
    ):
        with pytest.raises(numdnc.UserError, match=message):
            run.evaluate(overrides=overrides)


def test_the_code_of_a_custom_task_must_be_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).parents[2] / "examples" / "parity.py"
    done("train", f"{example}:Parity", "--batch", 2, "--evaluated", 3, *SIZES, "--out", "runs/parity")
    assert load("parity").evaluate().record()["task"] == "parity.py:Parity"  # agreed to when it was trained
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another machine"))
    with pytest.raises(numdnc.UserError, match=r"name it: custom_task='parity\.py:Parity'"):
        load("parity")
    assert load("parity", custom_task=f"{example}:Parity").task.name == "parity.py:Parity"
