"""A sweep: the same training over seeds and settings, each run a process of its own; what is done is done once."""

import itertools
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from numdnc.errors import UserError
from numdnc.files import LARGEST_TEXT, open_to_append, write_atomically
from numdnc.reading import open_ordinary, read_bounded
from numdnc.schema import Size, parse_json, validated
from numdnc.training.folder import RUN_LOCK, RunFolder
from numdnc.training.lock import ANOTHER, LockedError, held, holder
from numdnc.training.outcomes import Outcome, standing
from numdnc.training.processes import VARIABLES

PROGRAM = (sys.executable, "-m", "numdnc")
"""How a run is started; `train ..` or `resume ..` follows."""
DEFAULT_SEEDS = 5
OWN = ("seed", "out", "o")
"""Options of `train` that the sweep gives itself."""
ALSO_OF_RESUME = ("data", "minutes", "sample-every")
"""Options of `train` that hold for the process, not for the run: `resume` is given them again."""
POLL = 0.1
"""Seconds between looks at the processes."""
WHOLE = (0, 1)
"""The share of a process that does a sweep alone: its number, and of how many."""
_SHARE_LOCK = "share-{}-of-{}.lock"
_PATIENCE = 60.0
"""Seconds to wait for a lock that others hold for a moment."""


MOST_RUNS = 100_000
LAST_BYTES = 1 << 16
"""Of a log, so many are looked at."""


