"""`train babi`, and what resume, eval, ask, trace, view, diagnose and sample do with its runs."""

import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.babi_stories import FOLDER, TITLES, files, save_archive, save_folder
from helpers.commands import call, contents, done, interrupted_after, metrics, refused, rewrite
from numdnc import UserError
from numdnc.inspection.trace_file import load_trace
from numdnc.runs.kinds import load_run
from numdnc.tasks import Batch
from numdnc.tasks.babi import Vocabulary
from numdnc.tasks.babi.asking import story_with_answers
from numdnc.tasks.sequences import pad_and_concat, sequence_lengths
from numdnc.training.folder import RunFolder
from numdnc.training.run import forward_with

TINY = "--hidden 5 -N 4 -W 3 -R 1 --batch 4 --evaluated 3 --validation 0.2"
STORY = "Ann ran to the porch. Where is Ann? How does one go there?"
LINE = re.compile(
    r" *\d+\.\d s, iter +(\d+), loss +(\S+), held-out +(\S+), mean error +(\d+\.\d\d) %, (\d) of 3 tasks failed, +"
    r"\d+ answers/s, \d+:\d\d left"
)


def words(out: object, *more: object) -> tuple[object, ...]:
    return ("train", "babi", *TINY.split(), "--steps", 26, "--report-every", 4, "--out", out, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and a run on it, to be copied."""
    folder = tmp_path_factory.mktemp("babi")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_archive(folder / f"{FOLDER}.tar.gz", files())
        done(*words("run", "--sample-every", 0, "--data", f"{FOLDER}.tar.gz"))
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMDNC_DATA", str(tmp_path))
    archive = str((tmp_path / f"{FOLDER}.tar.gz").resolve())
    for name in ("last", "best"):
        rewrite(Path("run", f"{name}.safetensors"), lambda _, metadata: metadata["task"].update(data=archive))
    return tmp_path


def test_train() -> None:
    first, *lines = done(*words("other", "--sample-every", 2)).splitlines()
    assert first.startswith("dnc with ")
    assert "; 3 tasks of en-10k, " in first
    assert " 72 stories to train on, 18 to validate, 15 to test; 18 updates an epoch, " in first
    stored = metrics(Path("other"))
    progress = [match for match in map(LINE.fullmatch, lines) if match]
    assert [int(match[1]) for match in progress] == [4, 8, 12, 16, 20, 24, 26]
    for match, record in zip(progress, stored, strict=True):
        assert int(match[1]) == record["iteration"]
        assert match[2] == f"{record['train']:.4f}"
        assert match[3] == f"{record['loss']:.4f}"
        assert match[4] == f"{100 * record['mean_error']:.2f}" == f"{100 * record['held_out']:.2f}"
        assert match[5] == f"{record['failed']:.0f}"
        assert record["mean_error"] == pytest.approx(np.mean([record[f"error_{task}"] for task in TITLES]))
    best = min(stored, key=lambda record: record["mean_error"])
    assert (
        f"best held-out mean error {100 * best['mean_error']:.2f} % at iteration {best['iteration']};"
        in "\n".join(lines)
    )
    shown = [line for line in lines if re.search(r"\? .+ \(\d+ %(, right: \w+)?\)", line)]
    assert len(shown) >= 4
    assert any(line.strip().startswith("numdnc ask other ") or "ask other" in line for line in lines)


def test_resume_goes_on_bit_for_bit_in_the_middle_of_an_epoch() -> None:
    for stop in (3, 8, 18, 21):
        name = f"stopped-{stop}"
        with interrupted_after(stop):
            assert call(*words(name, "--sample-every", 0)).code == 130
        assert f"resuming {name} at iteration {stop}" in done("resume", name, "--sample-every", 0)
        assert wherever_the_data_lie(name) == wherever_the_data_lie("run")


def wherever_the_data_lie(folder: str) -> dict[str, Any]:
    """All that a run is, but for where its data are said to be."""
    found = contents(Path(folder))
    for name in ("last task", "best task"):
        found[name] = {**found[name], "data": None}
    return found


def test_an_archive_and_a_folder_give_the_same_run(place: Path) -> None:
    save_folder(place / "elsewhere", files())
    done(*words("other", "--sample-every", 0, "--data", "elsewhere"))
    assert wherever_the_data_lie("run") == wherever_the_data_lie("other")
    assert contents(Path("other"))["last task"]["data"] == "tasks_1-20_v1-2"
    done("eval", "other", "--json")


def test_eval_scores_the_test() -> None:
    found = json.loads(done("eval", "run", "--json"))
    run = RunFolder(Path("run")).load_best()
    task = load_run("run").task
    scores = task.score(forward_with(run.engine, run.spec, run.params), whole=True)
    assert found == {"task": "babi", "iteration": run.iteration, "stories": 15, **scores}
    table = done("eval", "run").splitlines()
    for number, title in TITLES.items():
        (row,) = [line for line in table if line.startswith(f"{number:2} {title.replace('-', ' ')}")]
        error = found[f"error_{number}"]
        assert row.split()[-1 - (error > 0.05)] == f"{100 * error:.2f}"
        assert row.endswith("failed") == (error > 0.05)
    assert table[-1] == (
        f"mean error {100 * found['mean_error']:.2f} %, {found['failed']:.0f} of 3 tasks failed (above 5 %), "
        f"loss {found['loss']:.4f}; 15 stories of the test (iteration {run.iteration})"
    )
    lesioned = json.loads(done("eval", "run", "--json", "--no-reads", "--last"))
    assert lesioned["iteration"] == 26
    assert lesioned["without_reads"]["loss"] != lesioned["loss"]
    assert "with every read vector zeroed" in done("eval", "run", "--no-reads")


def test_a_story_is_shown_with_answers() -> None:
    told = "ann ran . where is ann ? _ - - bob ran where - ? -"
    vocabulary = Vocabulary(sorted({*told.split(), "home"} - {"_", "-"}))
    symbols = list(vocabulary.symbols)
    read = [symbols.index(word) for word in told.split()]
    batch = Batch(
        np.array(read)[:, None], np.full((16, 1), symbols.index("home")), mask=np.array(read)[:, None] == 1
    )
    outputs = np.zeros((16, 1, len(symbols)))
    for t, word in ((8, "home"), (9, "bob"), (13, "home"), (15, "ran")):
        outputs[t, 0, symbols.index(word)] = 9
    assert story_with_answers(batch, outputs, vocabulary).splitlines() == [
        "ann ran .",
        "where is ann ? home (100 %) bob (100 %, right: home)",
        "bob ran where home (100 %) ? ran (100 %, right: home)",
    ]


def answers(*more: object) -> Any:
    return json.loads(done("ask", "run", *more, "--json"))


def test_ask() -> None:
    run = RunFolder(Path("run")).load_best()
    forward = forward_with(run.engine, run.spec, run.params)
    symbols = ["_", "-", *run.task["words"]]
    read = "ann ran to the porch . where is ann ? - how does one go there ? -"
    outputs, _ = forward(np.array([[symbols.index(word)] for word in read.split()]), None)
    found = answers(STORY, "--shown", len(symbols))
    assert [entry["question"] for entry in found] == ["where is ann ?", "how does one go there ?"]
    for entry, t in zip(found, (10, 17), strict=True):
        (likely,) = entry["answer"]
        y = outputs[t, 0].astype(float)
        expected = np.exp(y) / np.exp(y).sum()
        assert [likely[word] for word in symbols] == pytest.approx(expected.tolist(), rel=1e-4)
        assert list(likely.values()) == sorted(likely.values(), reverse=True)
    text = done("ask", "run", STORY, "--words", 2)
    assert re.fullmatch(
        r"where is ann \?\n(   \S+ \d+\.\d %(, \S+ \d+\.\d %){3}\n){2}how does one go there \?\n(   .+\n){2}",
        text,
    )
    assert [len(entry["answer"]) for entry in answers(STORY, "--words", 3)] == [3, 3]
    first = next(iter(found[0]["answer"][0].items()))
    assert done("ask", "run", STORY).splitlines()[1].startswith(f"   {first[0]} {100 * first[1]:.1f} %, ")
    assert answers(STORY, "-N", 9) != answers(STORY)


def test_ask_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(STORY.encode())))
    assert done("ask", "run") == done("ask", "run", STORY)


def test_standard_input_that_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expect in (
        (b"where is \xff?", "standard input must hold a question, got byte 0xff, which is not UTF-8"),
        (
            b"a" * ((1 << 20) + 1),
            "standard input must hold a question, got none: it has more than 1,048,576 bytes",
        ),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        refused("ask", "run", expect=expect)
    monkeypatch.setattr(sys, "stdin", None)
    refused("ask", "run", expect="standard input must hold a question, got none: it is closed")


def test_ask_needs_no_data(place: Path) -> None:
    (place / f"{FOLDER}.tar.gz").unlink()
    assert len(answers(STORY)) == 2
    assert "no targets" in done("trace", "run", "--input", STORY)


def test_trace_view_diagnose(place: Path) -> None:
    out = done("trace", "run", "--sample", 2)
    task = load_run("run").task
    story = task.evaluated[2]
    assert f"babi, story 2 of those scored on, of task {story.task}: {story.steps} steps, " in out
    trace = load_trace(place / "run" / "trace.safetensors")
    assert trace.about.input_channels == trace.about.output_channels == task.vocabulary.symbols
    np.testing.assert_array_equal(trace.arrays["inputs"], story.batch.inputs[:, 0])
    np.testing.assert_array_equal(trace.arrays["targets"], story.batch.targets[:, 0])
    done("view", "run", "--no-open")
    page = (place / "run" / "trace.html").read_text(encoding="utf-8")
    assert '"cellar"' in page
    found = done("diagnose", "run")
    assert found.splitlines()[2].split() == ["mean_error", "loss", "failed"]
    assert "error_8" not in found
    assert "the loss" in found
    scores = json.loads(done("diagnose", "run", "--json"))["scores"]
    assert {f"error_{number}" for number in TITLES} <= set(scores["whole"])


def test_data_that_has_moved_or_changed(place: Path) -> None:
    archive = place / f"{FOLDER}.tar.gz"
    moved = archive.rename(place / "moved.tar.gz")
    for command in ("eval", "resume", "diagnose", "trace"):
        more = ("--steps", 30) if command == "resume" else ()
        refused(command, "run", *more, expect="must be on disk as|say with --data where it lies now")
    done("eval", "run", "--data", moved)
    done("resume", "run", "--steps", 30, "--data", moved, "--sample-every", 0)
    changed = save_archive(place / "changed.tar.gz", files(seed=1))
    refused(
        "eval",
        "run",
        "--data",
        changed,
        expect="must be those the run was started with|Give the old ones with --data",
    )


def test_a_run_on_changed_stories_says_so_in_every_result() -> None:
    options = ("--augment-16", "--drop-duplicates", "--loss", "binary_cross_entropy", "--sample-every", 0)
    changes = "consecutive duplicate lines dropped, training stories of task 16 augmented"
    first, *lines = done(*words("other", *options)).splitlines()
    assert first.endswith(f"of their steps padding ({changes})")
    assert any(line.startswith("mean error") and line.endswith(f"({changes})") for line in lines)
    assert f"({changes}); 15 stories of the test" in done("eval", "other")
    assert json.loads(done("eval", "other", "--json"))["changes"] == changes


def test_a_model_of_two_directions() -> None:
    """Trained, scored, asked and looked into; a story's answers are the same alone and beside longer ones."""
    done(*words("both", "--bidirectional", "--engine", "reference", "--sample-every", 0))
    found = json.loads(done("eval", "both", "--json"))
    opened = load_run("both", engine="reference")
    whole = opened.task.score(opened.forward, whole=True)
    assert found["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    stories = [story.batch for story in opened.task.test]
    padded = pad_and_concat(stories)
    lengths = sequence_lengths(padded)
    outputs, _ = opened.forward(padded.inputs, None, lengths)
    for row, story in enumerate(stories):
        alone, _ = opened.forward(story.inputs, None)
        np.testing.assert_allclose(outputs[: lengths[row], row], alone[:, 0], rtol=2e-4, atol=1e-6)
    assert len(set(lengths.tolist())) > 2
    (first, _) = json.loads(done("ask", "both", STORY, "--json"))
    assert first["question"] == "where is ann ?"
    done("trace", "both", "-o", "both.safetensors")
    trace = load_trace(Path("both.safetensors"))
    story = opened.task.evaluated[0].batch
    np.testing.assert_allclose(
        trace.arrays["outputs"], opened.forward(story.inputs, None)[0][:, 0], rtol=1e-4, atol=1e-6
    )
    assert (trace.arrays["hidden"].shape[1], trace.arrays["cell"].shape[1]) == (10, 5)
    diagnosed = json.loads(done("diagnose", "both", "--json"))
    assert "second direction" in diagnosed["scores"]
    assert "reverse_controller.0.weights" in done("info", "both")
    with pytest.raises(UserError, match="must be given whole sequences, got a part of one"):
        opened.forward(story.inputs, opened.forward(story.inputs, None)[1])


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("text", "a text is read window by window"),
        ("shortest-path", "its inputs depend on the model's outputs"),
    ],
)
def test_what_is_read_in_parts_refuses_two_directions(task: str, why: str) -> None:
    refused(
        "train",
        task,
        "--controller",
        "lstm",
        "--bidirectional",
        expect=f"bidirectional must be left out with the task {task}, got it: {why}",
    )


