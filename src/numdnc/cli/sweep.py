"""`sweep`."""

import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from tyro.conf import Positional, UseAppendAction, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.groups import find
from numdnc.cli.options import AsJson
from numdnc.cli.parse import parse
from numdnc.cli.train import TRAIN
from numdnc.errors import UserError
from numdnc.formatting import format_table
from numdnc.machine import count_processors
from numdnc.runs.consent import allowed_source
from numdnc.training.distributed import local_world_size, rank_and_world_size
from numdnc.training.sweep import SweepProgress, run_all
from numdnc.training.sweep_folder import SweepFolder
from numdnc.training.sweep_plan import Sweep
from numdnc.training.sweep_results import MeanAndDeviation, RunResult, Summary, summary

AGAIN = "the same command tries them again, from the start if their folders are deleted"
"""What can be done about runs that failed."""


def run_sweep(
    folder: Positional[Path],
    train: Annotated[Positional[tuple[str, ...]], arg(metavar="[-- TRAIN ..]")] = (),
    *,
    seeds: int | None = None,
    jobs: Annotated[int | None, arg(aliases=["-j"])] = None,
    vary: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=A,B,..")] = (),
    custom_task: CustomTask = None,
    table: bool = False,
    as_json: AsJson = False,
) -> None:
    """Train one task over several seeds and settings, and print a table of the results.

    Each run is a process with its own folder. The same command continues the runs that are not done yet. Several
    processes with RANK and WORLD_SIZE that share a folder each take a share of the runs.

    Args:
        folder: The sweep's folder, which holds a folder for each run.
        train: After --, what would follow `numdnc train`; needed to start a sweep.
        seeds: Number of seeds, 0, 1, .., of each setting (default: 5, or as many as the sweep has).
        jobs: How many runs train at the same time (default: one for each core).
        vary: An option of `train` and its values, as --vary hidden=32,64 --vary links=yes,no; may be repeated.
        custom_task: The sweep's custom task, which is code; needed once for a sweep that was not begun here.
        table: Start nothing; show the results so far.
        as_json: Print the result as one JSON object.

    """
    place = SweepFolder(folder)
    if table:
        if train or vary or seeds is not None:
            raise UserError("--table must be given with a folder alone, got more. Leave the rest out.")
        sweep = place.load()
    else:
        sweep = train_runs(
            place,
            train,
            _varied(vary),
            seeds,
            custom_task=custom_task,
            jobs=jobs,
            quiet=as_json,
            again=f"sweep {shlex.quote(str(folder))}",
        )
    results = [place.result(run) for run in sweep.runs]
    if as_json:
        console.say_json(_as_json(sweep, results))
    else:
        _say_table(sweep, results)
    if any(result.failure is not None for result in results):
        sys.exit(1)


def train_runs(
    place: SweepFolder,
    train: Sequence[str],
    varied: Mapping[str, tuple[str, ...]],
    seeds: int | None,
    *,
    custom_task: str | None = None,
    ready: Collection[int] | None = None,
    jobs: int | None = None,
    minutes: float = math.inf,
    quiet: bool = False,
    again: str,
) -> Sweep:
    """Begin or continue a sweep, as `run_sweep` says; return it when its runs have ended, or after so many minutes.

    `ready` are the seeds whose runs may begin, None for all: the others wait for what they begin with. `again` is the
    command that continues it after an interruption.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be at least 1, got {jobs}.")
    planned = place.plan(train, varied, seeds)
    if ready is not None and not any(run.seed in ready for run in planned.runs):
        if not quiet:
            console.say(f"{_runs(len(planned.runs))} to come")
        return planned
    agreed = _agreed_task(place.path, planned, train[0] if train else custom_task)
    if not any(place.result(run).status for run in planned.runs):
        check_settings(dataclasses.replace(planned, custom_task=agreed), 0 if ready is None else min(ready))
    share = rank_and_world_size()
    with console.outliving_output(), place.lock(train, varied, seeds, share) as (sweep, locks):
        sweep = dataclasses.replace(sweep, custom_task=agreed)
        at_once = max(1, count_processors() // local_world_size()) if jobs is None else jobs
        _run(place, sweep, share, at_once, locks, ready=ready, minutes=minutes, quiet=quiet, again=again)
    return sweep


def _agreed_task(folder: Path, sweep: Sweep, named: str | None) -> str | None:
    """Where to load the sweep's custom task from, if it has one, which the user has named or agreed to."""
    told = sweep.train[0]
    if ":" in told:
        return allowed_source(folder, told, named, confirm)
    if named not in (None, told):
        raise UserError(f"--task must be given for a sweep of a custom task, got {named}. Leave it out.")
    return None


def check_settings(sweep: Sweep, seed: int = 0) -> None:
    """Refuse a sweep if one of its settings cannot be trained with this seed."""
    for setting in sweep.settings:
        words = sweep.words(setting, seed)
        try:
            name, found, options = find(TRAIN, [*words, "--seed", str(seed)], "train")
            parse(found.function, name, options)()
        except UserError as error:
            raise UserError(
                f"every setting of a sweep must be one that can be trained, got `{shlex.join(words)}`: {error}"
            ) from None


