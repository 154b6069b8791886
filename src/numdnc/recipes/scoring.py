"""Score the runs of a recipe: `numdnc eval` for each run and figure, as processes of their own."""

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from numdnc.data import FOLDER_VARIABLE, default_folder
from numdnc.recipes.recipe import Figure, Recipe
from numdnc.recipes.results import FigureResult, Machine, Result, RunRecord
from numdnc.training import sweep
from numdnc.training.distributed import ENVIRONMENT
from numdnc.training.sweep_folder import SweepFolder
from numdnc.training.sweep_plan import Sweep
from numdnc.training.sweep_results import RunResult


class NotScoredError(Exception):
    """A run could not be scored; the message is that of `numdnc eval`."""


def score_runs(name: str, recipe: Recipe, place: SweepFolder, planned: Sweep, jobs: int) -> Result:
    """Score every run that did not fail at its best checkpoint, `jobs` of them at a time."""
    runs = [place.result(run) for run in planned.runs]
    todo = [run for run in runs if run.state != "failed" and run.status is not None]
    with ThreadPoolExecutor(jobs) as pool:

        def measure(figure: Figure) -> FigureResult:
            scores, errors = {}, []
            futures = [(run.seed, pool.submit(_score, place.path / run.name, figure)) for run in todo]
            for seed, future in futures:
                try:
                    scores[seed] = future.result()
                except NotScoredError as error:
                    errors.append(str(error))
            return FigureResult.of(figure, scores, errors)

        figures = tuple(map(measure, recipe.figures))
    return Result(
        recipe=name,
        summary=recipe.summary,
        source=recipe.source,
        note=recipe.note,
        train=shlex.join(planned.train),
        machine=Machine.here(),
        runs=tuple(map(_record, runs)),
        figures=figures,
    )


def eval_words(folder: Path, figure: Figure) -> list[str]:
    """The words after `numdnc` that score a run."""
    options = shlex.split(figure.eval)
    data = f"${FOLDER_VARIABLE}"
    return ["eval", str(folder), *(word.replace(data, str(default_folder())) for word in options), "--json"]


def _score(folder: Path, figure: Figure) -> float:
    inherited = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT}
    ended = subprocess.run(
        [*sweep.PROGRAM, *eval_words(folder, figure)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={"NUMDNC_THREADS": "1", **inherited},
        check=False,
    )
    if ended.returncode != 0:
        raise NotScoredError(_last_line(ended.stderr) or f"exit code {ended.returncode}")
    scores = json.loads(ended.stdout)
    if not isinstance(scores.get(figure.score), int | float):
        raise NotScoredError(f"there is no score {figure.score}, only {', '.join(scores)}")
    return float(scores[figure.score])


def _last_line(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


def _record(run: RunResult) -> RunRecord:
    found = run.status
    return RunRecord(
        seed=run.seed,
        state=run.state,
        iterations=0 if found is None else found.iteration,
        solved_iteration=None if found is None else found.solved_iteration,
        hours=0.0 if found is None else round(found.seconds / 3600, 5),
    )
