"""`train text`, `resume`, `eval`, `sample`."""

import dataclasses
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import OmitArgPrefixes, Positional, arg

from numdnc import console, data
from numdnc.cli.options import ENGINES, AsJson, DataFolder, EngineName, ModelOptions
from numdnc.corpora import CORPORA, EMBEDDED
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.inspection.lesion import without_reads
from numdnc.spec import DNCSpec
from numdnc.tasks.text import TextSettings, TextTask, Vocabulary, sample, stretches_at_once
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.memory import check_memory
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run
from numdnc.tree import leaves

SAMPLE_LENGTH = 200


def train_text(
    *,
    corpus: Annotated[str, arg(aliases=["-c"])] = EMBEDDED,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    text: OmitArgPrefixes[TextSettings] = TextSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(),
    minutes: float = math.inf,
    engine: EngineName = "auto",
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    data_folder: DataFolder = None,
    sample_every: int = 10,
) -> None:
    """Train on a text, character by character; score the part that is held out; save, sample, resume.

    Args:
        corpus: A text file, or a name that `numdnc data list` knows.
        minutes: Stop after so many minutes if the steps are not done by then.
        engine: How the model is computed; auto takes the fastest that can.
        out: Folder for checkpoints and metrics (default: runs/text-MODEL-1, -2, ..).
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).
        sample_every: Progress lines between samples, besides the one at the end; 0 = none at all.

    """
    _check_minutes(minutes)
    found = data.load(corpus, data_folder)
    task = TextTask(found, text, training.seed)
    trained, held_out = task.characters
    spec = model.spec(task.input_size, task.output_size)
    chosen = select_engine(engine, spec, training.precision)
    # Beside a window's states there are, when scoring, three or so of every stretch that is scored at once.
    states = max(text.batch * (text.window + 2), 3 * stretches_at_once(held_out))
    whole = states if chosen.name == "reference" else text.batch
    check_memory(spec, states, whole, np.dtype(training.precision).itemsize)
    folder = RunFolder(out or _free_folder(f"text-{model.model}"))
    described = {
        "name": task.name,
        "settings": dataclasses.asdict(text),
        "corpus": corpus if corpus in CORPORA else str(Path(corpus).resolve()),
        "sha256": found.sha256,
        "vocabulary": task.vocabulary._asdict(),
    }
    run = new_run(
        spec,
        training,
        optimizer,
        task=described,
        position=task.position(),
        batch=text.batch,
        engine=chosen.name,
    )
    folder.begin(run)
    console.say(
        f"{spec.kind} with {sum(leaf.size for leaf in leaves(run.params)):,} parameters on engine {chosen.name}; "
        f"{task.corpus_name}: {trained:,} characters to train on, {held_out:,} held out, {task.input_size} symbols"
    )
    _train(run, task, folder, minutes, sample_every)


