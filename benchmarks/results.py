"""Make the first part of docs/results.md from docs/results/*.json; `make results` calls it.

    python benchmarks/results.py [runs/reproduce/NAME ..]

The results of the folders named, as `numdnc reproduce` leaves them, are taken into docs/results/ first. Runs of other
seeds that are there, of the same settings, stay: seeds may be trained on several machines.
"""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.recipes import load_recipe, recipe_names
from numdnc.recipes.recipe import Figure
from numdnc.recipes.results import FILE, ModelResult, Result, markdown, read_result

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- made by benchmarks/results.py: do not edit -->\n", "<!-- end of what is made -->\n"


def take(folder: Path) -> None:
    """Copy the results of a reproduction to docs/results/, to those of other seeds that are there."""
    result = read_result(folder / FILE)
    kept = RESULTS / f"{result.recipe}.json"
    if kept.exists():
        result = joined(result, read_result(kept))
    write_atomically(kept, result.to_json().encode())


def joined(result: Result, before: Result) -> Result:
    """The result with the runs of `before` whose seeds it has not begun, if settings and versions are the same."""
    if _settings(result) != _settings(before) or result.machine.versions != before.machine.versions:
        return result
    models = tuple(map(_joined_model, result.models, before.models))
    return replace(result, models=models)


def _settings(result: Result) -> list[tuple[str, str, tuple[Figure, ...]]]:
    return [
        (model.name, model.train, tuple(found.figure for found in model.figures)) for model in result.models
    ]


def _joined_model(model: ModelResult, before: ModelResult) -> ModelResult:
    mine = {run.seed: run for run in model.runs}
    begun = {seed for seed, run in mine.items() if run.iterations}
    others = {run.seed: run for run in before.runs if run.iterations and run.seed not in begun}
    runs = sorted({**mine, **others}.items())
    figures = []
    for found, earlier in zip(model.figures, before.figures, strict=True):
        values = {
            seed: value
            for result, seeds in ((earlier, others.keys()), (found, begun))
            for seed, value in zip(result.seeds, result.values, strict=True)
            if seed in seeds
        }
        errors = () if others.keys() <= set(earlier.seeds) else earlier.errors
        figures.append(
            replace(found.with_values(dict(sorted(values.items()))), errors=(*found.errors, *errors))
        )
    return replace(model, runs=tuple(run for _, run in runs), figures=tuple(figures))


def made() -> str:
    """The part of the page that the files make."""
    files = sorted(RESULTS.glob("*.json"))
    sections = [markdown(result, level=3) + _changed(result) for result in map(read_result, files)]
    return "\n".join(sections)


def _changed(result: Result) -> str:
    """What a reader must know if the recipe is another one today."""
    if result.recipe not in recipe_names():
        return "\nThis recipe no longer exists.\n"
    now = load_recipe(result.recipe)
    trained = {model.name: tuple(shlex.split(model.train)) for model in result.models}
    if (now.trainings, now.figures) == (trained, tuple(result.figures)):
        return ""
    return "\nThe recipe has changed since: its present settings are to be measured again.\n"


def page(text: str) -> str:
    """The page with what the files make today in place of what they made before."""
    if BEGIN not in text or END not in text:
        raise UserError(
            f"{PAGE} must have the lines {BEGIN.strip()} and {END.strip()}, got none. Restore them."
        )
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    return f"{head}{BEGIN}\n{made()}\n{END}{tail}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        take(Path(name))
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8")).encode())
