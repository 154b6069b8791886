"""`diagnose`."""

import sys
from pathlib import Path

import numpy as np
from tyro.conf import Positional

from numdnc import console
from numdnc.cli.babi import babi_task
from numdnc.cli.consent import CustomTask
from numdnc.cli.episodes import custom_task_source, episode_task
from numdnc.cli.options import BABI, EPISODES, AsJson, DataFolder, EngineName, refuse_options
from numdnc.cli.text import text_task
from numdnc.engines import select_engine
from numdnc.inspection.diagnose import SEQUENCES, Diagnosis, diagnose
from numdnc.tasks import Scores, Task
from numdnc.tasks.sequence_task import EVAL_BATCH
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import Run, forward_with
from numdnc.tree import named_leaves

CAVEAT = "(what this trained model relies on; a model trained without a part may do as well)"
"""Below the losses without each part."""


def diagnose_run(
    folder: Positional[Path],
    *,
    last: bool = False,
    engine: EngineName = "auto",
    custom_task: CustomTask = None,
    corpus: str | None = None,
    data_folder: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say in words and numbers whether and how a model uses its memory.

    Each part of the memory is taken away in turn, and the loss is that of a progress line.

    Args:
        folder: The run's folder.
        last: Examine the last checkpoint, not the best.
        engine: What computes the model; auto takes the fastest that can.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        corpus: Where the run's text lies now, if it has moved (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI, where it lies now.
        as_json: Print the result as one JSON object.

    """
    place = RunFolder(folder)
    run = place.load_last(finite=False) if last else place.load_best(finite=False)
    bad = next((name for name, array in named_leaves(run.params) if not np.isfinite(array).all()), None)
    if bad is not None:
        sys.stderr.write(f"warning: parameters hold NaN or infinity, the first of them {bad}\n")
    source = custom_task_source(run, folder, custom_task)
    task: Task
    if run.task.get("kind") == EPISODES:
        refuse_options(run, {"--corpus": corpus, "--data": data_folder}, "a text")
        task = episode_task(run, source)
    elif run.task.get("kind") == BABI:
        refuse_options(run, {"--corpus": corpus}, "a text")
        task = babi_task(run, data_folder)
    else:
        task = text_task(run, corpus, data_folder)
    task.move_to(run.position)
    spec, chosen = run.spec, select_engine(engine, run.spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, 3 * EVAL_BATCH, EVAL_BATCH)

    def score(params: object) -> Scores:
        return task.score(forward_with(chosen, spec, params))

    with console.waiting_for("examining"):
        found = diagnose(spec, run.params, chosen, task, score)
    if as_json:
        console.say_json(_as_object(run, chosen.name, task, found))
        return
    console.say(f"{task.name}, {spec.kind} at iteration {run.iteration}, engine {chosen.name}")
    console.say()
    _say(found)


def _as_object(run: Run, engine: str, task: Task, found: Diagnosis) -> object:
    findings = [
        {
            "about": finding.about,
            "verdict": "ok" if finding.fine else "look",
            "words": finding.words,
            "numbers": finding.numbers,
        }
        for finding in found.findings
    ]
    return {
        "task": task.name,
        "kind": run.spec.kind,
        "iteration": run.iteration,
        "engine": engine,
        "unit": task.unit,
        "sequences": SEQUENCES,
        "scores": found.scores,
        "findings": findings,
    }


def _say(found: Diagnosis) -> None:
    """The scores side by side, then a line a finding."""
    # Of bAbI there is an error for each task, too many to stand side by side; --json has them.
    names = [name for name in found.scores["whole"] if not name.startswith("error_")]
    rows = [["", *names]]
    for part, scores in found.scores.items():
        title = part if part == "whole" else f"without {part}"
        rows.append([title, *(f"{scores[name]:.4g}" for name in names)])
    console.say(console.table_lines(rows))
    if len(found.scores) > 1:
        console.say(CAVEAT)
    console.say()
    for finding in found.findings:
        verdict = "ok  " if finding.fine else "LOOK"
        console.say(f"{verdict}  {finding.about:<12}{finding.words}")
    console.say()
    to_look = sum(not finding.fine for finding in found.findings)
    console.say(f"{to_look} of {len(found.findings)} findings to look at")