class Planned(NamedTuple):
    """One run of a sweep."""

    name: str
    """Its folder within the sweep's."""
    setting: dict[str, str]
    """Value of each varied option."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is run: every seed of every combination of varied values."""

    train: tuple[str, ...]
    """What follows `numdnc train`."""
    vary: Mapping[str, tuple[str, ...]]
    """Values of each varied option; yes and no stand for --NAME and --no-NAME."""
    seeds: int = DEFAULT_SEEDS
    """Seeds 0, 1, .. of each setting."""
    own: str | None = None
    """Where this call takes a task of one's own from, the first of `train`; not saved."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UserError(f"seeds must be at least 1, got {self.seeds}.")
        if self.seeds * math.prod(map(len, self.vary.values())) > MOST_RUNS:
            raise UserError(f"a sweep must have at most {MOST_RUNS:,} runs, got more. Vary less.")
        if not all(map(_is_word, (*self.train, *self.vary, *itertools.chain(*self.vary.values())))):
            raise UserError(
                "words of a sweep must be such as a command line can hold, got others. Change them."
            )
        if not self.train or self.train[0].startswith("-") or self.train[0] in ("train", "numdnc"):
            raise UserError(
                "what follows -- must be what follows `numdnc train`, such as `-- copy --steps 2000`, "
                f"got {shlex.join(self.train) or 'nothing'}."
            )
        given = {name for name, _ in _options(self.train)}
        for name, values in self.vary.items():
            if not re.fullmatch(r"[A-Za-z][\w.-]*", name):
                raise UserError(f"what is varied must be the name of an option, got {name!r}.")
            if not values or "" in values or len(set(values)) < len(values):
                raise UserError(
                    f"{name} must be varied over different values, got {','.join(values) or 'none'}."
                )
            if name.replace("_", "-") in given:
                raise UserError(f"--{name} must be varied or be given after --, got both. Leave one out.")
        for name in OWN:
            if name in given or name in self.vary:
                raise UserError(
                    f"{'-' if len(name) == 1 else '--'}{name} must be left to the sweep, got one. Leave it out; "
                    "how many seeds there are is said by --seeds."
                )

    @property
    def settings(self) -> list[dict[str, str]]:
        """Every combination of varied values."""
        return [
            dict(zip(self.vary, values, strict=True)) for values in itertools.product(*self.vary.values())
        ]

    @property
    def runs(self) -> list[Planned]:
        """All runs; first one of each setting, then the next seed."""
        return [
            Planned(_name({**setting, "seed": str(seed)}), setting, seed)
            for seed in range(self.seeds)
            for setting in self.settings
        ]


def _is_word(text: str) -> bool:
    """Whether a program can be given this."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _name(values: Mapping[str, str]) -> str:
    """A folder's name; a value such as a path is written so that it is one and stays different from others."""
    return ",".join(f"{name}={quote(value, safe='+@:')}" for name, value in values.items())


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option among these words, its name as in --some-name, --no-.. taken off, and the words that are it."""
    for at, word in enumerate(words):
        if match := re.fullmatch(r"--?(?:no[-_])?([A-Za-z][\w.-]*)(=.*)?", word, re.DOTALL):
            alone = match[2] is not None or at + 1 == len(words)
            yield match[1].replace("_", "-"), [word] if alone else [word, words[at + 1]]


@dataclass(frozen=True)
class _Described:
    """sweep.json."""

    train: tuple[str, ...]
    vary: dict[str, tuple[str, ...]]
    seeds: Size


class SweepFolder:
    """Where a sweep lies on disk: sweep.json says what it is, each run has a folder with a log.txt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._description = path / "sweep.json"
        self._lock = path / "sweep.lock"
        self._settling = path / "sweep.json.lock"

    def load(self) -> Sweep:
        """The sweep that was begun here."""
        try:
            found = parse_json(read_bounded(self._description, LARGEST_TEXT).decode())
            told = validated(_Described, found)
            return Sweep(train=told.train, vary=told.vary, seeds=told.seeds)
        except FileNotFoundError:
            raise UserError(
                f"{self.path} must hold a sweep, got none. Begin one by what follows `numdnc train`: "
                f"numdnc sweep {shlex.quote(str(self.path))} --seeds {DEFAULT_SEEDS} -- copy --steps 2000."
            ) from None
        except OSError as error:
            raise UserError(f"{self._description} must be readable, got: {error.strerror}.") from None
        except (ValueError, UserError) as error:
            raise UserError(
                f"{self._description} must describe a sweep, got something else ({error}). Use another folder."
            ) from None

    def agree(
        self,
        train: Sequence[str],
        vary: Mapping[str, tuple[str, ...]],
        seeds: int | None,
        *,
        shared: bool = False,
    ) -> Sweep:
        """A new sweep, or the one begun here, which may be given more seeds but else stays as it was.

        One of which no run has saved anything yet, since its options were wrong perhaps, may be given others, unless
        it is `shared` with those who are at it.
        """
        new = bool(train) and not (self._description.exists() and (shared or self._has_runs()))
        if new:
            return Sweep(train=tuple(train), vary=vary, seeds=DEFAULT_SEEDS if seeds is None else seeds)
        begun = self.load()
        given = (tuple(train) or begun.train, vary if train or vary else begun.vary)
        if given != (begun.train, begun.vary):
            raise UserError(
                f"{self.path} must be gone on with as it was begun, with {_as_given(begun.train, begun.vary)}, "
                f"got {_as_given(*given)}. Give just the folder, or another one."
            )
        sweep = Sweep(train=begun.train, vary=begun.vary, seeds=begun.seeds if seeds is None else seeds)
        if sweep.seeds < begun.seeds:
            raise UserError(
                f"seeds must be at least {begun.seeds}, as many as {self.path} has, got {seeds}. Leave --seeds out."
            )
        return sweep

    def _has_runs(self) -> bool:
        return any(RunFolder(self.path / run.name).last.exists() for run in self.load().runs)

    @contextmanager
    def begun(
        self,
        train: Sequence[str],
        vary: Mapping[str, tuple[str, ...]],
        seeds: int | None,
        share: tuple[int, int] = WHOLE,
    ) -> Iterator[tuple[Sweep, tuple[int, ...]]]:
        """Begin a sweep, or go on with it, and keep others from running it too, or this share of it; gives its locks.

        They last until the runs end that were given them, should this process be killed.
        """
        self.agree(train, vary, seeds)  # what cannot be is refused before anything is made
        with ExitStack() as holding:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                locks = [self._hold(holding, alone=share == WHOLE)]
                with held(self._settling, patience=_PATIENCE):  # those that share it begin in the same moment
                    shared = share != WHOLE and self._is_shared(share[1])
                    if share != WHOLE:
                        locks.append(self._hold_share(holding, share))
                    sweep = self.agree(train, vary, seeds, shared=shared)
                    text = json.dumps(
                        {"train": sweep.train, "vary": sweep.vary, "seeds": sweep.seeds}, indent=1
                    )
                    write_atomically(self._description, text.encode() + b"\n")
            except OSError as error:
                raise UserError(
                    f"{self.path} must be a folder that can be made and written to, got: {error.strerror}. "
                    "Give another."
                ) from None
            yield sweep, tuple(locks)

    def _hold(self, holding: ExitStack, *, alone: bool) -> int:
        try:
            return holding.enter_context(held(self._lock, alone=alone))
        except LockedError:
            raise UserError(
                f"the runs of {self.path} must be left to one process, but {self._holder()} is at them. Wait for it "
                "or stop it; --table shows how they stand."
            ) from None

    def _hold_share(self, holding: ExitStack, share: tuple[int, int]) -> int:
        lock = self.path / _SHARE_LOCK.format(*share)
        try:
            return holding.enter_context(held(lock))
        except LockedError as who:
            raise UserError(
                f"share {share[0]} of {share[1]} of the runs of {self.path} must be left to one process, but {who} is "
                "at it. Wait for it or stop it; --table shows how they stand."
            ) from None

    def _is_shared(self, count: int) -> bool:
        """Whether others are at their shares of it, which must be so many in all."""
        shared = False
        for lock in self._share_locks():
            try:
                with held(lock):
                    pass
            except LockedError as who:
                if not lock.match(_SHARE_LOCK.format("*", count)):
                    raise UserError(
                        f"all processes that share the runs of {self.path} must have the same WORLD_SIZE, got {count} "
                        f"here and another of {who}. Give the same to all, or wait for it or stop it."
                    ) from None
                shared = True
        return shared

    def _share_locks(self) -> Iterator[Path]:
        return self.path.glob(_SHARE_LOCK.format("*", "*"))

    def _holder(self) -> str:
        """Who is at the runs: the process of the sweep, those that share it, or runs that outlived theirs."""
        locks = (self._lock, *self._share_locks(), *self.path.glob(f"*/{RUN_LOCK}"))
        return next((who for who in map(holder, locks) if who != ANOTHER), ANOTHER)

    def _unusable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path} must be a folder that can be made and written to, got: {error.strerror}. Give another."
        )

    def outcome(self, run: Planned) -> Outcome:
        """How a run stands."""
        place = self.path / run.name
        found = standing(RunFolder(place))
        failed = place / "failure.txt"
        failure = None if found is not None and found.done else _text(failed) or None
        return Outcome(run.name, run.setting, run.seed, found, failure)

    def run_all(
        self,
        sweep: Sweep,
        runs: Sequence[Planned],
        *,
        jobs: int,
        locks: tuple[int, ...] = (),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Iterator["Tick | Outcome"]:
        """Start these runs, or continue them, at most `jobs` at a time; an Outcome as each ends, a Tick now and then.

        Once `interrupted()`, every run is told to stop and is waited for: it saves first.
        """
        waiting, running, told = list(runs), dict[str, _Running](), False
        try:
            while waiting or running:
                if interrupted() and not told:
                    waiting, told = [], True
                    for run in running.values():
                        run.process.terminate()
                while waiting and len(running) < jobs:
                    planned = waiting.pop(0)
                    running[planned.name] = self._start(sweep, planned, locks)
                ended = [run for run in running.values() if run.process.poll() is not None]
                for run in ended:
                    del running[run.planned.name]
                    yield self._end(run, told)
                yield Tick(len(running), len(waiting))
                if running and not ended:
                    time.sleep(POLL)
        finally:
            for run in running.values():
                run.process.kill()
                run.process.wait()

    def _start(self, sweep: Sweep, run: Planned, locks: tuple[int, ...]) -> "_Running":
        place = self.path / run.name
        if RunFolder(place).last.exists():
            again = [
                word for name, option in _options(sweep.train) if name in ALSO_OF_RESUME for word in option
            ]
            words = ["resume", str(place), *again, *(["--task", sweep.own] if sweep.own else [])]
        else:
            varied = [_as_option(name, value) for name, value in run.setting.items()]
            words = [
                "train",
                sweep.own or sweep.train[0],
                *sweep.train[1:],
                *varied,
                "--seed",
                str(run.seed),
                "--out",
                str(place),
            ]
        place.mkdir(exist_ok=True)
        (place / "failure.txt").unlink(missing_ok=True)
        log = place / "log.txt"
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        with open_to_append(log) as file:
            file.write(f"$ numdnc {shlex.join(words)}\n".encode())
            file.flush()
            process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={"NUMDNC_THREADS": "1", **inherited},
                process_group=0,  # Ctrl-C is for the sweep, which tells its runs just once
                pass_fds=locks,
            )
            return _Running(run, process, log, file.tell())

    def _end(self, run: "_Running", told: bool) -> Outcome:
        """What came of a run whose process has ended; that it failed is noted in its folder."""
        outcome, code = self.outcome(run.planned), run.process.returncode
        finished = outcome.standing is not None and (code == 0 or outcome.standing.done)
        if finished or (told and code in (130, -signal.SIGTERM)):
            return outcome
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        failure = f"{how}: {_last_words(_text(run.log, run.log_start))}"
        write_atomically(self.path / run.planned.name / "failure.txt", failure.encode())
        return outcome._replace(failure=failure)


