"""`export`."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.errors import UserError
from numdnc.files import file_name
from numdnc.runs.folders import new_folder
from numdnc.training.folder import RunFolder
from numdnc.training.workers import SINGLE


def export_model(
    source: Positional[Path],
    *,
    to: Literal["torch", "run"],
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    last: bool = False,
    like: Path | None = None,
) -> None:
    """Write a model as a PyTorch file, or make a run from such a file (needs PyTorch).

    A run made from a file has the task and the settings of the run that the model came from; its optimizer and its
    count of iterations start anew.

    Args:
        source: The run's folder; to make a run, the file.
        to: torch makes a file that `numdnc.nn.load` and `torch.load(.., weights_only=True)` read; run makes a run's
            folder for `eval`, `trace`, `view`, `diagnose` and `resume`.
        out: The file or folder to write (default: model.pt in the run's folder, or runs/TASK-MODEL-1, -2, ..).
        last: Export the last checkpoint, not the best (--to torch only).
        like: A run's folder to take task and settings from, for a model that did not come from a run (--to run only).

    """
    from numdnc.nn import files, from_run, load, save

    if to == "torch":
        if like is not None:
            raise UserError(f"--like must be given with --to run, got {like} with --to torch. Leave it out.")
        module = from_run(source, last=last)
        out = source / "model.pt" if out is None else out
        if out.resolve() in (RunFolder(source).last.resolve(), RunFolder(source).best.resolve()):
            raise UserError(f"--out must not be a checkpoint of the run, got {out}. Give another name.")
        save(module, out)
        path = repr(str(out))
        console.say(f"{_described(module)} in {out}")
        console.say(f"next:  numdnc.nn.load({path}), or torch.load({path}, weights_only=True)")
        return
    if last:
        raise UserError("--last must be given with --to torch, got it with --to run. Leave it out.")
    module = load(source)
    origin = module.origin if like is None else files.origin_of(RunFolder(like).load_last())
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


def _described(module: Any) -> str:
    return f"{module.spec.kind} with {sum(p.numel() for p in module.parameters()):,} parameters"
