"""`reproduce`."""

import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.options import AsJson
from numdnc.cli.sweep import AGAIN, train_runs
from numdnc.cli.training import check_minutes
from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.formatting import format_table
from numdnc.machine import count_processors
from numdnc.recipes import Recipe, load_recipe, recipe_names
from numdnc.recipes.results import FILE, Machine, Result, markdown, read_result, rows, status
from numdnc.recipes.scoring import score_runs
from numdnc.training.sweep_folder import SweepFolder
from numdnc.training.sweep_plan import Sweep


def reproduce(
    name: Positional[str | None] = None,
    *,
    list_all: Annotated[bool, arg(name="list")] = False,
    seeds: int | None = None,
    minutes: float = math.inf,
    jobs: Annotated[int | None, arg(aliases=["-j"])] = None,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    as_json: AsJson = False,
) -> None:
    """Train a published experiment by its recipe and compare its figures with the published ones.

    The runs of a model, one for each seed, are a sweep; the same command continues those that are not done. A run that
    begins with the parameters of another waits until that one is done. At the end every run is scored, and the table of
    our figures beside the published ones is also written as JSON and Markdown.

    Args:
        name: A recipe, as --list shows them.
        list_all: Show all recipes, and how long a run of each takes.
        seeds: Number of runs of each model, with seeds 0, 1, .. (default: as the recipe says, or as many as there are).
        minutes: Stop training after this many minutes, score what there is, and go on by the same command.
        jobs: How many runs train at the same time (default: one for each core).
        out: Folder for the runs and the results (default: runs/reproduce/NAME).
        as_json: Print the result as one JSON object.

    """
    if list_all:
        if name is not None:
            raise UserError(f"--list must be given without a recipe, got {name}. Leave one out.")
        _list(as_json=as_json)
        return
    if name is None:
        raise UserError("reproduce must be given a recipe, got none. `numdnc reproduce --list` shows them.")
    recipe = load_recipe(name)
    check_minutes(minutes)
    folder = Path("runs", "reproduce", name) if out is None else out
    trainings = {
        model: tuple(word.replace("{runs}", str(folder)) for word in train)
        for model, train in recipe.trainings.items()
    }
    places = {model: SweepFolder(folder / model) for model in trainings}
    _check_folder(folder, name, places)
    for model, place in places.items():
        _check_same_recipe(place, trainings[model])
    words = shlex.join(["reproduce", name] if out is None else ["reproduce", name, "--out", str(out)])
    if seeds is None:
        begun = [place.load().seeds for place in places.values() if place.begun]
        seeds = max(begun, default=recipe.seeds)
    end = time.monotonic() + 60 * minutes
    sweeps: dict[str, Sweep] = {}
    for model, place in places.items():
        if model and not as_json:
            console.say(model)
        sweeps[model] = train_runs(
            place,
            trainings[model],
            {},
            seeds,
            ready=_ready(sweeps, places, recipe.earlier.get(model)),
            jobs=jobs,
            minutes=(end - time.monotonic()) / 60,
            quiet=as_json,
            again=words,
        )
    at_once = count_processors() if jobs is None else jobs
    with console.waiting_for("scoring"):
        models = tuple(
            score_runs(model, train, recipe.figures_of[model], places[model], sweeps[model], at_once)
            for model, train in recipe.trainings.items()
        )
    result = Result(
        recipe=name,
        summary=recipe.summary,
        source=recipe.source,
        note=recipe.note,
        machine=Machine.here(),
        models=models,
    )
    write_atomically(folder / FILE, result.to_json().encode())
    write_atomically(folder / "results.md", markdown(result).encode())
    if as_json:
        console.say_json(dataclasses.asdict(result))
    else:
        _say(result, folder, words)
    if any(model.failed for model in result.models):
        sys.exit(1)


def _ready(
    sweeps: Mapping[str, Sweep], places: Mapping[str, SweepFolder], earlier: str | None
) -> Collection[int] | None:
    """The seeds with which the earlier model's runs are done; None if there is no earlier model."""
    if earlier is None:
        return None
    ended = (places[earlier].result(run) for run in sweeps[earlier].runs)
    return {run.seed for run in ended if run.status is not None and run.status.done}


def _check_folder(folder: Path, name: str, places: Mapping[str, SweepFolder]) -> None:
    """Refuse a folder with the results or the runs of another recipe."""
    if (folder / FILE).exists():
        found = read_result(folder / FILE).recipe
        what = "" if found == name else f"the results of {found}"
    else:
        sweeps = {file.parent for file in (*folder.glob("sweep.json"), *folder.glob("*/sweep.json"))}
        others = sweeps - {place.path for place in places.values()}
        what = f"the runs of something else in {min(others)}" if others else ""
    if what:
        raise UserError(
            f"{folder} must hold runs of {name} alone, got {what}. Choose another folder with --out."
        )


def _check_same_recipe(place: SweepFolder, train: tuple[str, ...]) -> None:
    """Refuse a folder whose runs were begun by other settings than those of the recipe."""
    if place.begun and (begun := place.load()).train != train:
        raise UserError(
            f"{place.path} must hold runs of the recipe as it is now, got some of "
            f"`{shlex.join(begun.train)}`. Choose another folder with --out, or continue them with "
            f"`numdnc sweep {shlex.quote(str(place.path))}`."
        )


def _list(*, as_json: bool) -> None:
    recipes = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        console.say_json({name: _as_json(recipe) for name, recipe in recipes.items()})
        return
    for name, recipe in recipes.items():
        hours = "not measured" if recipe.hours is None else f"{recipe.hours:g} hours"
        models = f"{', '.join(recipe.trainings)}; " if len(recipe.models) > 1 else ""
        console.say(
            f"{name:<16}{recipe.summary}\n{'':16}{models}{recipe.seeds} seeds; a run on one core: {hours}"
        )


def _as_json(recipe: Recipe) -> dict[str, Any]:
    return {
        "summary": recipe.summary,
        "source": recipe.source,
        "train": recipe.trainings,
        "seeds": recipe.seeds,
        "hours": recipe.hours,
    }


def _say(result: Result, folder: Path, again: str) -> None:
    """Print the table, what went wrong, and what can be done next."""
    program = console.command()
    console.say(f"\n{format_table(rows(result))}\n\n{status(result)}")
    if any(run.state == "failed" for model in result.models for run in model.runs):
        console.say(f"of runs that failed, {AGAIN}")
    for error in result.errors:
        console.say(f"not scored: {error}")
    console.say(f"written to {folder / FILE} and {folder / 'results.md'}")
    if not result.finished:
        console.say(f"next:  {program} {again}")
    else:
        scored = next(model for model in result.models if model.figures)
        console.say(f"next:  {program} view {shlex.quote(str(folder / scored.name / 'seed=0'))}")
