"""Races: two processes that want to write the same run, or the same sweep, in the same moment.

One of them has it. The other is refused in one line, which says who has it, or that there is a run already, and changes
nothing; where both can have what they want, such as a folder of their own, both get it. What lies there at the end is,
bit for bit, what one process alone gives.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hardening.forked import Forked
from hardening.runs import Tally, chosen, differences
from helpers.commands import contents
from numdnc.errors import UserError
from numdnc.inspection.trace_file import load_trace
from numdnc.runs import creation
from numdnc.training import folder as folders
from numdnc.training.checkpoint import load_checkpoint
from numdnc.training.lock import UNKNOWN_HOLDER

TRAIN = "train copy -m rnn -H 4 --batch 2 --evaluated 3 --max-length 3 --report-every 2 --sample-every 0 --steps 6"
TRAIN += " --engine reference"
HELD = ("must be written by one process at a time, but ", "must be run by one process, but ")
LATE = ("must not hold a run yet, got one.", "must have iterations left, but ")
"""What may be said where the other was done already."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    said: str


def run(folder: Path, count: int, rng: random.Random, tally: Tally, only: set[str]) -> None:
    """So many races, in turn over all there are."""
    names = chosen(only, RACES)
    os.chdir(folder)
    (alone,) = raced([[*TRAIN.split(), "--out", "straight"]], rng, late=0)
    assert alone.code == 0, alone.said
    straight = contents(Path("straight"))
    for number in range(count):
        name = names[number % len(names)]
        place = folder / str(number)
        place.mkdir()
        os.chdir(place)
        tally.add(name, f"race {number}", RACES[name](straight, rng))
        os.chdir(folder)
        shutil.rmtree(place)


def raced(commands: list[list[str]], rng: random.Random, late: float = 0.02) -> list[Ended]:
    """Start these commands in the same moment, give or take `late` seconds, and wait for all to end."""
    started = [start(words, rng.uniform(0, late)) for words in commands]
    return [ended(process) for process in started]


def start(words: list[str], late: float, before: Callable[[], None] = lambda: None) -> Forked:
    def wait() -> None:
        before()
        time.sleep(late)

    return Forked(words, Path.cwd(), before=wait)


def ended(process: Forked) -> Ended:
    said = process.communicate()[0].decode()
    assert process.returncode is not None
    return Ended(process.returncode, said)


def refusals(results: list[Ended], most: int) -> list[str]:
    """What is wrong if at most so many may be refused, and the others must be done."""
    wrong = []
    for result in results:
        errors = [line for line in result.said.splitlines() if line.startswith("error: ")]
        allowed = any(words in result.said for words in (*HELD, *LATE))
        if "Traceback" in result.said or result.code not in (0, 2):
            wrong.append(f"exit code {result.code}: {result.said[-1500:]}")
        elif result.code == 2 and not (allowed and len(errors) == 1):
            wrong.append(f"a refusal of another kind: {result.said[-500:]}")
        elif any(words in result.said for words in HELD) and "but process " not in result.said:
            just_taken = f"but {UNKNOWN_HOLDER} " in result.said  # which has not written its name yet
            wrong += [] if just_taken else [f"who has it is not said: {result.said[-500:]}"]
    if sum(result.code == 2 for result in results) > most:
        wrong.append(f"{most} may be refused, but were more: {[result.said[-300:] for result in results]}")
    return wrong


def compared(run: Path, straight: dict[str, Any]) -> list[str]:
    """What is not that of the run alone."""
    try:
        wrong = differences(straight, contents(run))
    except Exception as error:  # noqa: BLE001
        return [f"{run} is no whole run: {error}"]
    return [f"{run} is not the straight one in {', '.join(wrong[:5])}"] if wrong else []