def test_early_stop() -> None:
    out = done(*words("other", "--early-stop", 2, "--learning-rate", 1e-30, "--sample-every", 0))
    assert "stopped after 2 reports without a better mean error at iteration 12; best held-out" in out
    assert "resume other --steps 26" in out
    refused(*words("third", "--early-stop", -1), expect="early_stop must be at least 0, got -1")


def test_some_tasks_only() -> None:
    out = done(*words("part", "--sample-every", 0, "--only", "19,8"))
    assert "; 2 tasks of en-10k, " in out
    found = json.loads(done("eval", "part", "--json"))
    assert [name for name in found if name.startswith("error_")] == ["error_8", "error_19"]
    refused("ask", "part", "Where is Ann?", expect="got others: 'where', 'is', 'ann'|Similar")


def test_learns_to_answer() -> None:
    """Where somebody is, said in the sentence before: solved, and what it answers is right."""
    told = {
        part: "".join(
            f"1 {who} ran to the {where}.\n2 Where is {who}?\t{where}\t1\n"
            for who in ("Ann", "Bob", "Cleo", "Dan", "Eve")
            for where in ("attic", "cellar", "porch", "garden")
        )
        for part in ("train", "test")
    }
    save_folder(Path("easy"), {f"{FOLDER}/en-10k/qa1_easy_{part}.txt": text for part, text in told.items()})
    options = "--model lstm --hidden 16 --learning-rate 1e-2 --steps 1500 --report-every 50 --sample-every 0 --batch 8"
    out = done("train", "babi", "--data", "easy", *options.split(), "--out", "solved")
    assert "solved at iteration" in out
    for where in ("cellar", "porch"):
        (found,) = json.loads(done("ask", "solved", f"Dan ran to the {where}. Where is Dan?", "--json"))
        assert next(iter(found["answer"][0])) == where


