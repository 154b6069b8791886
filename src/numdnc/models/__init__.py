"""Trained models that come with numdnc, a folder each with best.safetensors: weights alone, see `save_model`.

`model:NAME` stands for such a folder wherever a command or `load_run` takes that of a run. They are only read: the
installation may be read-only. CONTRIBUTING.md says how to add one.
"""

from pathlib import Path

from numdnc.errors import UserError
from numdnc.names import closest_names, quoted

PREFIX = "model:"
FOLDER = Path(__file__).parent
WEIGHTS = "best.safetensors"
"""Where a run keeps its best checkpoint, so that a model is opened like a run."""


def model_names() -> list[str]:
    """The names of all models."""
    return sorted(file.parent.name for file in FOLDER.glob(f"*/{WEIGHTS}"))


def model_name(path: Path) -> str | None:
    """NAME of model:NAME; None for the path of a file or folder."""
    text = str(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def locate(path: Path) -> Path:
    """The folder that model:NAME stands for; any other path as it is. UserError if there is no such model."""
    name = model_name(path)
    if name is None:
        return path
    known = model_names()
    if name not in known:
        near = closest_names(name, known, 1)
        hint = f"Perhaps {PREFIX}{near[0]} is meant." if near else "`numdnc models` lists them."
        raise UserError(f"{PREFIX}NAME must name a model that comes with numdnc, got {quoted(name)}. {hint}")
    return FOLDER / name
