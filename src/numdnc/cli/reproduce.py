"""`reproduce`."""

import dataclasses
import math
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.options import AsJson
from numdnc.cli.sweep import train_runs
from numdnc.cli.training import check_minutes
from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.formatting import format_table
from numdnc.machine import count_processors
from numdnc.recipes import Recipe, load_recipe, recipe_names
from numdnc.recipes.results import FILE, Result, markdown, rows, status
from numdnc.recipes.scoring import score_runs
from numdnc.training.sweep_folder import SweepFolder


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

    The runs, one for each seed, are a sweep; the same command continues those that are not done. At the end every run
    is scored, and the table of our figures beside the published ones is also written as JSON and Markdown.

    Args:
        name: A recipe, as --list shows them.
        list_all: Show all recipes, and how long a run of each takes.
        seeds: Number of runs, with seeds 0, 1, .. (default: as the recipe says, or as many as there are).
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
    place = SweepFolder(Path("runs", "reproduce", name) if out is None else out)
    _check_same_recipe(place, recipe)
    words = ["reproduce", name] if out is None else ["reproduce", name, "--out", str(out)]
    sweep = train_runs(
        place,
        recipe.train_words,
        {},
        recipe.seeds if seeds is None and not place.begun else seeds,
        jobs=jobs,
        minutes=minutes,
        quiet=as_json,
        again=shlex.join(words),
    )
    with console.waiting_for("scoring"):
        result = score_runs(name, recipe, place, sweep, count_processors() if jobs is None else jobs)
    write_atomically(place.path / FILE, result.to_json().encode())
    write_atomically(place.path / "results.md", markdown(result).encode())
    if as_json:
        console.say_json(dataclasses.asdict(result))
    else:
        _say(result, place.path, shlex.join(words))
    if any(run.state == "failed" for run in result.runs) or any(found.errors for found in result.figures):
        sys.exit(1)


def _check_same_recipe(place: SweepFolder, recipe: Recipe) -> None:
    """Refuse a folder whose runs were begun by other settings than those of the recipe."""
    if place.begun and (begun := place.load()).train != recipe.train_words:
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
        console.say(f"{name:<16}{recipe.summary}\n{'':16}{recipe.seeds} seeds; a run on one core: {hours}")


def _as_json(recipe: Recipe) -> dict[str, Any]:
    return {
        "summary": recipe.summary,
        "source": recipe.source,
        "train": recipe.train_words,
        "seeds": recipe.seeds,
        "hours": recipe.hours,
    }


def _say(result: Result, folder: Path, again: str) -> None:
    """Print the table, what went wrong, and what can be done next."""
    program, where = console.command(), shlex.quote(str(folder))
    console.say(f"\n{format_table(rows(result))}\n\n{status(result)}")
    for found in result.figures:
        for error in found.errors:
            console.say(f"not scored: {found.figure.name}: {error}")
    console.say(f"written to {folder / FILE} and {folder / 'results.md'}")
    if not result.finished:
        console.say(f"next:  {program} {again}")
    elif result.runs:
        console.say(f"next:  {program} view {where}/seed=0")
