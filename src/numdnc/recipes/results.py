"""Results of a recipe: our figures beside the published ones, as JSON, as Markdown, as rows of a table."""

import math
import os
import platform
import shlex
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path

from numdnc import __version__
from numdnc.files import MAX_TEXT_BYTES
from numdnc.machine import count_processors
from numdnc.recipes.recipe import Figure
from numdnc.schema import Count, Finite, json_text, read_json

FILE = "results.json"
"""Name of the file in the folder of a reproduction; the same table is in results.md."""
WIDTH = 110
"""Columns of the commands in Markdown."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the runs were computed with."""

    processor: str
    processors: Count
    """How many of them this process may use."""
    system: str
    versions: dict[str, str]
    """Of Python and of the packages that compute."""

    @classmethod
    def here(cls) -> "Machine":
        """Describe the machine that this process runs on."""
        from importlib.metadata import version  # slow to import

        packages = {name: version(name) for name in ("numpy", "numba")}
        return cls(
            processor=_processor(),
            processors=count_processors(),
            system=platform.system(),
            versions={"numdnc": __version__, "Python": platform.python_version(), **packages},
        )

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.processor} ({self.processors} processors), {self.system}; {versions}"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run."""

    seed: Count
    state: str
    """solved, done, begun or failed, as a sweep says."""
    iterations: Count
    solved_iteration: Count | None
    hours: Finite
    """Of training and the scoring within, on one core."""


