"""A recipe: a published experiment as a file NAME.toml beside this one."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from numdnc.errors import UserError
from numdnc.names import closest_names, quoted
from numdnc.schema import Finite, Size, validated

FOLDER = Path(__file__).parent
_EARLIER = r"--start-from \{runs\}/([\w-]+)/seed=\{seed\}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number to compare: how it is measured on a trained run, and what was published."""

    name: str
    """What is scored."""
    eval: str = ""
    """The options of `numdnc eval RUN`."""
    score: str
    """Name of the number in what `numdnc eval --json` prints."""
    unit: str
    """"% right" for 100 (1 - score), "% wrong" for 100 score; anything else for the score as it is."""
    published: Finite | None = None
    published_sd: Finite | None = None
    source: str = ""
    """Where the published number is from."""

    def in_unit(self, score: float) -> float:
        """A score in the figure's unit."""
        return {"% right": 100 * (1 - score), "% wrong": 100 * score}.get(self.unit, score)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One of the models that a recipe compares."""

    name: str = ""
    """Head of its column and name of its folder: letters, digits and hyphens. Empty if the recipe has no other."""
    train: str = ""
    """What follows the recipe's own words after `numdnc train`. A model that begins with the parameters of an earlier
    one of the recipe, of the same seed, has `--start-from {runs}/EARLIER/seed={seed}`."""
    scored: bool = True
    """Whether figures are measured; not of a model that is only what a later one begins with."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]*", self.name):
            raise UserError(
                f"the name of a model must be letters, digits and hyphens, got {quoted(self.name)}. Change it."
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training and its scoring need."""

    summary: str
    """What is learned, in a sentence."""
    source: str
    """Where the experiment is published."""
    train: str
    """What follows `numdnc train`: task, model, lessons, optimizer, schedule, stopping rule. Lines as in a shell."""
    models: tuple[Model, ...] = (Model(),)
    """What is compared: each model is trained with every seed."""
    seeds: Size
    """Number of runs of each model, with seeds 0, 1, ..; --seeds asks for another number."""
    hours: Finite | None = None
    """How long a run took on one core, of models that begin with each other all of these; None if not measured."""
    note: str = ""
    """What must be said beside the figures."""
    figures: tuple[Figure, ...]

    def __post_init__(self) -> None:
        if not any(model.scored for model in self.models):
            raise UserError(
                "models must have one that is scored, got none. Leave out `scored = false` of the last."
            )

    @property
    def trainings(self) -> dict[str, tuple[str, ...]]:
        """The words after `numdnc train` for each model, by its name."""
        return {
            model.name: tuple(shlex.split(f"{self.train}\n{model.train}", comments=True))
            for model in self.models
        }

    @property
    def earlier(self) -> dict[str, str]:
        """The model that each one begins with, run by run, by its name; not of models that begin with none."""
        found = {model.name: re.search(_EARLIER, model.train) for model in self.models}
        return {name: match[1] for name, match in found.items() if match}

    @property
    def figures_of(self) -> dict[str, tuple[Figure, ...]]:
        """The figures of each model, by its name."""
        return {model.name: self.figures if model.scored else () for model in self.models}


def recipe_names() -> list[str]:
    """The names of all recipes."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """The recipe of this name; UserError if there is none."""
    known = recipe_names()
    if name not in known:
        near = closest_names(name, known, 1)
        hint = f"Perhaps {near[0]} is meant." if near else "`numdnc reproduce --list` shows them."
        raise UserError(f"a recipe must be one of {', '.join(known)}, got {quoted(name)}. {hint}")
    file = FOLDER / f"{name}.toml"
    return validated(Recipe, tomllib.loads(file.read_text(encoding="utf-8")))
