"""`numdnc reproduce`: what is trained and scored, what is written, how it goes on."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from helpers.commands import COPY, EVAL_STAND_IN, STAND_IN, call, done, on_disk, refused
from numdnc.recipes import recipe, scoring
from numdnc.recipes.results import markdown, read_result
from numdnc.training import sweep as sweeps
from numdnc.training.checkpoint import load_run

RECIPE = """
summary = "Learn what a stand-in learns."
source = "A paper"
seeds = 2
note = "Nothing is computed."
train = '''
{what}
    --steps 20
'''

[[figures]]
name = "as trained"
eval = "--sequences 7"
score = "sequence_error"
unit = "% right"
published = 95.0
published_sd = 1.5
source = "Another paper"

[[figures]]
name = "score"
eval = "--graph map.csv"
score = "held_out_bpc"
unit = "BPC"
"""


CHAIN = '[[models]]\nname = "A"\n[[models]]\nname = "B"\ntrain = "--start-from {runs}/A/seed={seed}"\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Recipes `easy`, `halts` and so on, run by a program that learns nothing."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recipes"
    folder.mkdir()
    for what in ("easy", "halts", "bad", "patient"):
        (folder / f"{what}.toml").write_text(RECIPE.format(what=what))
    monkeypatch.setattr(recipe, "FOLDER", folder)
    with (
        mock.patch.object(sweeps, "PROGRAM", STAND_IN),
        mock.patch.object(scoring, "PROGRAM", EVAL_STAND_IN),
        mock.patch("numdnc.cli.sweep.check_settings", lambda *_: None),
    ):
        yield tmp_path


def journal(word: str) -> list[str]:
    lines = Path("journal.txt").read_text().splitlines() if Path("journal.txt").exists() else []
    return [line.removeprefix(f"{word} ") for line in lines if line.split()[0] == word]


def test_every_seed_is_trained_and_scored_and_the_table_is_written() -> None:
    out = done("reproduce", "easy", "--jobs", 2)
    home = Path("runs/reproduce/easy")
    assert sorted(journal("begin")) == [
        f"1 train easy --steps 20 --seed {seed} --out {home}/seed={seed}" for seed in (0, 1)
    ]
    assert sorted(journal("eval")) == sorted(
        f"{home}/seed={seed} {options} --json"
        for seed in (0, 1)
        for options in ("--sequences 7", "--graph map.csv")
    )
    lines = out.splitlines()
    assert lines[-7].split("  ")[0] == "figure"
    assert lines[-6].split() == ["as", "trained,", "%", "right", "85.0", "(7.1)", "95.0", "(1.5)"]
    assert lines[-5].split() == ["score,", "BPC", "1.500", "(0.707)", "-"]
    assert lines[-3] == "2 of 2 runs have ended; 2 solved after 10 (0) updates; 1 min a run on one core"
    assert lines[-2] == f"written to {home}/results.json and {home}/results.md"
    found = read_result(home / "results.json")
    assert found.finished
    assert [model.name for model in found.models] == [""]
    model = found.models[0]
    assert model.train == "easy --steps 20"
    assert [run.state for run in model.runs] == ["solved", "solved"]
    first, second = model.figures
    assert (first.seeds, first.values) == ((0, 1), (90.0, 80.0))
    assert (first.mean, round(first.sd or 0, 4)) == (85.0, 7.0711)
    assert second.values == (1.0, 2.0)
    assert found.machine.processors >= 1
    assert {"numdnc", "Python", "numpy", "numba"} == found.machine.versions.keys()
    page = (home / "results.md").read_text()
    assert page == markdown(found)
    assert "| as trained, % right | 85.0 (7.1) | 95.0 (1.5) |" in page
    assert "Nothing is computed." in page
    assert "Published figures. as trained: Another paper." in page


def test_several_models_are_trained_and_scored_side_by_side() -> None:
    models = '[[models]]\nname = "A-1"\n[[models]]\nname = "B"\ntrain = "--hidden 3"\n'
    Path("recipes/two.toml").write_text(f"{RECIPE.format(what='easy')}\n{models}")
    out = done("reproduce", "two", "--jobs", 1)
    home = Path("runs/reproduce/two")
    assert journal("begin") == [
        f"1 train easy --steps 20{words} --seed {seed} --out {home}/{name}/seed={seed}"
        for name, words in (("A-1", ""), ("B", " --hidden 3"))
        for seed in (0, 1)
    ]
    assert len(journal("eval")) == 8
    found = read_result(home / "results.json")
    assert [(model.name, model.train) for model in found.models] == [
        ("A-1", "easy --steps 20"),
        ("B", "easy --steps 20 --hidden 3"),
    ]
    lines = out.splitlines()
    table = [re.split(r"  +", line.strip()) for line in lines[-8:-4]]
    assert table == [
        ["model", "as trained, % right", "score, BPC", "updates to solve", "a run on one core"],
        ["A-1", "85.0 (7.1)", "1.500 (0.707)", "10 (0)", "1 min"],
        ["B", "85.0 (7.1)", "1.500 (0.707)", "10 (0)", "1 min"],
        ["published", "95.0 (1.5)", "-"],
    ]
    assert lines[-3] == "4 of 4 runs have ended"
    assert lines[-1].endswith("view runs/reproduce/two/A-1/seed=0")
    page = (home / "results.md").read_text()
    assert "| B | 85.0 (7.1) | 1.500 (0.707) | 10 (0) | 1 min |" in page
    assert "    # trains: numdnc train easy --steps 20 ..\n    # A-1: ..\n    # B: .. --hidden 3\n" in page


def test_models_may_be_trained_on_tasks_of_their_own() -> None:
    models = '[[models]]\nname = "A"\ntrain = "easy --steps 20"\n[[models]]\nname = "B"\ntrain = "hard --steps 5"\n'
    recipe = RECIPE.format(what="").replace("--steps 20", "")
    Path("recipes/tasks.toml").write_text(f"{recipe}\n{models}")
    done("reproduce", "tasks", "--jobs", 1)
    page = Path("runs/reproduce/tasks/results.md").read_text()
    assert "    # trains: numdnc train ..\n    # A: .. easy --steps 20\n    # B: .. hard --steps 5\n" in page


def test_a_model_begins_with_the_run_of_an_earlier_one_of_the_same_seed() -> None:
    Path("recipes/chain.toml").write_text(f"{RECIPE.format(what='easy')}\n{CHAIN}")
    done("reproduce", "chain", "--jobs", 1, "--out", "here")
    assert journal("begin") == [
        *(f"1 train easy --steps 20 --seed {seed} --out here/A/seed={seed}" for seed in (0, 1)),
        *(
            f"1 train easy --steps 20 --start-from here/A/seed={seed} --seed {seed} --out here/B/seed={seed}"
            for seed in (0, 1)
        ),
    ]
    stored = read_result(Path("here/results.json")).models[1].train
    assert stored == "easy --steps 20 --start-from '{runs}/A/seed={seed}'", "no folder of this machine"
    done("reproduce", "chain", "--jobs", 1, "--out", "here")
    assert len(journal("begin")) == 4, "the folder holds runs of the same recipe"


def test_a_model_waits_for_the_runs_that_it_begins_with() -> None:
    Path("recipes/chain.toml").write_text(f"{RECIPE.format(what='halts')}\n{CHAIN}")
    out = done("reproduce", "chain", "--jobs", 1)
    assert "B\n2 runs to come\n" in out
    assert "B: seed 0 to come, seed 1 to come" in out
    assert not Path("runs/reproduce/chain/B").exists()
    out = done("reproduce", "chain", "--jobs", 1)
    assert "B\n2 of 2 runs to do, 1 at a time\n" in out
    done("reproduce", "chain", "--jobs", 1)
    assert read_result(Path("runs/reproduce/chain/results.json")).finished


def test_a_model_does_not_begin_with_a_run_that_failed() -> None:
    Path("recipes/chain.toml").write_text(f"{RECIPE.format(what='bad')}\n{CHAIN}")
    result = call("reproduce", "chain", "--jobs", 1)
    assert result.code == 1
    assert "B\n1 of 2 runs to do, 1 at a time; 1 to come\n" in result.out
    assert [line.split()[-1] for line in journal("begin")] == [
        f"runs/reproduce/chain/{run}" for run in ("A/seed=0", "A/seed=1", "B/seed=0")
    ]
    states = [
        (run.seed, run.state) for run in read_result(Path("runs/reproduce/chain/results.json")).models[1].runs
    ]
    assert states == [(0, "done"), (1, "to come")]


def test_a_folder_of_another_recipe_is_refused() -> None:
    models = '[[models]]\nname = "A"\n[[models]]\nname = "B"\n'
    Path("recipes/two.toml").write_text(f"{RECIPE.format(what='easy')}\n{models}")
    done("reproduce", "two", "--seeds", 1, "--out", "of-two")
    done("reproduce", "easy", "--seeds", 1, "--out", "of-easy")
    for there, other in (("two", "easy"), ("easy", "two")):
        for kept, what in (
            ("results.json", f"the results of {there}"),
            ("", "the runs of something else in of-"),
        ):
            if not kept:
                Path(f"of-{there}/results.json").unlink()
            refused(
                "reproduce",
                other,
                "--out",
                f"of-{there}",
                expect=f"must hold runs of {other} alone, got {what}",
            )
    done("reproduce", "two", "--out", "of-two")


def test_a_model_that_others_begin_with_need_not_be_scored() -> None:
    models = '[[models]]\nname = "A"\nscored = false\n[[models]]\nname = "B"\ntrain = "--hidden 3"\n'
    Path("recipes/chain.toml").write_text(f"{RECIPE.format(what='easy')}\n{models}")
    out = done("reproduce", "chain", "--jobs", 1)
    assert out.splitlines()[-1].endswith("view runs/reproduce/chain/B/seed=0")
    page = Path("runs/reproduce/chain/results.md").read_text()
    assert "| A | - | - | 10 (0) | 1 min |" in page
    assert "| B | 85.0 (7.1) | 1.500 (0.707) | 10 (0) | 1 min |" in page
    assert "# as trained: numdnc eval RUN" in page
    found = json.loads(Path("runs/reproduce/chain/results.json").read_text())
    assert [len(model["figures"]) for model in found["models"]] == [0, 2]
    Path("recipes/chain.toml").write_text(
        f"{RECIPE.format(what='easy')}\n{models.splitlines()[0]}\nscored = false\n"
    )
    refused("reproduce", "chain", expect="models must have one that is scored")


def test_a_model_that_is_not_begun_gets_as_many_seeds_as_the_others() -> None:
    models = '[[models]]\nname = "A"\n[[models]]\nname = "B"\ntrain = "--hidden 3"\n'
    Path("recipes/two.toml").write_text(f'{RECIPE.format(what="easy")}\n[[models]]\nname = "A"\n')
    done("reproduce", "two", "--seeds", 1)
    Path("recipes/two.toml").write_text(f"{RECIPE.format(what='easy')}\n{models}")
    done("reproduce", "two")
    assert [line.split()[-1] for line in journal("begin")] == [
        f"runs/reproduce/two/{name}/seed=0" for name in ("A", "B")
    ]


def test_the_same_command_trains_nothing_again_and_adds_seeds() -> None:
    done("reproduce", "easy", "--seeds", 1)
    Path("journal.txt").unlink()
    before = on_disk(Path())
    assert done("reproduce", "easy").startswith("0 of 1 run to do\n")
    assert journal("begin") == []
    Path("journal.txt").unlink()
    assert on_disk(Path()) == before
    found = json.loads(done("reproduce", "easy", "--seeds", 2, "--json"))
    assert journal("begin") == ["1 train easy --steps 20 --seed 1 --out runs/reproduce/easy/seed=1"]
    assert [figure["values"] for figure in found["models"][0]["figures"]] == [[90.0, 80.0], [1.0, 2.0]]
    refused("reproduce", "easy", "--seeds", 1, expect="seeds must be at least 2|got 1")


def test_an_unfinished_result_says_so_and_goes_on() -> None:
    out = done("reproduce", "halts", "--seeds", 1, "--out", "here")
    assert "0 of 1 runs have ended; seed 0 begun, at update 1;" in out
    assert out.splitlines()[-1].endswith("reproduce halts --out here")
    assert "**Not finished**" in Path("here/results.md").read_text()
    out = done("reproduce", "halts", "--out", "here")
    assert journal("begin")[1:] == ["1 resume here/seed=0"]
    assert "1 of 1 runs have ended;" in out
    assert "**Not finished**" not in Path("here/results.md").read_text()


def test_minutes_stop_the_training_and_what_there_is_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 61.0 if len(journal("ready")) == 1 else 0.0)
    monkeypatch.setattr("numdnc.cli.sweep.time", clock)
    out = done("reproduce", "patient", "--minutes", 1, "--seeds", 1)
    assert journal("told") == ["1"]
    assert "0 of 1 runs have ended; seed 0 begun, at update 2;" in out
    assert "next:" in out
    assert len(journal("eval")) == 2


def test_failures_count_in_no_figure() -> None:
    result = call("reproduce", "bad", "--jobs", 2)
    assert result.code == 1
    assert "seed=1  FAILED, exit code 2: error: training must stay finite" in result.out
    found = read_result(Path("runs/reproduce/bad/results.json"))
    assert not found.finished
    assert [(run.seed, run.state) for run in found.models[0].runs] == [(0, "done"), (1, "failed")]
    assert [figure.seeds for figure in found.models[0].figures] == [(0,), (0,)]
    assert found.models[0].figures[0].sd is None
    assert "| as trained, % right | 90.0, 1 missing |" in markdown(found)


def test_what_cannot_be_scored_is_said() -> None:
    Path("no-map.txt").touch()
    result = call("reproduce", "easy", "--seeds", 1)
    assert result.code == 1
    assert "not scored: score: --graph must name a CSV file" in result.out
    found = read_result(Path("runs/reproduce/easy/results.json"))
    assert (found.finished, found.models[0].figures[1].mean) == (False, None)
    assert "Not scored: score: --graph must name" in Path("runs/reproduce/easy/results.md").read_text()
    Path("no-map.txt").unlink()
    done("reproduce", "easy")
    assert read_result(Path("runs/reproduce/easy/results.json")).finished


def test_runs_of_an_earlier_recipe_are_not_taken_for_those_of_this_one() -> None:
    done("reproduce", "easy", "--seeds", 1)
    text = RECIPE.format(what="easy").replace("--steps 20", "--steps 40")
    Path("recipes/easy.toml").write_text(text)
    refused(
        "reproduce", "easy", expect="must hold runs of the recipe as it is now, got some of `easy --steps 20`"
    )
    done("reproduce", "easy", "--seeds", 1, "--out", "other")


@pytest.mark.thorough
def test_a_recipe_from_training_to_a_model(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the program itself: train, score, export."""
    monkeypatch.undo()
    monkeypatch.chdir(place)
    monkeypatch.setattr(recipe, "FOLDER", place / "recipes")
    text = RECIPE.replace("{what}", f"{COPY} --engine reference --report-every 10").partition("\n[[figures]]")
    figures = RECIPE.split("[[figures]]")[1].replace("--sequences 7", "--sequences 7 --engine reference")
    (place / "recipes" / "small.toml").write_text(f"{text[0]}\n[[figures]]{figures}")
    program = (sys.executable, "-m", "numdnc")
    with mock.patch.object(sweeps, "PROGRAM", program), mock.patch.object(scoring, "PROGRAM", program):
        done("reproduce", "small")
    found = read_result(Path("runs/reproduce/small/results.json"))
    assert found.finished
    assert [run.iterations for run in found.models[0].runs] == [20, 20]
    assert all(0 <= value <= 100 for value in found.models[0].figures[0].values)
    done("export", "runs/reproduce/small/seed=1", "--to", "model", "--out", "small")
    about = load_run(Path("small/best.safetensors")).trained_model
    assert about is not None
    assert about.recipe == "small"


def test_results_of_something_else_are_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"recipe": 3}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(Exception, match="must hold the results of a recipe, got something else"):
            read_result(tmp_path / "r.json")
