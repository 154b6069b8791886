"""Results of the methods of a run: plain data; `str()` gives text for people, `record()` JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numdnc.errors import UserError
from numdnc.formatting import format_table
from numdnc.inspection.diagnose import SEQUENCES
from numdnc.inspection.importance import Finding
from numdnc.inspection.task_plot import plot_text, save_task_plot
from numdnc.params import Array
from numdnc.tasks import Batch, Scores
from numdnc.tasks.babi.asking import StoryAnswer
from numdnc.tasks.graphs.asking import GraphStep
from numdnc.tasks.molecules.chemistry import draw_molecules
from numdnc.tasks.sequences import Channels, channel_names, optional_attribute
from numdnc.tasks.typed import TypedAnswer

CAVEAT = "(what this trained model relies on; a model trained without a part may do as well)"
"""Below the losses without each part."""


class Picture(Protocol):
    """One sequence or episode and what a model makes of it, or molecules; `str` is a picture in characters."""

    def save(self, path: str | Path) -> None:
        """Save the picture as a PNG, PDF or SVG file (needs matplotlib)."""
        ...


@dataclass(frozen=True, kw_only=True)
class SequencePicture:
    """One sequence and what a model makes of it; `str` gives the task's own words, else a picture of characters."""

    generator: Channels
    batch: Batch
    """The sequence, alone."""
    outputs: Array
    """(T, 1, Y), before the sigmoid or softmax."""
    gates: Mapping[str, Array] | None = None
    """Name -> (T, 1) in [0, 1], of a DNC."""

    def __str__(self) -> str:
        describe = optional_attribute(self.generator, "describe")
        if describe is not None:
            return str(describe(self.batch, self.outputs, 0))
        return plot_text(self.batch, self.outputs, 0, *self._names, self.gates)

    def save(self, path: str | Path) -> None:
        """Save the picture as a PNG, PDF or SVG file (needs matplotlib)."""
        save_task_plot(Path(path), self.batch, self.outputs, 0, *self._names, self.gates)

    @property
    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return channel_names(self.generator, "input"), channel_names(self.generator, "output")


@dataclass(frozen=True)
class MoleculePicture:
    """Valid molecules that a model has written; `str` gives their SMILES, one a line."""

    molecules: Sequence[str]

    def __str__(self) -> str:
        return "\n".join(self.molecules)

    def save(self, path: str | Path) -> None:
        """Save a drawing of them as a PNG or SVG file."""
        path = Path(path)
        if path.suffix.lower() not in (".png", ".svg"):
            raise UserError(
                f"a drawing of molecules must be named .png or .svg, got {path}. Give another name."
            )
        if not self.molecules:
            raise UserError("some samples must be valid to be drawn, got none. Train the model further.")
        drawn = draw_molecules(self.molecules, svg=path.suffix.lower() == ".svg")
        try:
            path.write_bytes(drawn)
        except OSError as error:
            raise UserError(f"{path} must be writable, got: {error.strerror}. Give another name.") from None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a run on data that it was not trained on."""

    scores: Scores
    """Name -> number; lower is better."""
    scores_without_reads: Scores | None
    """The same with every read vector set to zero, if asked for."""
    iteration: int
    """Updates that the model was trained for."""
    warnings: tuple[str, ...] = ()
    picture: Picture | None = None
    text: str = field(repr=False)
    json: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def record(self) -> dict[str, Any]:
        """What `numdnc eval --json` prints."""
        return self.json


@dataclass(frozen=True)
class StoryAnswers:
    """The answers to the questions of a story."""

    answers: Sequence[StoryAnswer]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = []
        for question, answer in self.answers:
            lines.append(question)
            for likeliest in answer:
                shares = ", ".join(f"{word} {100 * share:.1f} %" for word, share in likeliest.items())
                lines.append(f"   {shares}")
        return "\n".join(lines)

    def record(self) -> list[dict[str, Any]]:
        """What `numdnc ask --json` prints."""
        return [answer._asdict() for answer in self.answers]


@dataclass(frozen=True, kw_only=True)
class GraphAnswer:
    """The answer to a question about a graph, step by step beside what is right."""

    steps: Sequence[GraphStep]
    notes: Sequence[str]
    """How the question was understood, where that is not obvious."""
    nodes: int
    edges: int
    """Sizes of the graph that was shown."""
    arrives: bool | None
    """Whether a path ends where it is to; None of other questions."""
    iteration: int
    warnings: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether every step is."""
        return all(step.right for step in self.steps)

    def __str__(self) -> str:
        width = max(len(step.given) for step in self.steps)
        lines = [
            f"{step.given:<{width}}  {'right' if step.right else f'WRONG: {step.wanted}'}"
            for step in self.steps
        ]
        edges = f"{self.edges} edge{'s' * (self.edges != 1)}"
        shown = f"shown {edges} between {self.nodes} nodes (iteration {self.iteration})"
        verdict = "right" if self.right else "wrong"
        if not self.right and self.arrives is not None:
            verdict += "; arrives" if self.arrives else "; does not arrive"
        return "\n".join([*self.notes, *lines, f"{verdict}; {shown}"])

    def record(self) -> dict[str, Any]:
        """What `numdnc ask --json` prints."""
        return {
            "right": self.right,
            "answer": [step.given for step in self.steps],
            "truth": [step.wanted for step in self.steps],
            "notes": self.notes,
            "nodes": self.nodes,
            "edges": self.edges,
            **({} if self.arrives is None else {"arrives": self.arrives}),
            "iteration": self.iteration,
        }


