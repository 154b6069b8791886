"""Score the runs of a recipe: `numdnc eval` for each run and figure, as processes of their own."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numdnc.recipes.recipe import Figure
from numdnc.recipes.results import FigureResult, ModelResult, RunRecord
from numdnc.training.distributed import ENVIRONMENT
from numdnc.training.sweep import PROGRAM
from numdnc.training.sweep_folder import SweepFolder
from numdnc.training.sweep_plan import Sweep
from numdnc.training.sweep_results import RunResult


class NotScoredError(Exception):
    """A run could not be scored; the message is that of `numdnc eval`."""


def score_runs(
    name: str,
    train: Sequence[str],
    figures: Sequence[Figure],
    place: SweepFolder,
    planned: Sweep,
    jobs: int,
) -> ModelResult:
    """Score every run of a model that did not fail at its best checkpoint, `jobs` of them at a time.

    `train` are the recipe's words, which name no folder of this machine.
    """
    runs = [place.result(run) for run in planned.runs]
    todo = [run for run in runs if run.state != "failed" and run.status is not None]
    ways = dict.fromkeys(figure.eval for figure in figures)
    with ThreadPoolExecutor(jobs) as pool:
        found = {
            (run.seed, way): pool.submit(_evaluate, place.path / run.name, way)
            for way in ways
            for run in todo
        }
        results = tuple(
            _result(figure, {run.seed: found[run.seed, figure.eval] for run in todo}) for figure in figures
        )
    return ModelResult(name=name, train=shlex.join(train), runs=tuple(map(_record, runs)), figures=results)


def _result(figure: Figure, scored: Mapping[int, Future[dict[str, Any]]]) -> FigureResult:
    """The result of a figure from the scores of each seed."""
    scores, errors = {}, []
    for seed, future in scored.items():
        try:
            found = future.result()
            if not isinstance(found.get(figure.score), int | float):
                raise NotScoredError(f"there is no score {figure.score}, only {', '.join(found)}")
            scores[seed] = float(found[figure.score])
        except NotScoredError as error:
            errors.append(str(error))
    return FigureResult.of(figure, scores, errors)


def _evaluate(folder: Path, options: str) -> dict[str, Any]:
    """What `numdnc eval --json` prints of a run."""
    inherited = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT}
    ended = subprocess.run(
        [*PROGRAM, "eval", str(folder), *shlex.split(options), "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={"NUMDNC_THREADS": "1", **inherited},
        check=False,
    )
    if ended.returncode != 0:
        raise NotScoredError(_last_line(ended.stderr) or f"exit code {ended.returncode}")
    scores: dict[str, Any] = json.loads(ended.stdout)
    return scores


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
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
