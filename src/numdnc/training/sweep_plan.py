"""The plan of a sweep: what is trained, which options are varied, the runs that follow; and its file sweep.json."""

import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from numdnc.errors import UserError
from numdnc.schema import Size, parse_json, validated

DEFAULT_SEEDS = 5
SET_BY_SWEEP = ("seed", "out", "o")
"""Options of `train` that the sweep sets itself."""
MOST_RUNS = 100_000


class PlannedRun(NamedTuple):
    """One run of a sweep."""

    name: str
    """Name of its folder within that of the sweep."""
    setting: dict[str, str]
    """Value of each varied option."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is run: every seed of every combination of the varied values."""

    train: tuple[str, ...]
    """What follows `numdnc train`; {seed} in a word is the seed, as in `--start-from runs/easier/seed={seed}`."""
    vary: Mapping[str, tuple[str, ...]]
    """The values of each varied option; yes and no stand for --NAME and --no-NAME."""
    seeds: int = DEFAULT_SEEDS
    """Seeds 0, 1, .. of each setting."""
    custom_task: str | None = None
    """Where to load a custom task from in this call, in place of the first of `train`; not saved."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UserError(f"seeds must be at least 1, got {self.seeds}.")
        if self.seeds * math.prod(map(len, self.vary.values())) > MOST_RUNS:
            raise UserError(f"a sweep must have at most {MOST_RUNS:,} runs, got more. Vary less.")
        if not all(map(_is_word, (*self.train, *self.vary, *itertools.chain(*self.vary.values())))):
            raise UserError(
                "words of a sweep must be ones that a command line can hold, got others. Change them."
            )
        if not self.train or self.train[0].startswith("-") or self.train[0] in ("train", "numdnc"):
            raise UserError(
                "what follows -- must be what follows `numdnc train`, such as `-- copy --steps 2000`, "
                f"got {shlex.join(self.train) or 'nothing'}."
            )
        given = {name for name, _ in options(self.train)}
        for name, values in self.vary.items():
            if not re.fullmatch(r"[A-Za-z][\w.-]*", name):
                raise UserError(f"--vary must be given the name of an option, got {name!r}.")
            if not values or "" in values or len(set(values)) < len(values):
                raise UserError(
                    f"{name} must be varied over different values, got {','.join(values) or 'none'}."
                )
            if name.replace("_", "-") in given:
                raise UserError(f"--{name} must be varied or be given after --, got both. Leave one out.")
        for name in SET_BY_SWEEP:
            if name in given or name in self.vary:
                raise UserError(
                    f"{'-' if len(name) == 1 else '--'}{name} must be left to the sweep, got one. Leave it out; "
                    "--seeds sets the number of seeds."
                )

    @property
    def settings(self) -> list[dict[str, str]]:
        """Every combination of varied values."""
        return [
            dict(zip(self.vary, values, strict=True)) for values in itertools.product(*self.vary.values())
        ]

    def words(self, setting: Mapping[str, str], seed: int) -> list[str]:
        """The words after `numdnc train` for a setting, but for --seed and --out."""
        given = [word.replace("{seed}", str(seed)) for word in self.train[1:]]
        varied = [option_word(name, value) for name, value in setting.items()]
        return [self.custom_task or self.train[0], *given, *varied]

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs: the first seed of every setting, then the next seed."""
        return [
            PlannedRun(_name({**setting, "seed": str(seed)}), setting, seed)
            for seed in range(self.seeds)
            for setting in self.settings
        ]


def _is_word(text: str) -> bool:
    """Whether a program can be called with this word."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _name(values: Mapping[str, str]) -> str:
    """The name of a run's folder; values such as paths are quoted, so that names stay distinct and valid."""
    return ",".join(f"{name}={quote(value, safe='+@:')}" for name, value in values.items())


def options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option among these words: its name, without --no-, and its words."""
    for at, word in enumerate(words):
        if match := re.fullmatch(r"--?(?:no[-_])?([A-Za-z][\w.-]*)(=.*)?", word, re.DOTALL):
            alone = match[2] is not None or at + 1 == len(words)
            yield match[1].replace("_", "-"), [word] if alone else [word, words[at + 1]]


def option_word(name: str, value: str) -> str:
    """The word that sets an option to this value on a command line."""
    name = name.replace("_", "-")
    return {"yes": f"--{name}", "no": f"--no-{name}"}.get(value, f"--{name}={value}")


def as_typed(train: Sequence[str], vary: Mapping[str, Sequence[str]]) -> str:
    """The options of a sweep as a user would type them."""
    varied = [word for name, values in vary.items() for word in ("--vary", f"{name}={','.join(values)}")]
    return f"`{shlex.join([*varied, '--', *train])}`"


@dataclass(frozen=True)
class _Described:
    """The contents of sweep.json."""

    train: tuple[str, ...]
    vary: dict[str, tuple[str, ...]]
    seeds: Size


def parse_sweep(contents: bytes) -> Sweep:
    """The sweep that the contents of sweep.json describe; ValueError or UserError if they describe none."""
    stored = validated(_Described, parse_json(contents.decode()))
    return Sweep(train=stored.train, vary=stored.vary, seeds=stored.seeds)