@pytest.mark.parametrize(
    ("command", "expect"),
    [
        (("ask", "run", "Ann ran to the porch."), "a story must ask something"),
        (("ask", "run", ""), "a story must ask something"),
        (
            ("ask", "run", "Zoe ran to the atic. Where is Ann?"),
            "got others: 'zoe', 'atic'|Similar|attic",
        ),
        (("ask", "run", "Where is Ann?", "--words", 0), "words must be at least 1, got 0"),
        (("ask", "run", "Where is Ann?", "--shown", 0), "shown must be at least 1, got 0"),
        (("ask", "run", "Where is Ann?", "-N", 99999999), "must fit into"),
        (("ask", "nowhere", "Where is Ann?"), "must be the folder of a run"),
        (("sample", "run"), "must be given a run of a text or molecules, got one of babi|ask DIR"),
        (
            ("eval", "run", "--set", "batch=3"),
            "--set must be given for a run of separate sequences, |got one of babi",
        ),
        (("eval", "run", "--show"), "--show or --plot must be given for a run of separate sequences"),
        (
            ("eval", "run", "--corpus", "x"),
            "--corpus must be given for a run of a text or molecules, got one of babi",
        ),
        (("trace", "run", "--sample", 99), "the story must be one of 0.."),
        (("trace", "run", "--length", 9), "--length must be given for a run of a text"),
        (("trace", "run", "--input", "Where is Zoe?"), "got others: 'zoe'"),
        (("train", "babi", "--only", "1,2"), "must hold en-10k/qa2_.._train.txt"),
        (("train", "babi", "--only", "a"), "only must be numbers of tasks"),
        (("train", "babi", "--subset", "hn"), "must hold a folder hn"),
        (("train", "babi", "--data", "nowhere"), "must be on disk as"),
        (("train", "babi", "--batch", "0"), "batch must be at least 1"),
        (("train", "babi", "--out", "run"), "must not hold a run yet"),
        (("train", "babi", "--memory-size", "99999999"), "must fit into"),
    ],
)
def test_what_users_get_wrong(command: tuple[object, ...], expect: str) -> None:
    refused(*command, expect=expect)


def test_runs_of_other_kinds_or_versions() -> None:
    done(
        "train",
        "copy",
        "--hidden",
        4,
        "-N",
        4,
        "-W",
        3,
        "--max-length",
        2,
        "--steps",
        2,
        "--evaluated",
        4,
        "--out",
        "bits",
    )
    refused(
        "ask",
        "bits",
        "Where is Ann?",
        expect="ask must be given a run of a graph task, arithmetic or a language, bAbI, catbAbI, |, got one of copy",
    )
    for change in (
        lambda task: task.pop("words"),
        lambda task: task["words"].pop(),
        lambda task: task.update(data=3),
        lambda task: task["settings"].update(new=1),
    ):
        shutil.copytree("run", "strange", dirs_exist_ok=True)
        rewrite(
            Path("strange/best.safetensors"), lambda arrays, metadata, change=change: change(metadata["task"])
        )
        refused("ask", "strange", "Where is Ann?", expect="must be one of bAbI as this version knows it")