def resume(
    folder: Positional[Path],
    *,
    steps: int | None = None,
    minutes: float = math.inf,
    engine: Annotated[str | None, arg(metavar=ENGINES)] = None,
    corpus: str | None = None,
    data_folder: DataFolder = None,
    sample_every: int = 10,
) -> None:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped.

    Args:
        folder: The run's folder.
        steps: Iteration to train to (default: as the run was told last).
        minutes: Stop after so many minutes if the steps are not done by then.
        engine: Go on with this engine (default: the one used so far).
        corpus: Where the run's text lies now, if it has moved.
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).
        sample_every: Progress lines between samples, besides the one at the end; 0 = none at all.

    """
    _check_minutes(minutes)
    place = RunFolder(folder)
    run = place.load_last()
    if steps is not None:
        run.target = steps
    if run.target <= run.iteration:
        raise UserError(
            f"the run must have iterations left, but {run.iteration} of {run.target} are done. Give more with --steps."
        )
    if engine is not None:
        run.engine_name = select_engine(engine, run.spec, run.training.precision).name
    task = _text_task(run, corpus, data_folder)
    place.tidy(run)
    console.say(f"resuming {folder} at iteration {run.iteration} on engine {run.engine.name}")
    _train(run, task, place, minutes, sample_every)


def evaluate(
    folder: Positional[Path],
    *,
    last: bool = False,
    no_reads: bool = False,
    engine: EngineName = "auto",
    corpus: str | None = None,
    data_folder: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Bits per character on all of the held-out text.

    Args:
        folder: The run's folder.
        last: Score the last checkpoint, not the best.
        no_reads: Score a DNC whose read vectors are taken as zero, beside the whole one.
        engine: How the model is computed.
        corpus: Where the run's text lies now, if it has moved.
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).
        as_json: Print one JSON object.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    if no_reads and not isinstance(run.spec, DNCSpec):
        raise UserError(f"--no-reads must be given for a dnc, got a run of a {run.spec.kind}. Leave it out.")
    task = _text_task(run, corpus, data_folder)
    chosen = select_engine(engine, run.spec, run.training.precision)
    result = {
        "held_out_bpc": task.score(forward_with(chosen, run.spec, run.params)),
        "iteration": run.iteration,
        "held_out_characters": task.characters[1],
    }
    if isinstance(run.spec, DNCSpec) and no_reads:
        result["held_out_bpc_without_reads"] = task.score(
            forward_with(chosen, run.spec, without_reads(run.spec, run.params))
        )
    if as_json:
        print(json.dumps(result))
        return
    console.say(
        f"{result['held_out_bpc']:.4f} BPC on {result['held_out_characters']:,} held-out characters "
        f"(iteration {run.iteration})"
    )
    if no_reads:
        console.say(f"{result['held_out_bpc_without_reads']:.4f} BPC with every read vector zeroed")


def sample_text(
    folder: Positional[Path],
    *,
    length: Annotated[int, arg(aliases=["-n"])] = 500,
    prime: Annotated[str | None, arg(aliases=["-p"])] = None,
    temperature: Annotated[float, arg(aliases=["-t"])] = 1.0,
    seed: Annotated[int, arg(aliases=["-s"])] = 0,
    engine: EngineName = "auto",
) -> None:
    """Text that a trained model writes, as it writes it.

    Args:
        folder: The run's folder; its best checkpoint is taken.
        length: Characters to write.
        prime: Text the model reads first (default: a line break, or the first symbol it knows).
        temperature: Below 1 it takes fewer risks, above 1 more; 0 always takes the likeliest character.
        seed: Another seed, another sample.
        engine: How the model is computed.

    """
    run = RunFolder(folder).load_best()
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}.")
    chosen = select_engine(engine, run.spec, run.training.precision)
    vocabulary, _ = _described(run)
    raw = vocabulary.unit == "bytes" and not sys.stdout.isatty()
    characters = sample(
        forward_with(chosen, run.spec, run.params),
        vocabulary,
        length=length,
        prime=_default_prime(vocabulary) if prime is None else _as_symbols(prime, vocabulary),
        temperature=temperature,
        rng=np.random.default_rng(seed),
    )
    for character in characters:
        if raw:
            sys.stdout.buffer.write(character.encode("latin-1"))
        else:
            sys.stdout.write(console.printable(character))
        sys.stdout.flush()
    if not raw:
        sys.stdout.write("\n")


def _train(run: Run, task: TextTask, folder: RunFolder, minutes: float, sample_every: int) -> None:
    program, place = console.command(), shlex.quote(str(folder.path))

    def show_sample() -> None:
        rng = np.random.default_rng([run.training.seed, run.iteration])
        prime = _default_prime(task.vocabulary)
        written = sample(
            run.forward, task.vocabulary, length=SAMPLE_LENGTH, prime=prime, temperature=0.8, rng=rng
        )
        console.say("----\n" + console.printable("".join(written)) + "\n----")

    def sample_sometimes(iteration: int) -> None:
        last = iteration == run.target  # that one comes at the end in any case
        if sample_every > 0 and not last and iteration % (sample_every * run.training.report_every) == 0:
            show_sample()

    with console.stop_on_signals() as interrupted:
        events = train(run, task, folder, minutes=minutes, interrupted=interrupted)
        finished = console.show_training(
            events, unit=task.unit, target=run.target, start=run.iteration, on_report=sample_sometimes
        )
    if sample_every > 0 and finished.reason != "interrupted":
        show_sample()
    best = "none yet" if run.best_score is None else f"{run.best_score:.4f} at iteration {run.best_iteration}"
    stopped = {
        "steps": "done",
        "minutes": f"stopped after {minutes:g} minutes",
        "interrupted": "interrupted",
    }[finished.reason]
    console.say(
        f"{stopped} at iteration {finished.iteration}; best held-out BPC {best}; saved in {folder.path}"
    )
    more = run.target if finished.reason != "steps" else 2 * run.target
    console.say(
        f"next:  {program} sample {place} --length 500\n"
        f"       {program} eval {place}\n"
        f"       {program} resume {place} --steps {more}"
    )
    if finished.reason == "interrupted":
        sys.exit(130)


def _text_task(run: Run, corpus: str | None, data_folder: Path | None) -> TextTask:
    """The task of a run, on the same text, byte for byte."""
    _, settings = _described(run)
    wanted = run.task["corpus"] if corpus is None else corpus
    try:
        found = data.load(wanted, data_folder)
    except UserError as error:
        hint = "" if corpus else " If the run's text has moved, say with --corpus where it lies now."
        raise UserError(f"{error}{hint}") from None
    digest = found.sha256
    if digest != run.task["sha256"]:
        raise UserError(
            f"the corpus must be the one the run was started with (SHA-256 {run.task['sha256'][:12]}..), "
            f"got another at {wanted} ({digest[:12]}..). Give the old one with --corpus."
        )
    return TextTask(found, settings, run.training.seed)


def _described(run: Run) -> tuple[Vocabulary, TextSettings]:
    """Vocabulary and settings of a run's text task."""
    try:
        if not (isinstance(run.task["corpus"], str) and isinstance(run.task["sha256"], str)):
            raise TypeError("corpus and sha256 must be text")
        return Vocabulary(**run.task["vocabulary"]), TextSettings(**run.task["settings"])
    except (KeyError, TypeError, UserError) as error:
        raise UserError(
            f"the run must be one of the text task as this version knows it, got a checkpoint of another ({error}). "
            "Use the version of numdnc that wrote it."
        ) from None


def _default_prime(vocabulary: Vocabulary) -> str:
    return "\n" if "\n" in vocabulary.symbols else vocabulary.symbols[0]


def _as_symbols(given: str, vocabulary: Vocabulary) -> str:
    """What was typed, as symbols of the vocabulary: of a model of bytes these are the bytes typed."""
    return os.fsencode(given).decode("latin-1") if vocabulary.unit == "bytes" else given


def _check_minutes(minutes: float) -> None:
    if not minutes > 0:
        raise UserError(f"minutes must be above 0, got {minutes}.")


def _free_folder(stem: str) -> Path:
    """runs/STEM-1, or the first such that does not exist."""
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path