def _varied(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of each option, from words like hidden=32,64."""
    varied: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, _, values = word.partition("=")
        name = name.replace("-", "_")
        if name in varied:
            raise UserError(f"{name} must be varied once, got it again. Give all its values at once.")
        varied[name] = tuple(values.split(","))
    return varied


def _run(
    place: SweepFolder,
    sweep: Sweep,
    share: tuple[int, int],
    jobs: int,
    locks: tuple[int, ...],
    *,
    ready: Collection[int] | None,
    minutes: float,
    quiet: bool,
    again: str,
) -> None:
    """Train the runs of a share that are ready and not done, and print a line as each ends."""
    number, count = share
    runs = sweep.runs[number::count]
    before = [place.result(run) for run in runs]
    undone = [
        run for run, found in zip(runs, before, strict=True) if not (found.status and found.status.done)
    ]
    todo = [run for run in undone if ready is None or run.seed in ready]
    done = len(before) - len(undone)
    total = done + len(todo)
    if not quiet:
        pace = f", {min(jobs, len(todo))} at a time" if todo else ""
        whose = f" in share {number} of {count}" if count > 1 else ""
        later = f"; {len(undone) - len(todo)} to come" if len(todo) < len(undone) else ""
        console.say(f"{len(todo)} of {_runs(len(before))} to do{whose}{pace}{later}")
    bar = Progress(
        TextColumn("      "),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console.console,
        transient=True,
        disable=quiet or not console.console.is_terminal,
    )
    width = max(len(run.name) for run in sweep.runs)
    end = time.monotonic() + 60 * minutes
    with console.stop_on_signals() as interrupted:
        with bar:
            task = bar.add_task("", total=total, completed=done)
            for event in run_all(
                place,
                sweep,
                todo,
                jobs=jobs,
                locks=locks,
                interrupted=lambda: interrupted() or time.monotonic() > end,
            ):
                if isinstance(event, SweepProgress):
                    left = event.running + event.waiting
                    text = f"{event.running} running, {event.waiting} waiting"
                    bar.update(task, completed=total - left, description=text)
                elif not quiet:
                    console.say(_line(event, width))
        if not interrupted():
            return
    over = sum(place.result(run).ended for run in runs)
    lost = console.lost_output()
    console.warn(
        f"{'interrupted' if lost is None else f'the output can no longer be written ({lost.strerror})'}; "
        f"{over} of {len(before)} runs have ended, the others are saved\n"
        f"next:  {console.command()} {again} --jobs {jobs}"
    )
    console.exit_stopped()


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _line(result: RunResult, width: int) -> str:
    """A line about how a run ended."""
    found, parts = result.status, [f"{result.name:<{width}}"]
    if result.failure is not None:
        parts.append(f"FAILED, {result.failure}")
    elif found is None or result.state == "to come":
        parts.append("stopped before anything was saved")
    else:
        how = {"solved": "solved ", "done": "done   ", "begun": "stopped"}[result.state]
        score = "no score yet" if found.held_out is None else f"held-out {found.held_out:.4g}"
        parts += [f"{how} at iteration {found.iteration:,}", score, f"{found.seconds:.1f} s"]
    return "  ".join(parts)


def _say_table(sweep: Sweep, results: Sequence[RunResult]) -> None:
    """Print a line for each setting, then the runs that failed and how many are left."""
    summaries = _summaries(sweep, results)
    with_errors = any(found.sequence_error.mean is not None for found in summaries)
    heads = ["setting", "runs", "solved", "failed", "success (95 %)", "iterations to solve (sd)"]
    heads += ["seconds to solve (sd)", "held-out (sd)", *(["sequence error (sd)"] if with_errors else [])]
    rows = [_cells(found, sweep.train[0])[: len(heads)] for found in summaries]
    console.say()
    console.say(format_table([heads, *rows]))
    failed = [result for result in results if result.failure is not None]
    if failed:
        console.say(f"\n{len(failed)} of {len(results)} runs failed; {AGAIN}:")
        for result in failed:
            console.say(f"  {result.name}: {result.failure}")
    left = sum(not result.ended for result in results)
    if left:
        console.say(f"\n{left} of {len(results)} runs have not ended and do not count yet")


def _summaries(sweep: Sweep, results: Sequence[RunResult]) -> list[Summary]:
    return [
        summary(setting, [result for result in results if result.setting == setting])
        for setting in sweep.settings
    ]


def _cells(found: Summary, nothing_varied: str) -> list[str]:
    rate = "-"
    if found.success_rate is not None and found.success_interval is not None:
        low, high = found.success_interval
        rate = f"{found.success_rate:.0%} ({low:.0%} to {high:.0%})"
    return [
        ", ".join(f"{name}={value}" for name, value in found.setting.items()) or nothing_varied,
        f"{found.runs}" if found.runs == found.planned else f"{found.runs} of {found.planned}",
        f"{found.solved}",
        f"{found.failed}",
        rate,
        _spread(found.iterations_to_solve, ",.0f"),
        _spread(found.seconds_to_solve, ",.1f"),
        _spread(found.held_out, ".4g"),
        _spread(found.sequence_error, ".4g"),
    ]


def _spread(spread: MeanAndDeviation, form: str) -> str:
    if spread.mean is None:
        return "-"
    return f"{spread.mean:{form}}" + ("" if spread.sd is None else f" ({spread.sd:{form}})")


def _as_json(sweep: Sweep, results: Sequence[RunResult]) -> dict[str, Any]:
    settings = [
        {
            name: value._asdict() if isinstance(value, MeanAndDeviation) else value
            for name, value in found._asdict().items()
        }
        for found in _summaries(sweep, results)
    ]
    runs = [
        {
            "name": result.name,
            "setting": result.setting,
            "seed": result.seed,
            "state": result.state,
            "failure": result.failure,
            **({} if result.status is None else result.status._asdict()),
        }
        for result in results
    ]
    return {"train": sweep.train, "settings": settings, "runs": runs}