def two_begins(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """In one folder, which may have to be made."""
    out = rng.choice(["run", "deep/er/run"])
    results = raced([[*TRAIN.split(), "--out", out]] * 2, rng)
    return refusals(results, 1) + compared(Path(out), straight)


def two_begins_without_a_name(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """Each gets a folder of its own."""
    results = raced([TRAIN.split()] * 2, rng)
    found = sorted(path.name for path in Path("runs").iterdir())
    wrong = [] if found == ["copy-rnn-1", "copy-rnn-2"] else [f"folders {found}"]
    for name in found:
        wrong += compared(Path("runs", name), straight)
    return refusals(results, 0) + wrong


def a_begin_beside_one_that_fails(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """What fails removes what it has made, but nothing of the other's."""
    words = [*TRAIN.split(), "--out", "deep/er/run"]
    failing = start(words, rng.uniform(0, 0.02), lambda: no_room(rng.uniform(0, 0.01)))
    (result,) = raced([words], rng)
    failed = ended(failing)
    wrong = [] if failed.code == 2 and "Traceback" not in failed.said else [f"the failing: {failed}"]
    if result.code == 2:  # the failing one held it, and then left no file
        # an empty folder may stay: the refused one's, into which the failing one came
        left = [str(path) for path in Path().rglob("*") if path.is_file()]
        wrong += [f"left: {left}"] if left else []
        return wrong + refusals([result], 1)
    return wrong + compared(Path("deep/er/run"), straight)


def no_room(late: float) -> None:
    """From now on this process finds no room for a checkpoint."""

    def full(path: Path, run: Any) -> None:
        time.sleep(late)
        raise UserError(f"{path} must be writable, got: No space left. Make room.")

    folders.save_run = full


def half_way(folder: str, rng: random.Random) -> None:
    """The run as it is after three of six iterations."""
    new_run = creation.new_run

    def shorter(*given: Any, **named: Any) -> Any:
        begun = new_run(*given, **named)
        begun.target = 3
        return begun

    with mock.patch.object(creation, "new_run", shorter):
        (result,) = raced([[*TRAIN.split(), "--out", folder]], rng, late=0)
    assert result.code == 0, result.said


RESUME = ["--steps", "6", "--sample-every", "0"]


def two_resumes(straight: dict[str, Any], rng: random.Random) -> list[str]:
    half_way("run", rng)
    results = raced([["resume", "run", *RESUME]] * 2, rng)
    return refusals(results, 1) + compared(Path("run"), at_half(straight))


def at_half(straight: dict[str, Any]) -> dict[str, Any]:
    """A run that was stopped at 3 of 6 iterations has a report there too: it is compared with one like it."""
    if not Path("../half-straight").exists():
        here = Path.cwd()
        os.chdir(here.parent)
        half_way("half-straight", random.Random(0))
        (result,) = raced([["resume", "half-straight", *RESUME]], random.Random(0), late=0)
        assert result.code == 0, result.said
        os.chdir(here)
    return contents(Path("../half-straight"))


def a_resume_whose_owner_is_killed(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """Two resumes, one killed at any moment; then a third, which must find nobody there."""
    half_way("run", rng)
    first = start(["resume", "run", *RESUME], 0)
    second = start(["resume", "run", *RESUME], rng.uniform(0, 0.05))
    time.sleep(rng.uniform(0, 0.15))
    first.kill()
    results = [ended(first), ended(second)]
    wrong = refusals([result for result in results if result.code != -signal.SIGKILL], 1)
    if load_checkpoint(Path("run/last.safetensors"))[1]["iteration"] < 6:
        wrong += refusals(raced([["resume", "run", *RESUME]], rng, late=0), 0)
    return wrong + compared(Path("run"), at_half(straight))


def sweep_words(*more: str) -> list[str]:
    return ["sweep", "all", "--seeds", "1", "--jobs", "1", "--", *TRAIN.split()[1:], *more]


def a_resume_beside_a_sweep(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """A run of a sweep that is resumed by hand while the sweep goes on: the sweep says so and can be run again."""
    half_way("all/seed=0", rng)
    Path("all/sweep.json").write_text(
        '{"train": ' + str(TRAIN.split()[1:]).replace("'", '"') + ', "vary": {}, "seeds": 1}'
    )
    results = raced(
        [["sweep", "all", "--jobs", "1"], ["resume", "all/seed=0", *RESUME]],
        rng,
        late=rng.choice([0.02, 1.5]),
    )
    wrong = refusals(results[1:], 1)
    if results[0].code not in (0, 1) or "Traceback" in results[0].said:
        wrong.append(f"the sweep: {results[0]}")
    if load_checkpoint(Path("all/seed=0/last.safetensors"))[1]["iteration"] < 6:
        wrong += refusals(raced([["resume", "all/seed=0", *RESUME]], rng, late=0), 0)
    for name in ("log.txt", "failure.txt"):
        Path("all/seed=0", name).unlink(missing_ok=True)
    return wrong + compared(Path("all/seed=0"), at_half(straight))


def two_sweeps(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """Begun with other settings: one is, the other is refused, and the description is that of the one."""
    results = raced([sweep_words(), sweep_words("--clip-norm", "5")], rng)
    wrong = refusals(
        [result for result in results if "must be continued as it was started" not in result.said], 1
    )
    done = [rank for rank, result in enumerate(results) if result.code == 0]
    if len(done) != 1:
        wrong.append(f"not one was done: {results}")
    elif ('"5"' in Path("all/sweep.json").read_text()) != (done == [1]):
        wrong.append("the description is that of the other")
    for name in ("log.txt", "failure.txt"):
        Path("all/seed=0", name).unlink(missing_ok=True)
    return wrong + (compared(Path("all/seed=0"), straight) if done == [0] else [])


def two_traces(straight: dict[str, Any], rng: random.Random) -> list[str]:
    """Both write the same file, whole; neither is in the way of the other, nor of a training."""
    half_way("run", rng)
    results = raced([["trace", "run", "--engine", "reference"]] * 2 + [["resume", "run", *RESUME]], rng)
    wrong = refusals(results, 0)
    load_trace(Path("run/trace.safetensors"))
    Path("run/trace.safetensors").unlink()
    return wrong + compared(Path("run"), at_half(straight))


RACES: dict[str, Callable[[dict[str, Any], random.Random], list[str]]] = {
    "begins": two_begins,
    "resumes": two_resumes,
    "begins-unnamed": two_begins_without_a_name,
    "begin-fails": a_begin_beside_one_that_fails,
    "owner-killed": a_resume_whose_owner_is_killed,
    "traces": two_traces,
    "resume-sweep": a_resume_beside_a_sweep,
    "sweeps": two_sweeps,
}