@dataclass(frozen=True, kw_only=True)
class FigureResult:
    """A figure, measured on every run that did not fail."""

    figure: Figure
    seeds: tuple[Count, ...]
    values: tuple[Finite, ...]
    """In the unit of the figure, in the order of the seeds."""
    mean: Finite | None
    sd: Finite | None
    """The sample standard deviation; None of fewer than two values."""
    errors: tuple[str, ...]
    """Why runs could not be scored."""

    @classmethod
    def of(cls, figure: Figure, scores: dict[int, float], errors: Sequence[str]) -> "FigureResult":
        """The result of these scores, by seed."""
        empty = cls(
            figure=figure, seeds=(), values=(), mean=None, sd=None, errors=tuple(dict.fromkeys(errors))
        )
        return empty.with_values({seed: figure.in_unit(score) for seed, score in scores.items()})

    def with_values(self, values: dict[int, float]) -> "FigureResult":
        """The same with these values, by seed, in the unit of the figure."""
        found = tuple(values.values())
        return replace(
            self,
            seeds=tuple(values),
            values=found,
            mean=statistics.fmean(found) if found else None,
            sd=statistics.stdev(found) if len(found) > 1 else None,
        )


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """What a reproduction has found so far for one model."""

    name: str
    """Empty if it is the only one."""
    train: str
    """What followed `numdnc train`; {runs} stands for the folder of the reproduction."""
    runs: tuple[RunRecord, ...]
    figures: tuple[FigureResult, ...]

    @property
    def finished(self) -> bool:
        """Whether every run has ended and was scored."""
        ended = all(run.state in ("solved", "done") for run in self.runs)
        return ended and not any(figure.errors for figure in self.figures)

    @property
    def failed(self) -> bool:
        """Whether a run failed or could not be scored."""
        return any(run.state == "failed" for run in self.runs) or any(found.errors for found in self.figures)


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that a reproduction has found so far."""

    recipe: str
    summary: str
    source: str
    note: str
    machine: Machine
    models: tuple[ModelResult, ...]

    @property
    def finished(self) -> bool:
        """Whether every run of every model has ended and was scored."""
        return all(model.finished for model in self.models)

    @property
    def figures(self) -> list[Figure]:
        """What is measured of each model, but for those that are only what others begin with."""
        return [found.figure for found in max((model.figures for model in self.models), key=len)]

    @property
    def errors(self) -> list[str]:
        """What could not be scored, and why."""
        return [
            f"{_title(model)}{found.figure.name}: {error}"
            for model in self.models
            for found in model.figures
            for error in found.errors
        ]

    def to_json(self) -> str:
        """The contents of results.json."""
        return json_text(asdict(self), indent=1) + "\n"


def read_result(path: Path) -> Result:
    """The result in a file results.json."""
    return read_json(path, Result, MAX_TEXT_BYTES, "hold the results of a recipe")


def rows(result: Result) -> list[list[str]]:
    """The table of figures, heads first: a row for each figure or, of several models, for each model."""
    if len(result.models) > 1:
        return _by_model(result)
    model = result.models[0]
    return [
        ["figure", "ours, mean (sd)", "published"],
        *([_head(found.figure), _value(found, model), _published(found.figure)] for found in model.figures),
    ]


def _by_model(result: Result) -> list[list[str]]:
    figures = result.figures
    body = [
        [
            model.name,
            *([_value(found, model) for found in model.figures] or ["-"] * len(figures)),
            _solved_of(model),
            _time(model) or "-",
        ]
        for model in result.models
    ]
    if any(figure.published is not None for figure in figures):
        body.append(["published", *map(_published, figures), "", ""])
    return [["model", *map(_head, figures), "updates to solve", "a run on one core"], *body]


def _head(figure: Figure) -> str:
    return f"{figure.name}, {figure.unit}"


def _value(found: FigureResult, model: ModelResult) -> str:
    missing = len(model.runs) - len(found.values)
    return _spread(found.figure, found.mean, found.sd) + (f", {missing} missing" if missing else "")


def _published(figure: Figure) -> str:
    return _spread(figure, figure.published, figure.published_sd)


def status(result: Result) -> str:
    """How the runs ended and how long they took, in a sentence."""
    runs = [run for model in result.models for run in model.runs]
    ended = sum(run.state in ("solved", "done") for run in runs)
    parts = [f"{ended} of {len(runs)} runs have ended"]
    for model in result.models:
        if left := [run for run in model.runs if run.state not in ("solved", "done")]:
            parts.append(_title(model) + ", ".join(f"seed {run.seed} {_progress(run)}" for run in left))
    if len(result.models) == 1:
        model = result.models[0]
        if solved := _solved(model):
            parts.insert(1, f"{len(_solved_after(model))} solved after {solved} updates")
        if time := _time(model):
            parts.append(f"{time} a run on one core")
    return "; ".join(parts)


def _title(model: ModelResult) -> str:
    return f"{model.name}: " if model.name else ""


def _solved(model: ModelResult) -> str:
    """Updates after which runs were solved, mean (sd); empty if none was."""
    solved = _solved_after(model)
    if not solved:
        return ""
    spread = f"{statistics.fmean(solved):,.0f}"
    return spread + (f" ({statistics.stdev(solved):,.0f})" if len(solved) > 1 else "")


def _solved_after(model: ModelResult) -> list[int]:
    return [run.solved_iteration for run in model.runs if run.solved_iteration is not None]


def _solved_of(model: ModelResult) -> str:
    """The same, and how many were if not all; "-" if none was."""
    count, of = len(_solved_after(model)), len(model.runs)
    return (_solved(model) or "-") + (f", {count} of {of}" if 0 < count < of else "")


def _time(model: ModelResult) -> str:
    """The mean time of the runs that have begun; empty if none has."""
    begun = [run.hours for run in model.runs if run.iterations]
    return _hours(statistics.fmean(begun)) if begun else ""


def markdown(result: Result, level: int = 1) -> str:
    """The result as a section; its title has `level` number signs."""
    heads, *body = rows(result)
    figures = result.figures
    sources = [f"{figure.name}: {figure.source}" for figure in figures if figure.source]
    commands = [f"numdnc reproduce {result.recipe} --seeds {len(result.models[0].runs)}"]
    for trained in _trainings(result):
        commands += [f"# {line}" for line in textwrap.wrap(trained, WIDTH, break_on_hyphens=False)]
    commands += [f"# {figure.name}: numdnc eval RUN {figure.eval}".rstrip() for figure in figures]
    parts = [
        f"{'#' * level} {result.recipe}",
        _filled(f"{result.summary} Published in: {result.source}."),
        *([] if result.finished else ["**Not finished**: these figures are provisional."]),
        "\n".join([_row(heads), _row(["---"] * len(heads)), *map(_row, body)]),
        *([_filled(f"Published figures. {'; '.join(sources)}.")] if sources else []),
        _filled(f"{status(result)}. {result.machine}."),
        *([_filled(result.note)] if result.note else []),
        *(f"Not scored: {error}" for error in result.errors),
        "\n".join(f"    {line}" for line in commands),
    ]
    return "\n\n".join(parts) + "\n"


def _trainings(result: Result) -> list[str]:
    """What was trained: of several models the words that all have in common, then those that each adds."""
    models = result.models
    if len(models) == 1:
        return [f"trains: numdnc train {models[0].train}"]
    words = [
        shlex.split(model.train.replace("{runs}", f"runs/reproduce/{result.recipe}")) for model in models
    ]
    common = [each[0] for each in takewhile(lambda each: len(set(each)) == 1, zip(*words, strict=False))]
    while common and any(mine[len(common) :] and not mine[len(common)].startswith("-") for mine in words):
        common.pop()  # an option whose value differs
    return [
        shlex.join(["trains:", "numdnc", "train", *common, ".."]),
        *(
            f"{model.name}: .. {shlex.join(mine[len(common) :])}"
            for model, mine in zip(models, words, strict=True)
        ),
    ]


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(figure: Figure, mean: float | None, sd: float | None) -> str:
    """Mean (sd), with one decimal of a percentage and three of anything else."""
    if mean is None:
        return "-"
    places = 1 if figure.unit.startswith("%") else 3
    return f"{mean:.{places}f}" + ("" if sd is None else f" ({sd:.{places}f})")


def _progress(run: RunRecord) -> str:
    return f"{run.state}, at update {run.iterations:,}" if run.iterations else run.state


def _hours(hours: float) -> str:
    minutes = 60 * hours
    return f"{hours:.1f} hours" if hours >= 1 else f"{math.ceil(minutes)} min"


def _processor() -> str:
    """The name of the processor, where the system says it."""
    info = Path("/proc/cpuinfo")
    if os.path.exists(info):  # noqa: PTH110 - never raises
        for line in info.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
