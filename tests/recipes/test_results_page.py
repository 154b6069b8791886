"""docs/results.md shows what docs/results/*.json hold, and nothing else in the part that is made."""

import importlib.util
import json
import shutil
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest

from numdnc.errors import UserError
from numdnc.recipes import load_recipe, recipe_names
from numdnc.recipes.results import read_result, rows

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_script", ROOT / "benchmarks" / "results.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_updates_to_solve_say_of_how_many_runs() -> None:
    """Of the longest of three, of all of them, of none."""
    found = {row[0]: row[-2] for row in rows(read_result(RESULTS / "recall.json"))[1:]}
    assert (found["DNC"], found["NTM"]) == ("5,900, 1 of 3", "2,600 (707), 2 of 3")
    found = {row[0]: row[-2] for row in rows(read_result(RESULTS / "copy.json"))[1:]}
    assert (found["DNC"], found["LSTM"]) == ("317 (29)", "-")


def test_the_page_is_what_the_script_makes(script: ModuleType) -> None:
    """After a change of docs/results/ or of a recipe: make results."""
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text
    assert {file.stem for file in script.RESULTS.glob("*.json")} <= set(recipe_names())


@pytest.mark.parametrize("name", ["addition", "shrdlu"])
def test_what_was_trained_in_parts_is_compared_with_the_recipe(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    stored = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())
    assert any("--start-from" in model["train"] for model in stored["models"])
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    (tmp_path / f"{name}.json").write_text(json.dumps(stored))
    assert "has changed since" not in script.made()
    assert f"'runs/reproduce/{name}/" in script.made()
    for model in stored["models"]:
        for found in model["figures"]:
            found["figure"]["published"] = 1.0
    (tmp_path / f"{name}.json").write_text(json.dumps(stored))
    assert "has changed since" in script.made()


def test_a_figure_that_changes_is_noticed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ROOT / "docs" / "results" / "repeat-copy.json"
    stored = json.loads(file.read_text())
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    stored["models"][0]["figures"][0]["mean"] = 12.5
    (tmp_path / "results.json").write_text(json.dumps(stored))
    script.take(tmp_path)
    (tmp_path / "results.json").unlink()
    assert "12.5 (" in script.made()
    assert "has changed since" not in script.made()
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) != text
    stored["models"][0]["train"] += " --no-links"
    (tmp_path / "repeat-copy.json").write_text(json.dumps(stored))
    assert "The recipe has changed since" in script.made()
    stored["recipe"] = "another"
    (tmp_path / "repeat-copy.json").write_text(json.dumps(stored))
    assert "This recipe no longer exists." in script.made()
    with pytest.raises(UserError, match="must have the lines"):
        script.page("a page of another form")


def test_runs_of_other_seeds_stay(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 1 is trained on another machine than seeds 0 and 2, and measured anew later."""
    whole = read_result(RESULTS / "traversal.json")
    monkeypatch.setattr(script, "RESULTS", tmp_path)

    def take(
        seeds: tuple[int, ...], value: float, train: str = "", scored: tuple[int, ...] = (), error: str = ""
    ) -> None:
        stored = json.loads(whole.to_json())
        for model in stored["models"]:
            model["train"] += train
            for run in model["runs"]:
                run["iterations"] *= run["seed"] in seeds
            for found in model["figures"]:
                known = scored or seeds
                found.update(seeds=known, values=[value + seed for seed in known], mean=0.0, sd=None)
                found["errors"] = [error] if error else []
        (tmp_path / "results.json").write_text(json.dumps(stored))
        script.take(tmp_path)

    take((0, 2), 10.0)
    take((1,), 20.0)
    found = read_result(tmp_path / "traversal.json")
    (first, last) = found.models
    assert [bool(run.iterations) for run in (*first.runs, *last.runs)] == [True] * 6
    assert [run.seed for run in first.runs] == [0, 1, 2]
    for figure in last.figures:
        assert (figure.seeds, figure.values) == ((0, 1, 2), (10.0, 21.0, 12.0))
        assert (figure.mean, figure.sd) == (pytest.approx(43 / 3), pytest.approx(5.859465))
    take((1, 2), 30.0)
    assert read_result(tmp_path / "traversal.json").models[1].figures[0].values == (10.0, 31.0, 32.0)
    take((0,), 50.0, scored=(0, 1))  # run 1 was saved before its first update
    assert read_result(tmp_path / "traversal.json").models[1].figures[0].values == (50.0, 31.0, 32.0)
    take((0, 1, 2), 60.0, scored=(0, 1), error="run 2 is broken")
    take((1,), 70.0)
    found = read_result(tmp_path / "traversal.json")
    assert (found.errors[0], found.finished) == (
        "DNC: lesson 14, labels as in the paper: run 2 is broken",
        False,
    )
    take((2,), 80.0)
    found = read_result(tmp_path / "traversal.json")
    assert (found.errors, found.models[1].figures[0].values) == ([], (60.0, 71.0, 82.0))
    take((1,), 40.0, train=" --no-links")
    assert read_result(tmp_path / "traversal.json").models[1].figures[0].values == (41.0,)


def test_a_file_that_is_no_result_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path / "kept")
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "results.json")
    with pytest.raises(UserError, match="must hold the results of a recipe"):
        script.take(tmp_path)


@pytest.mark.parametrize("name", sorted(file.stem for file in RESULTS.glob("*.json")))
def test_the_hours_of_a_recipe_are_those_that_were_measured(name: str) -> None:
    """To within a half, since machines are shared: of models in turn the sum, of others the mean."""
    found, recipe = read_result(RESULTS / f"{name}.json"), load_recipe(name)
    means = [fmean(run.hours for run in model.runs) for model in found.models]
    measured = sum(means) if recipe.earlier else fmean(means)
    assert recipe.hours is not None, f"say hours = {measured:.2g}"
    assert measured / 1.5 < recipe.hours < measured * 1.5, f"say hours = {measured:.2g}"
