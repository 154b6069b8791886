"""The pages of the course as notebooks: `python docs/notebooks.py` writes examples/learn/.

With --check nothing is written, and the exit code is 1 if a notebook is not what its page gives.
"""

import re
import sys
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "learn"
NOTEBOOKS = ROOT / "examples" / "learn"


def notebook(page: Path) -> str:
    """The notebook of a page, without outputs."""
    made = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = _for_jupyter(cell.source)
    made.metadata = {"kernelspec": made.metadata["kernelspec"]}
    return nbformat.writes(made) + "\n"


def _for_jupyter(text: str) -> str:
    """Links from where the notebook lies, and a sentence in place of a page that is embedded."""
    text = re.sub(
        r"```\{raw\} html\n.*?```",
        "On the site this page stands here; `numdnc view` opens one.",
        text,
        flags=re.S,
    )
    text = re.sub(r"\]\(\.\./", "](../../docs/", text)
    return re.sub(r"\]\((\w+)\.md\)", r"](\1.ipynb)", text)


def main() -> None:
    """Write or check all notebooks."""
    pages = sorted(page for page in PAGES.glob("*.md") if page.stem != "index")
    made = {NOTEBOOKS / f"{page.stem}.ipynb": notebook(page) for page in pages}
    if sys.argv[1:] != ["--check"]:
        NOTEBOOKS.mkdir(exist_ok=True)
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return
    there = set(NOTEBOOKS.glob("*.ipynb"))
    old = sorted(
        path.name
        for path in there | set(made)
        if path not in there or path.read_text(encoding="utf-8") != made.get(path)
    )
    if old:
        sys.exit(
            f"notebooks must be what their pages give, these are not: {', '.join(old)}. Run `python docs/notebooks.py`."
        )


if __name__ == "__main__":
    main()
