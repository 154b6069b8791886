"""Make the first part of docs/results.md from docs/results/*.json; `make results` calls it.

    python benchmarks/results.py [runs/reproduce/NAME ..]

The results of the folders named, as `numdnc reproduce` leaves them, are taken into docs/results/ first.
"""

import shlex
import sys
from pathlib import Path

from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.recipes import load_recipe, recipe_names
from numdnc.recipes.results import FILE, Result, markdown, read_result

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- made by benchmarks/results.py: do not edit -->\n", "<!-- end of what is made -->\n"


def take(folder: Path) -> None:
    """Copy the results of a reproduction to docs/results/."""
    result = read_result(folder / FILE)
    write_atomically(RESULTS / f"{result.recipe}.json", result.to_json().encode())


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
