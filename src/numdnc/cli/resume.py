"""`resume`."""

import dataclasses
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import ENGINES, AsJson, Corpus, DataFolder, Device, engine_on
from numdnc.cli.tensorboard import check_tensorboard
from numdnc.cli.tracking import load_tracker
from numdnc.cli.training import check_minutes, end_record, saved_first, train_run
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.models import model_name
from numdnc.runs.folders import last_run
from numdnc.runs.kinds import custom_task_of, open_run
from numdnc.runs.memory import MemoryOverride
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.workers import Workers


def resume(
    folder: Positional[Path],
    *,
    steps: int | None = None,
    minutes: float = math.inf,
    learning_rate: float | None = None,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    sparsity: int | None = None,
    engine: Annotated[str | None, arg(metavar=ENGINES)] = None,
    device: Device = None,
    corpus: Corpus = (),
    data_folder: DataFolder = None,
    custom_task: CustomTask = None,
    sample_every: int = 10,
    tensorboard: bool = False,
    track: Annotated[str, arg(metavar="MODULE:FUNCTION")] = "",
    as_json: AsJson = False,
) -> Callable[[Workers], None]:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped.

    Options change it from there on.

    Args:
        folder: The run's folder.
        steps: Train until this iteration (default: the last target; a solved run trains no further).
        minutes: Stop after this many minutes, if the steps are not done before.
        learning_rate: Go on with this peak learning rate; the schedule stays, but plateau begins again at the peak
            (default: as before).
        memory_size: Go on with this many memory slots, on which no parameter depends (default: as before; not for a
            text).
        sparsity: Go on with weightings and links of a DNC cut to this many entries (default: as before; not for a
            text).
        engine: Go on with this engine (default: the one used so far).
        device: Where the engine torch runs (default: where it did so far).
        corpus: Where the run's text lies now, if it has moved; of several files all, in order (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI and
            arrays, where the files lie now.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        sample_every: Progress lines between samples, besides the one at the end; 0 = no samples.
        tensorboard: Write losses, scores and health for TensorBoard too, into the run's folder.
        track: Hand the same figures to a function of yours, also as FILE.py:FUNCTION, such as
            examples/track_trackio.py:follow or examples/track_wandb.py:follow.
        as_json: Print how training has ended as one JSON object; all else goes to standard error.

    """
    check_minutes(minutes)
    check_tensorboard(tensorboard)
    tracker = load_tracker(track)
    if model_name(folder) is not None:
        raise UserError(
            f"resume must be given a run's folder, got {folder}, a trained model without its optimizer. Train a run of "
            "your own, such as its recipe: `numdnc models` names it."
        )
    place = RunFolder(folder)

    def start(workers: Workers) -> None:
        with console.results_alone(as_json), last_run(place, workers) as run, saved_first():
            if steps is None and run.solved_iteration == run.iteration:
                more = run.target if run.target > run.iteration else 2 * run.iteration
                console.say(f"{folder} is solved, at iteration {run.iteration}: nothing is left to learn")
                again = f"resume {shlex.quote(str(folder))} --steps {more}"
                console.say(f"to train it further all the same:  {console.command()} {again}")
                if as_json:
                    console.say_json(end_record(run, place, "solved"))
                return
            if steps is not None:
                run.target = steps
            if run.target <= run.iteration:
                raise UserError(
                    f"the run must have iterations left, but {run.iteration} of {run.target} are done. "
                    "Give more with --steps."
                )
            if engine is not None or device is not None:
                name = engine_on(engine or run.engine_name, device)
                run.engine_name = select_engine(name, run.spec, run.training.precision).name
            if learning_rate is not None:
                run.optimizer = dataclasses.replace(run.optimizer, learning_rate=learning_rate)
                run.rate_scale, run.rate_iteration = 1.0, run.iteration
            source = workers.broadcast_object(
                custom_task_of(run, folder, custom_task, confirm) if workers.rank == 0 else None
            )
            opened = open_run(run, source, engine=run.engine_name, corpus=corpus, data_folder=data_folder)
            opened.set_memory(MemoryOverride(memory_size, sparsity))
            check_memory(opened.spec, opened.engine, run.training.precision, 3 * run.batch, run.batch)
            if workers.rank == 0:
                place.clean_up(run)
            console.say(f"resuming {folder} at iteration {run.iteration} on engine {run.engine.name}")
            train_run(
                opened,
                place,
                workers=workers,
                minutes=minutes,
                sample_every=sample_every,
                tensorboard=tensorboard,
                tracker=tracker,
                as_json=as_json,
            )

    return start
