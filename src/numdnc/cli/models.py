"""`models`."""

from pathlib import Path
from typing import Any

from numdnc import console
from numdnc.cli.options import AsJson
from numdnc.cli.presets import PRESETS
from numdnc.formatting import format_bytes
from numdnc.models import PREFIX, WEIGHTS, locate, model_names
from numdnc.recipes import load_recipe, recipe_names
from numdnc.training.checkpoint import load_run
from numdnc.tree import leaves


def list_models(*, as_json: AsJson = False) -> None:
    """List the trained models that come with numdnc; model:NAME stands for one wherever a run's folder is wanted.

    Args:
        as_json: Print the result as one JSON object.

    """
    found = {name: _about(name) for name in model_names()}
    if as_json:
        console.say_json(found)
        return
    for name, about in found.items():
        made = f"recipe {about['recipe']}; " if about["recipe"] else ""
        lines = [
            f"{PREFIX + name:<22}{about['summary']}",
            about["score"],
            f"{made}{about['model']}, {about['parameters']:,} parameters, {format_bytes(about['bytes'])}",
        ]
        console.say(f"\n{'':22}".join(lines))


def _summary(recipe: str, task: str) -> str:
    """What was learned, in a sentence: that of the recipe or, if it teaches several tasks, of the task."""
    if recipe not in recipe_names():
        return task
    found = load_recipe(recipe)
    if len({words[0] for words in found.trainings.values()}) == 1:
        return found.summary
    return PRESETS[task].summary


def _about(name: str) -> dict[str, Any]:
    """What is shown of a model."""
    file = locate(Path(f"{PREFIX}{name}")) / WEIGHTS
    run = load_run(file)
    about = run.trained_model
    assert about is not None
    return {
        "summary": _summary(about.recipe, str(run.task["name"])),
        "score": about.score,
        "recipe": about.recipe,
        "model": run.spec.kind,
        "parameters": sum(leaf.size for leaf in leaves(run.params)),
        "dtype": about.dtype,
        "iteration": run.iteration,
        "bytes": file.stat().st_size,
    }
