"""Runs of molecules: SMILES are predicted and written token by token."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from numdnc import data
from numdnc.errors import UserError, check_seed
from numdnc.inspection.trace import About, Trace
from numdnc.names import quoted
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation, MoleculePicture
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.runs.user_state import find_data_path, save_data_path
from numdnc.schema import validated
from numdnc.tasks import Batch, Forward
from numdnc.tasks.molecules import MoleculeSettings, MoleculeTask
from numdnc.tasks.molecules.chemistry import canonical, has_rdkit, shares
from numdnc.tasks.molecules.likelihood import EVAL_BATCH, batch_of, divergence, negative_log_likelihoods
from numdnc.tasks.molecules.sampling import Samples, draw
from numdnc.tasks.molecules.smiles import Vocabulary, tokenise
from numdnc.training.events import Report
from numdnc.training.run import Run

SAMPLED = 1000
"""Molecules that `evaluate` samples by default."""
PICTURED = 12
"""Molecules of a picture."""
SHOWN = 8
"""Molecules that the model writes while it is trained."""


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: MoleculeSettings
    corpus: str
    """Name of the file without its folder, which may be private."""
    sha256: str
    tokens: tuple[str, ...]


class MoleculeRun(TaskRun):
    """A run of molecules. `corpus` says where their file lies now, if it has moved."""

    kind: ClassVar[str] = "molecules"
    noun: ClassVar[str] = "molecules"
    score_name: ClassVar[str] = "loss"
    next_commands: ClassVar[tuple[str, ...]] = ("sample {} --count 10", "eval {}", "view {}")

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        corpus: str | Sequence[str] = (),
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        with of_this_version(self.noun):
            self.settings, tokens, self.max_tokens = self._stored(run)
            self.vocabulary = Vocabulary(tokens)
            """The tokens that the model knows, in the order of inputs and outputs."""
            if not self.vocabulary.size == run.spec.input_size == run.spec.output_size:
                raise UserError(f"{self.vocabulary.size} tokens for {run.spec.input_size} inputs")
            check_batch(run, self.settings.batch)
        given = [corpus] if isinstance(corpus, str) else corpus
        if len(given) > 1:
            raise UserError(f"--corpus must name the one file of the molecules, got {len(given)}. Name one.")
        self._corpus = given[0] if given else None

    def _stored(self, run: Run) -> tuple[Any, tuple[str, ...], int]:
        """The settings that a checkpoint stores, the tokens, and the most of them in a molecule."""
        stored = validated(_Stored, run.task)
        return stored.settings, stored.tokens, stored.settings.max_tokens

    @classmethod
    def prepare(cls, corpus: str, settings: MoleculeSettings, *, seed: int) -> NewTask:
        """Read molecules to train on, from a file with one a line as SMILES."""
        if not corpus:
            raise UserError(
                "molecules must come from a file with one a line as SMILES, got none. Give it with --corpus FILE."
            )
        found = _load(corpus)
        task = MoleculeTask(found, settings, seed)
        save_data_path(found.sha256, Path(corpus))
        return NewTask(
            task,
            metadata={
                "name": task.name,
                "kind": cls.kind,
                "settings": dataclasses.asdict(settings),
                "corpus": Path(corpus).name,
                "sha256": found.sha256,
                "tokens": list(task.vocabulary.tokens),
            },
            batch=settings.batch,
            states=max(settings.batch * (task.longest + 2), 3 * EVAL_BATCH),
            about=f"{task.corpus_name}: {len(task.trained):,} molecules to train on, {len(task.held_out):,} held out, "
            f"{len(task.vocabulary.tokens)} different tokens; {task.batches:,} updates an epoch",
            stem="molecules",
            in_parts="a molecule is written token by token",
        )

    @cached_property
    def task(self) -> MoleculeTask:
        """The task on the run's molecules, which must be the same byte for byte."""
        stored, sha256 = self.checkpoint.task["corpus"], self.checkpoint.task["sha256"]
        wanted = self._corpus or find_data_path(sha256, stored)
        try:
            found = _load(wanted)
        except UserError as error:
            hint = "" if self._corpus else " If the file has moved, say with --corpus where it lies now."
            raise UserError(f"{error}{hint}") from None
        if found.sha256 != sha256:
            raise UserError(
                f"the molecules must be those the run was started with (SHA-256 {sha256[:12]}..), "
                f"got others at {wanted} ({found.sha256[:12]}..). Give the old ones with --corpus."
            )
        save_data_path(sha256, Path(wanted))
        return MoleculeTask(found, self.settings, self.checkpoint.training.seed)

    def evaluate(
        self, *, no_reads: bool = False, sequences: int | None = None, picture: bool = False
    ) -> Evaluation:
        """Likelihood of all held-out molecules, and what the model writes: `sequences` molecules, sampled with seed 0.

        With `picture` the result has a picture of the first valid ones.

        Without RDKit, which says what is valid, the shares are left out and a warning says so.
        """
        task, count = self.task, SAMPLED if sequences is None else sequences
        if count < 1:
            raise UserError(f"sequences must be at least 1, got {count}.")
        scores, without = self._scores(task, no_reads)
        samples = self._draw(self.forward, count, np.random.default_rng(0))
        held_out = negative_log_likelihoods(self.forward, task.held_out)
        written: dict[str, Any] = {
            "sampled": count,
            "sampled_nll": float(samples.nll.mean()),
            "divergence": divergence(samples.nll, held_out),
        }
        words = f"{count:,} sampled: NLL {written['sampled_nll']:.2f}, divergence {written['divergence']:.4f}"
        warnings: tuple[str, ...] = ()
        if has_rdkit():
            trained = map(canonical, map(self.vocabulary.decode, task.trained))
            found = shares(self._canonical(samples), trained)
            written |= found._asdict()
            words += f"; {100 * found.valid:.2f} % valid, of these {100 * found.unique:.2f} % different, "
            words += f"of these {100 * found.novel:.2f} % new"
        else:
            warnings = ("which samples are valid is not known: the package rdkit is not installed",)
        iteration = self.checkpoint.iteration
        text = f"{_in_words(scores)} of {len(task.held_out):,} held-out molecules (iteration {iteration})\n{words}"
        record = {"iteration": iteration, "held_out_molecules": len(task.held_out), **scores, **written}
        if without is not None:
            text += f"\n{_in_words(without)} with every read vector zeroed"
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            warnings=warnings,
            picture=self._picture(samples) if picture else None,
            text=text,
            json=record,
        )

    def trace(self, *, user_input: str | None = None, number: int | None = None) -> Trace:
        """Record one of the held-out molecules, or the SMILES of one of the user's own."""

        def make() -> tuple[Batch, About]:
            if user_input is not None:
                numbers, which = self._encode(user_input, "--input"), "a molecule given by hand"
            else:
                numbers, which = self.task.molecule(number or 0), f"held-out molecule {number or 0}"
            return batch_of([numbers]), self._about(f"{which}, {self.vocabulary.decode(numbers)}")

        return self._trace(make)

    def sample(
        self, *, count: int = 10, prime: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> str:
        """Let the model write `count` molecules, one a line; each token is drawn from softmax(y / temperature).

        Temperature 0 takes the likeliest token. `prime` is what every molecule begins with, by default nothing.
        """
        return "".join(self.stream(count=count, prime=prime, temperature=temperature, seed=seed))

    def stream(
        self, *, count: int = 10, prime: str | None = None, temperature: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """The same line by line, with a line break before each but the first."""
        if count < 1:
            raise UserError(f"count must be at least 1, got {count}.")
        check_seed(seed)
        begin = self._encode(prime or "", "--prime")
        rng = np.random.default_rng(seed)
        for first in range(0, count, EVAL_BATCH):
            wanted = min(EVAL_BATCH, count - first)
            samples = self._draw(self.forward, wanted, rng, begin=begin, temperature=temperature)
            for number, tokens in enumerate(samples.tokens, first):
                yield f"{chr(10) if number else ''}{self.vocabulary.decode(tokens)}"

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, loss in training and of held-out molecules, speed, time left."""
        parts = [
            *time_and_iteration(report.seconds, report.iteration),
            f"loss {report.train:.4f}",
            f"held-out {report.held_out:.4f}",
            f"{report.scores['nll']:7.3f} a molecule",
            f"{report.per_second:9.0f} tokens/s",
            time_left(report.seconds_left),
        ]
        return ProgressLine(parts, drop=(5, 4, 2, 6))

    def show_sample(self) -> str:
        """Molecules that the model writes, and how many of a batch are valid if RDKit is installed."""
        rng = np.random.default_rng([self.checkpoint.training.seed, self.checkpoint.iteration])
        samples = self._draw(self.checkpoint.forward, EVAL_BATCH, rng)
        lines = [self.vocabulary.decode(tokens) for tokens in samples.tokens[:SHOWN]]
        if has_rdkit():
            valid = sum(found is not None for found in self._canonical(samples))
            lines.append(f"{100 * valid / EVAL_BATCH:.1f} % of {EVAL_BATCH} valid")
        return "\n".join(lines)

    def format_score(self, score: float) -> str:
        """Nats a token."""
        return f"{score:.4f}"

    def _draw(
        self,
        forward: Forward,
        count: int,
        rng: np.random.Generator,
        *,
        begin: NDArray[np.integer] | None = None,
        temperature: float = 1.0,
    ) -> Samples:
        """Samples, of which at most EVAL_BATCH are drawn at once."""
        self._check_memory(3 * EVAL_BATCH, EVAL_BATCH)
        drawn = [
            draw(
                forward,
                count=min(EVAL_BATCH, count - first),
                begin=np.empty(0, self.vocabulary.dtype) if begin is None else begin,
                max_tokens=self.max_tokens,
                temperature=temperature,
                rng=rng,
            )
            for first in range(0, count, EVAL_BATCH)
        ]
        tokens = [molecule for samples in drawn for molecule in samples.tokens]
        return Samples(
            tokens,
            np.concatenate([some.ended for some in drawn]),
            np.concatenate([some.nll for some in drawn]),
        )

    def _canonical(self, samples: Samples) -> Sequence[str | None]:
        """Canonical SMILES of samples; None for what is not valid or has not ended."""
        return [
            canonical(self.vocabulary.decode(tokens)) if ended else None
            for tokens, ended in zip(samples.tokens, samples.ended, strict=True)
        ]

    def _picture(self, samples: Samples) -> MoleculePicture:
        return MoleculePicture([smiles for smiles in self._canonical(samples) if smiles][:PICTURED])

    def _encode(self, smiles: str, option: str) -> NDArray[np.integer]:
        try:
            return self.vocabulary.encode(tokenise(smiles))
        except UserError as error:
            raise UserError(f"{option} must be a molecule: {error}") from None

    def _about(self, sequence: str) -> About:
        return About(
            task=self.name,
            settings=dataclasses.asdict(self.settings),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=self.vocabulary.names,
            output_channels=self.vocabulary.names,
        )


def _load(corpus: str) -> data.Corpus:
    """Read a file; the name of a registered text is that of a file here too."""
    if not os.path.exists(corpus):  # noqa: PTH110 - a path with a NUL is there neither
        raise UserError(
            f"--corpus must name a file with a molecule a line as SMILES, got {quoted(corpus)}, which is not there. "
            "Check the name."
        )
    return data.load(str(Path(corpus).absolute()))._replace(name=corpus)


def _in_words(scores: dict[str, float]) -> str:
    return f"NLL {scores['nll']:.3f} nats, {scores['loss']:.4f} a token,"
