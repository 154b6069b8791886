"""Kills: SIGKILL and other signals at random moments, over all kinds of runs, each resumed until it is done.

Half of them come at the next moment at which a file is being written. SIGINT, SIGTERM and SIGHUP must end a process by
130, once saved, or as the system does before there is anything to save; none may print a traceback.
"""

import importlib
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hardening.forked import in_this_process
from hardening.runs import (
    KINDS,
    LONGEST,
    Kind,
    Process,
    Tally,
    chosen,
    damage,
    differences,
    iteration,
    prepare,
    run_to_end,
    stop,
)
from numdnc.training.folder import RUN_LOCK

KILLS_A_RUN = 8
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGKILL is half of them."""
LAUNCHER_WAITS = 5.0
"""Seconds until those that train with one that was stopped are told to end."""
LONGEST_WAIT = 1.0
"""Seconds to wait for a file being written, before a kill comes without."""


class Straight(NamedTuple):
    """A run that was left alone."""

    outcome: dict[str, Any]
    startup: dict[bool, float]
    """Seconds until a run had begun, forked or as a program, ..."""
    training: float
    """... and from there to its end."""


def run(folder: Path, count: int, rng: random.Random, tally: Tally, only: set[str]) -> None:
    """So many kills, in turn over the kinds."""
    prepare(folder)
    names, straight = chosen(only, KINDS), dict[str, Straight]()
    number = 0
    while tally.tried < count:
        name = names[number % len(names)]
        if name not in straight:
            straight[name] = left_alone(KINDS[name], folder / f"{name}-straight")
        kills = min(KILLS_A_RUN, count - tally.tried)
        torment(name, KINDS[name], folder / f"{name}-{number}", straight[name], kills, rng, tally)
        number += 1


def left_alone(kind: Kind, folder: Path) -> Straight:
    """Train it twice, once forked and once as a program, after whatever has to be compiled is compiled here."""
    if kind.processes > 1:
        importlib.import_module("torch.distributed")  # which takes longer than all the rest
    in_this_process(
        ["train", *kind.train.split(), "--steps", "10", "--out", f"{folder.name}-warm"], folder.parent
    )
    startup, training = {}, 0.0
    for program in (True, False):
        place = folder.with_name(f"{folder.name}-program") if program else folder
        began = time.perf_counter()
        processes = kind.start(place, program=program)
        while not all((run / "last.safetensors").exists() for run in kind.runs(place)):
            time.sleep(0.005)
            if any(process.poll() is not None for process in processes):
                break
        ready = time.perf_counter()
        said = [process.communicate()[0].decode() for process in processes]
        assert all(process.returncode == 0 for process in processes), said
        startup[program], training = ready - began, time.perf_counter() - ready
    return Straight(kind.outcome(folder), startup, training)


def torment(
    name: str, kind: Kind, folder: Path, straight: Straight, kills: int, rng: random.Random, tally: Tally
) -> None:
    """Kill a run again and again, then let it end; a last failure counts for its last kill."""
    for number in range(kills):
        program = number == 2
        moment = straight.startup[program] * rng.uniform(0.0, 1.1)
        moment += rng.uniform(0.0, 1.6) * straight.training / kills
        what, wrong = kill_once(kind, folder, moment, number % 2 == 1, rng, program=program)
        wrong += damage(kind, folder)
        if number + 1 == kills or kind.is_done(folder):
            wrong += ends_well(kind, folder, straight)
            tally.add(name, f"{what}, then to its end", wrong)
            return
        tally.add(name, f"{what}; on disk: {on_disk(kind, folder)}", wrong)


def kill_once(
    kind: Kind, folder: Path, moment: float, in_writing: bool, rng: random.Random, *, program: bool
) -> tuple[str, list[str]]:
    """Start or go on, send a signal after `moment` seconds; what was done and what was wrong about it."""
    began = time.perf_counter()
    processes = kind.start(folder, program=program)
    time.sleep(moment)
    while in_writing and time.perf_counter() - began < moment + LONGEST_WAIT and not half_written(folder):
        pass
    number = rng.choice(SIGNALS)
    victims, whom = processes, "the program" if program else "all"
    if kind.processes > 1 and rng.random() < 0.5:
        rank = rng.randrange(kind.processes)
        victims, whom = [processes[rank]], f"rank {rank}"
    if kind.sweep and number == signal.SIGKILL and rng.random() < 0.7:  # else its runs go on alone
        for child in children(processes[0].pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)
        whom = "the sweep and its runs"
    for victim in victims:
        stop(victim, number)
    others = [process for process in processes if process not in victims]
    for process in others if kind.processes > 1 else []:
        stop_late(process)
    what = f"{number.name} to {whom} after {moment:.2f} s{' in writing' if in_writing else ''}"
    return what, [fault for process in processes for fault in faults(process, number, kind)]


def stop_late(process: Process) -> None:
    """As a launcher does where others have ended; a process that one was lost to before they met waits for it."""
    late = time.perf_counter() + LAUNCHER_WAITS
    while process.poll() is None and time.perf_counter() < late:
        time.sleep(0.02)
    stop(process, signal.SIGTERM)


def faults(process: Process, number: signal.Signals, kind: Kind) -> list[str]:
    """What is wrong about how a process ends."""
    wrong = []
    try:
        said = process.communicate(timeout=LONGEST)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[0].decode("utf-8", "replace")
        wrong.append("it did not end")
    if "Traceback" in said and "numdnc/" in said:  # an interpreter that is starting prints its own
        wrong.append(f"a traceback: {said[-2000:]}")
    outlived = kind.sweep and "must be run by one process, but " in said  # by runs of a killed sweep
    if process.returncode not in may_end(number, kind) and not outlived:
        wrong.append(f"exit code {process.returncode} of {number.name}: {said[-500:]}")
    return wrong


def may_end(number: signal.Signals, kind: Kind) -> set[int]:
    """The codes by which a process may end; it may have been done before."""
    if kind.processes > 1:  # others may have been told, or one was lost
        return {0, 2, 130, -number, -signal.SIGTERM}
    return {0, -number} if number == signal.SIGKILL else {0, -number, 130}


def ends_well(kind: Kind, folder: Path, straight: Straight) -> list[str]:
    """What is wrong with a run once it was let to its end."""
    try:
        if not kind.is_done(folder) or kind.sweep:
            run_to_end(kind, folder)
        else:  # killed after it had saved all; the lock's file stays until somebody else takes the lock
            (folder / RUN_LOCK).unlink(missing_ok=True)
        wrong = differences(straight.outcome, kind.outcome(folder))
    except (AssertionError, OSError) as error:
        return [f"it does not go on: {error}"]
    return [f"not the straight one in {', '.join(wrong[:5])}"] if wrong else []


def on_disk(kind: Kind, folder: Path) -> str:
    found = ", ".join(str(iteration(run)) for run in kind.runs(folder))
    return f"iteration {found}{', half-written files' if half_written(folder) else ''}"


def half_written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()] if folder.exists() else []


def children(process: int) -> list[int]:
    """What a process has started, while it is there."""
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