@dataclass(frozen=True)
class TypedResult:
    """The answer to a typed question, beside what is right."""

    question: str
    answer: TypedAnswer
    iteration: int
    warnings: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the model is right."""
        return self.answer.right

    def __str__(self) -> str:
        details = ", ".join(f"{name} {value:.4f}" for name, value in self.answer.details.items())
        verdict = "right" if self.right else f"WRONG: {self.answer.wanted}"
        return f"{self.answer.given}{f' ({details})' if details else ''}  {verdict}"

    def record(self) -> dict[str, Any]:
        """What `numdnc ask --json` prints."""
        return {
            "question": self.question,
            "right": self.right,
            "answer": self.answer.given,
            "truth": self.answer.wanted,
            **self.answer.details,
            "iteration": self.iteration,
        }


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Whether and how a model uses its parts."""

    task: str
    kind: str
    iteration: int
    engine: str
    unit: str
    scores: dict[str, Scores]
    """Scores of the whole model and, by the part that is missing, of those without it."""
    findings: list[Finding]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        # bAbI has an error for each task, too many columns; `record` has them.
        names = [name for name in self.scores["whole"] if not name.startswith("error_")]
        rows = [["", *names]]
        for part, scores in self.scores.items():
            title = part if part == "whole" else f"without {part}"
            rows.append([title, *(f"{scores[name]:.4g}" for name in names)])
        to_look = sum(not finding.fine for finding in self.findings)
        return "\n".join(
            [
                f"{self.task}, {self.kind} at iteration {self.iteration}, engine {self.engine}",
                "",
                format_table(rows),
                *([CAVEAT] if len(self.scores) > 1 else []),
                "",
                *(f"{'ok  ' if f.fine else 'LOOK'}  {f.about:<12}{f.words}" for f in self.findings),
                "",
                f"{to_look} of {len(self.findings)} findings to look at",
            ]
        )

    def record(self) -> dict[str, Any]:
        """What `numdnc diagnose --json` prints."""
        findings = [
            {
                "about": finding.about,
                "verdict": "ok" if finding.fine else "look",
                "words": finding.words,
                "numbers": finding.numbers,
            }
            for finding in self.findings
        ]
        return {
            "task": self.task,
            "kind": self.kind,
            "iteration": self.iteration,
            "engine": self.engine,
            "unit": self.unit,
            "sequences": SEQUENCES,
            "scores": self.scores,
            "findings": findings,
        }
