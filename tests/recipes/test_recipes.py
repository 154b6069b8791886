"""Every recipe is a training that can begin and figures that can be scored, on data of the right form."""

import dataclasses
import inspect
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from helpers.babi_stories import FOLDER, files, save_archive
from helpers.commands import TEXT, call, done, refused
from helpers.marks import thorough_but
from numdnc.cli.groups import find
from numdnc.cli.train import TRAIN
from numdnc.errors import UserError
from numdnc.recipes import load_recipe, recipe, recipe_names

ROOT = Path(__file__).parents[2]
TOO_SMALL = r"warning: a sequence can make it hold \d+ vectors at once, more than its \d+ slots$"
TRAININGS = [(name, model) for name in recipe_names() for model in load_recipe(name).trainings]
CORE = (("copy", "DNC"), ("text", ""), ("shortest-path", ""))
_GRAPHS = {"init_scheme": "store", "input_scale": 5}
_SHRDLU = {"evaluated": 160, "entropy": 0.3, "critic": "shared", "value_weight": 0.5}
_TRIALS = {key: value for key, value in _SHRDLU.items() if key != "evaluated"}
_MODULES = {"memory_size": 32, "read_heads": 1}
_INSTRUCTED = {
    "read_heads": 4,
    "input_scale": 6,
    "optimizer": "rmsprop",
    "learning_rate": 0.001,
    "schedule": "constant",
    "clip_norm": 10,
}
OF_THE_PRESET: dict[str, dict[str, Any]] = {
    "babi-adnc": {"clip_norm": 10},
    "babi-biadnc": {"clip_norm": 10},
    "catbabi": {"clip_norm": 10},
    "instructed-copy:instructions-16": {"hidden": 64, **_INSTRUCTED},
    "instructed-copy:DNC": _INSTRUCTED,
    "interfaces:copy": _MODULES,
    "interfaces:reverse": _MODULES,
    "interfaces:duplicated-input": _MODULES,
    "interfaces:forward-reverse": {"memory_width": 0, **_MODULES},
    "interfaces:repeat-copy": {"controller": "feedforward", "memory_size": 64, "init_scheme": "store"},
    "shrdlu:one-goal": {**_SHRDLU, "grow_from": 0, "slots_per_vector": 1.2},
    "shrdlu:look-up": _SHRDLU,
    "shrdlu:moves": _SHRDLU,
    "shrdlu:more-moves": {**_SHRDLU, "grow_from": 0},
    "shrdlu:DNC": _SHRDLU,
    "shrdlu-rewards:one-goal": {**_TRIALS, "grow_from": 0, "slots_per_vector": 1.2},
    "shrdlu-rewards:look-up": _TRIALS,
    "shrdlu-rewards:moves": _TRIALS,
    "shrdlu-rewards:more-moves": {**_TRIALS, "grow_from": 0},
    "shrdlu-rewards:DNC": _TRIALS,
    "shrdlu-lstm": {
        **_SHRDLU,
        **_GRAPHS,
        "controller": "feedforward",
        "memory_size": 8,
        "word_size": 32,
        "read_heads": 6,
        "masking": True,
        "normalisation": True,
        "slots_per_vector": 1.2,
    },
    # of lessons, which it has not:
    "underground": {"grow_from": 3, "pass_at": 0.2, "fall_at": 0.6, "easier": 0.2},
}
"""What the trainings of recipes take from their presets; a recipe that is trained anew should say all itself."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of the same form as what recipes need."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMDNC_DATA", str(tmp_path))
    Path("text.txt").write_text(TEXT)
    shutil.copytree(ROOT / "examples", "examples")
    save_archive(tmp_path / f"{FOLDER}.tar.gz", files())
    return tmp_path


def ready(words: tuple[str, ...]) -> list[str]:
    """Words of a recipe as `reproduce` gives them, on other data."""
    return [
        "text.txt" if word == "alice29" else word.replace("{runs}", "runs").replace("{seed}", "0")
        for word in words
    ]


def begin(words: tuple[str, ...], trainings: dict[str, tuple[str, ...]]) -> None:
    """Make the run that a training begins with, if it does with one of the recipe."""
    for word in words:
        if start := re.fullmatch(r"{runs}/(.+)/seed={seed}", word):
            begin(trainings[start[1]], trainings)
            out = f"runs/{start[1]}/seed=0"
            done("train", *ready(trainings[start[1]]), "--minutes", 1e-9, "--sample-every", 0, "--out", out)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("training", thorough_but(CORE, TRAININGS), ids=":".join)
def test_a_recipe_trains_and_its_figures_are_scored(training: tuple[str, str]) -> None:
    name, model = training
    found = load_recipe(name)
    trained = found.trainings[model]
    begin(trained, found.trainings)
    done("train", *ready(trained), "--minutes", 1e-9, "--sample-every", 0, "--out", "run")
    assert found.figures
    for figure in found.figures:
        options = re.sub(r"--sequences \d+", "--sequences 1", figure.eval)
        result = call("eval", "run", *options.split(), "--json", "--engine", "reference")
        assert result.code == 0, result.err
        warnings = result.err.splitlines()
        if "--slots-per-vector" in trained:  # the memory has not grown yet
            warnings = [line for line in warnings if not re.match(TOO_SMALL, line)]
        assert not warnings
        scores = json.loads(result.out)
        assert figure.in_unit(scores[figure.score]) >= 0
        assert (figure.published is None) == (figure.source == ""), "a published number has a source"


def unsaid(words: tuple[str, ...]) -> dict[str, Any]:
    """What the preset of a training sets and the words do not say."""
    _, found, options = find(TRAIN, words)
    said = {word.removeprefix("--").removeprefix("no-").replace("-", "_") for word in options}
    settings = [parameter.default for parameter in inspect.signature(found.function).parameters.values()]
    return {
        field.name: value
        for part in filter(dataclasses.is_dataclass, settings)
        for field in dataclasses.fields(part)
        if (value := getattr(part, field.name)) != field.default and field.name not in said
    }


@pytest.mark.parametrize("training", TRAININGS, ids=":".join)
def test_a_recipe_does_not_change_with_its_preset(training: tuple[str, str]) -> None:
    """A preset that changes leaves its recipes, and the results of theirs, as they are."""
    name, model = training
    words = load_recipe(name).trainings[model]
    assert unsaid(words) == OF_THE_PRESET.get(":".join(filter(None, training)), {})


def test_the_list_has_every_recipe_and_its_hours() -> None:
    out = done("reproduce", "--list")
    assert [line.split()[0] for line in out.splitlines()[::2]] == recipe_names()
    assert "3 seeds; a run on one core: 0.02 hours" in out
    listed = json.loads(done("reproduce", "--list", "--json"))
    assert listed["inference"]["train"] == {"": list(load_recipe("inference").trainings[""])}
    assert "\n                DNC, " in out


def test_a_figure_in_its_unit() -> None:
    whole = recipe.Figure(name="f", score="s", unit="% right")
    assert whole.in_unit(0.25) == 75
    assert recipe.Figure(name="f", score="s", unit="% wrong").in_unit(0.25) == 25
    assert recipe.Figure(name="f", score="s", unit="BPC").in_unit(2.5) == 2.5


def test_a_recipe_with_another_name_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    text = 'summary = "s"\nsource = "s"\nseeds = 1\ntrain = "copy"\n'
    figure = '[[figures]]\nname = "n"\nscore = "s"\nunit = "BPC"\n'
    for wrong in (
        f"{text}minuts = 3\n{figure}",
        f"{text}{figure}publishd = 3\n",
        f"{text}{figure}published = true\n",
        f'{text}{figure}[[models]]\nname = "../a"\n',
    ):
        (tmp_path / "mine.toml").write_text(wrong)
        with pytest.raises(UserError, match=r"minuts|publishd|published|\.\./a"):
            load_recipe("mine")


@pytest.mark.usefixtures("place")
def test_wrong_names_and_options_are_refused() -> None:
    refused("reproduce", expect="must be given a recipe, got none. `numdnc reproduce --list`")
    refused(
        "reproduce",
        "coppy",
        expect="a recipe must be one of addition, babi-adnc, |got 'coppy'. Perhaps copy is meant.",
    )
    refused("reproduce", "copy", "--list", expect="--list must be given without a recipe, got copy")
    refused("reproduce", "copy", "--minutes", 0, expect="minutes must be above 0")
    refused("reproduce", "copy", "--jobs", 0, expect="jobs must be at least 1")
    refused("reproduce", "text", expect="alice29 must be on disk|numdnc data fetch alice29")
