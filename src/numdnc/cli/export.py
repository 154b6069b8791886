"""`export`."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.consent import confirm
from numdnc.cli.options import AsJson
from numdnc.errors import UserError
from numdnc.files import file_name
from numdnc.formatting import format_bytes
from numdnc.models import WEIGHTS, locate, model_name
from numdnc.recipes.results import FILE, read_result
from numdnc.runs.folders import new_folder
from numdnc.runs.trained_model import export_trained_model
from numdnc.training.folder import RunFolder
from numdnc.training.workers import SINGLE


def export_model(
    source: Positional[Path],
    *,
    to: Literal["torch", "run", "model"],
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    last: bool = False,
    like: Path | None = None,
    recipe: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as a PyTorch file, make a run from such a file (both need PyTorch), or keep its weights alone.

    A run made from a file has the task and the settings of the run that the model came from; its optimizer and its
    count of iterations start anew. A model of weights alone is small and serves every command but `resume`.

    Args:
        source: The run's folder or model:NAME; to make a run, the file.
        to: torch makes a file that `numdnc.nn.load` and `torch.load(.., weights_only=True)` read; run makes a run's
            folder for `eval`, `trace`, `view`, `diagnose` and `resume`; model makes a folder with the weights alone, in
            float16 where no score is worse for it.
        out: The file or folder to write (default: model.pt or the folder model in the run's folder; runs/TASK-MODEL-1,
            -2, ..).
        last: Export the last checkpoint, not the best (not with --to run).
        like: A run's folder or model:NAME to take task and settings from, for a model that did not come from a run
            (--to run only).
        recipe: The recipe that trained the model, if it was not `numdnc reproduce` (--to model only).
        as_json: Print what was written as one JSON object; all else goes to standard error.

    """
    if to != "run" and like is not None:
        raise UserError(f"--like must be given with --to run, got {like} with --to {to}. Leave it out.")
    if to != "model" and recipe is not None:
        raise UserError(f"--recipe must be given with --to model, got {recipe} with --to {to}. Leave it out.")
    if to == "run" and last:
        raise UserError("--last must be given with --to torch or model, got it with --to run. Leave it out.")
    if to == "torch":
        made = _to_torch(source, out, last=last)
    elif to == "model":
        made = _to_model(source, out, recipe, last=last)
    else:
        made = _to_run(source, out, like)
    if as_json:
        console.say_json({"to": to, **made})


def _to_torch(source: Path, out: Path | None, *, last: bool) -> dict[str, Any]:
    from numdnc.nn import from_run, save

    module = from_run(source, last=last)
    if out is None:
        name = model_name(source)
        out = source / "model.pt" if name is None else Path(f"{name}.pt")
    if out.resolve() in (RunFolder(source).last.resolve(), RunFolder(source).best.resolve()):
        raise UserError(f"--out must not be a checkpoint of the run, got {out}. Give another name.")
    save(module, out)
    path = repr(str(out))
    console.say(f"{_described(module)} in {out}")
    console.say(f"next:  numdnc.nn.load({path}), or torch.load({path}, weights_only=True)")
    return {"out": str(out), "kind": module.spec.kind, "parameters": _count(module)}


def _to_model(source: Path, out: Path | None, recipe: str | None, *, last: bool) -> dict[str, Any]:
    if out is None:
        name = model_name(source)
        out = source / "model" if name is None else Path(f"{name}-model")
    if recipe is None:
        made_by = [place / FILE for place in source.parents[:2] if (place / FILE).exists()]
        recipe = read_result(made_by[0]).recipe if made_by else ""
    with console.waiting_for("scoring"):
        about = export_trained_model(source, out, recipe=recipe, last=last, confirm=confirm)
    size = (out / WEIGHTS).stat().st_size
    console.say(f"{format_bytes(size)} of {about.dtype} in {out}; {about.score}")
    place, program = shlex.quote(str(out)), console.command()
    console.say(f"next:  {program} eval {place}\n       {program} view {place}")
    return {"out": str(out), "bytes": size, "dtype": about.dtype, "score": about.score}


def _to_run(source: Path, out: Path | None, like: Path | None) -> dict[str, Any]:
    from numdnc.nn import files, load

    if model_name(source) is not None:
        raise UserError(
            f"--to run must be given a file that --to torch or `numdnc.nn.save` has made, got {source}. Name one."
        )
    module = load(source)
    origin = module.origin if like is None else files.origin_of(RunFolder(locate(like)).load_newest())
    if origin is None:
        raise UserError(
            f"{source} must say what run it came from, got a model that came from none. Give such a run with --like."
        )
    run = files.run_from(module, origin)
    task = file_name(str(run.task.get("name")).rpartition(":")[2].lower())
    with new_folder(run, out, f"{task}-{run.spec.kind}", SINGLE) as folder:
        console.say(f"{_described(module)} in {folder.path}; the optimizer starts anew")
    place, program = shlex.quote(str(folder.path)), console.command()
    console.say(
        f"next:  {program} eval {place}\n       {program} resume {place} --steps {run.training.steps}"
    )
    return {"out": str(folder.path), "kind": module.spec.kind, "parameters": _count(module)}


def _described(module: Any) -> str:
    return f"{module.spec.kind} with {_count(module):,} parameters"


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