class Tick(NamedTuple):
    """How many runs are under way and still to come."""

    running: int
    waiting: int


class _Running(NamedTuple):
    planned: Planned
    process: "subprocess.Popen[bytes]"
    log: Path
    log_start: int
    """Where in the log the process began to write."""


def _as_option(name: str, value: str) -> str:
    name = name.replace("_", "-")
    return {"yes": f"--{name}", "no": f"--no-{name}"}.get(value, f"--{name}={value}")


def _as_given(train: Sequence[str], vary: Mapping[str, Sequence[str]]) -> str:
    varied = [word for name, values in vary.items() for word in ("--vary", f"{name}={','.join(values)}")]
    return f"`{shlex.join([*varied, '--', *train])}`"


def _text(path: Path, start: int = 0) -> str:
    """The end of what a file holds from byte `start` on; nothing where there is no file."""
    try:
        with open_ordinary(path) as file:
            file.seek(max(start, path.stat().st_size - LAST_BYTES))
            return file.read(LAST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({path.name} cannot be read: {error.strerror})"


def _last_words(log: str) -> str:
    """The last line of a log, or what stands first in its last box, which is how wrong options are told."""
    lines = [line for line in log.splitlines() if line.strip()]
    boxes = [at for at, line in enumerate(lines) if line.startswith(("╭", "+-"))]
    line = lines[min(boxes[-1] + 1, len(lines) - 1)] if boxes else lines[-1] if lines else "it said nothing"
    return line.strip("│| ")
