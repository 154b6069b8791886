"""The command line: thin, prints.

Exit codes: 0 done, 1 a check failed, 2 something given cannot be used, 130 stopped by Ctrl-C.
"""

import dataclasses
import hashlib
import json
import math
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from threadpoolctl import threadpool_limits
from tyro.conf import OmitArgPrefixes, Positional, arg

from numdnc import console, data
from numdnc.engines import ENGINE_NAMES, select_engine
from numdnc.errors import UserError
from numdnc.inspection.gradcheck import gradcheck
from numdnc.inspection.lesion import without_reads
from numdnc.spec import SPECS, DNCSpec, Spec
from numdnc.tasks.text import TextSettings, TextTask, Vocabulary, sample, stretches_at_once
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.memory import check_memory
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run
from numdnc.tree import leaves

app = tyro.extras.SubcommandApp()
train_app = tyro.extras.SubcommandApp()
data_app = tyro.extras.SubcommandApp()
app.command(train_app, name="train", help="Train a model from scratch.")

DESCRIPTION = "The Differentiable Neural Computer: train it, check its gradients, sample from it."
SAMPLE_LENGTH = 200
MOST_LAYERS = 1000
ENGINES = "{" + ",".join(ENGINE_NAMES) + "}"


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What the model is."""

    model: Annotated[str, arg(aliases=["-m"], metavar="{rnn,lstm,dnc}")] = "dnc"
    """rnn, lstm or dnc."""
    hidden: Annotated[int, arg(aliases=["-H"])] = 128
    """Hidden units of each controller layer."""
    layers: int = 1
    """Controller layers."""
    controller: Annotated[str, arg(metavar="{lstm,rnn,feedforward}")] = "lstm"
    """The network that drives the memory (dnc only)."""
    memory_size: Annotated[int, arg(aliases=["-N"])] = 16
    """Memory slots (dnc only)."""
    word_size: Annotated[int, arg(aliases=["-W"])] = 16
    """Numbers per slot (dnc only)."""
    read_heads: Annotated[int, arg(aliases=["-R"])] = 2
    """Read heads (dnc only)."""

    def spec(self, input_size: int, output_size: int) -> Spec:
        """The spec for a task's sizes."""
        if self.model not in SPECS:
            raise UserError(f"model must be one of {', '.join(SPECS)}, got {self.model!r}.")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise UserError(f"layers must be from 1 to {MOST_LAYERS}, got {self.layers}.")
        hidden_sizes = (self.hidden,) * self.layers
        if self.model != "dnc":
            return SPECS[self.model](
                input_size=input_size, output_size=output_size, hidden_sizes=hidden_sizes
            )
        return DNCSpec(
            input_size=input_size,
            output_size=output_size,
            hidden_sizes=hidden_sizes,
            controller=self.controller,  # type: ignore[arg-type]  # the spec itself checks it
            memory_size=self.memory_size,
            word_size=self.word_size,
            read_heads=self.read_heads,
        )


@train_app.command(name="text")
def train_text(
    *,
    corpus: Annotated[str, arg(aliases=["-c"])] = data.EMBEDDED,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    text: OmitArgPrefixes[TextSettings] = TextSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(),
    minutes: float = math.inf,
    engine: Annotated[str, arg(aliases=["-e"], metavar=ENGINES)] = "auto",
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    data_folder: Annotated[Path | None, arg(name="data")] = None,
    sample_every: int = 10,
) -> None:
    """Train on a text, character by character; score the part that is held out; save, sample, resume.

    Args:
        corpus: A text file, or a name that `numdnc data list` knows.
        minutes: Stop after so many minutes if the steps are not done by then.
        engine: How the model is computed; auto takes the fastest that can.
        out: Folder for checkpoints and metrics (default: runs/text-MODEL-1, -2, ..).
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).
        sample_every: Progress lines between samples; 0 = none.

    """
    _check_minutes(minutes)
    task = TextTask(data.load(corpus, data_folder), text, training.seed)
    trained, held_out = task.characters
    spec = model.spec(task.input_size, task.output_size)
    chosen = select_engine(engine, spec, training.precision)
    # Beside a window's states there are, when scoring, three or so of every stretch that is scored at once.
    states = max(text.batch * (text.window + 2), 3 * stretches_at_once(held_out))
    check_memory(spec, states, np.dtype(training.precision).itemsize)
    folder = RunFolder(out or _free_folder(f"text-{model.model}"))
    described = {
        "name": task.name,
        "settings": dataclasses.asdict(text),
        "corpus": corpus if corpus in data.CORPORA else str(Path(corpus).resolve()),
        "sha256": task.sha256,
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


@app.command
def resume(
    folder: Positional[Path],
    *,
    steps: int | None = None,
    minutes: float = math.inf,
    engine: Annotated[str | None, arg(metavar=ENGINES)] = None,
    corpus: str | None = None,
    data_folder: Annotated[Path | None, arg(name="data")] = None,
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
        sample_every: Progress lines between samples; 0 = none.

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


@app.command(name="eval")
def evaluate(
    folder: Positional[Path],
    *,
    last: bool = False,
    no_reads: bool = False,
    engine: Annotated[str, arg(metavar=ENGINES)] = "auto",
    corpus: str | None = None,
    data_folder: Annotated[Path | None, arg(name="data")] = None,
    as_json: Annotated[bool, arg(name="json")] = False,
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


@app.command(name="sample")
def sample_text(
    folder: Positional[Path],
    *,
    length: Annotated[int, arg(aliases=["-n"])] = 500,
    prime: Annotated[str | None, arg(aliases=["-p"])] = None,
    temperature: Annotated[float, arg(aliases=["-t"])] = 1.0,
    seed: Annotated[int, arg(aliases=["-s"])] = 0,
    engine: Annotated[str, arg(metavar=ENGINES)] = "auto",
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
    vocabulary = Vocabulary(**run.task["vocabulary"])
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


@app.command(name="gradcheck")
def check_gradients(
    *,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(hidden=8, memory_size=6, word_size=5, read_heads=2),
    steps: int = 10,
    batch: int = 2,
    samples: int = 10,
    blank: bool = False,
    seed: int = 0,
    engine: Annotated[str, arg(metavar=ENGINES)] = "reference",
    as_json: Annotated[bool, arg(name="json")] = False,
) -> None:
    """Compare analytical gradients with numerical ones, for every parameter, the inputs and the initial state.

    Args:
        model: The model to check.
        steps: Length of the sequence.
        batch: Sequences at once.
        samples: Numbers checked of each array.
        blank: Start from the blank state instead of a random one.
        seed: Settles parameters, inputs, targets and which numbers are checked.
        engine: The engine whose gradients are checked; the numerical ones are always the reference's.
        as_json: Print one JSON object.

    """
    for name, value, least in (
        ("steps", steps, 1),
        ("batch", batch, 1),
        ("samples", samples, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
    spec = model.spec(4, 5)
    chosen = select_engine(engine, spec, np.float64)
    check_memory(spec, batch * (steps + 2), np.dtype(np.float64).itemsize)
    rows = []
    if not as_json:
        console.say(f"GRAD CHECK of {spec}, engine {chosen.name}, {steps} steps, batch {batch}, float64\n")
    for row in gradcheck(spec, chosen, steps=steps, batch=batch, samples=samples, seed=seed, blank=blank):
        rows.append(row)
        if not as_json:
            console.say(console.gradcheck_lines(row))
    errors = [row.worst for row in rows if row.valid]
    passed = all(row.passed for row in rows) and bool(errors)
    worst = max(errors, default=math.inf)
    if as_json:
        result = {"passed": passed, "worst": worst, "arrays": [row._asdict() for row in rows]}
        print(json.dumps(console.without_nan(result)))
    else:
        console.say(
            f"\n{console.GRADCHECK_LEGEND}\n{'pass' if passed else 'FAIL'}: worst relative error {worst:.3e}"
        )
    if not passed:
        sys.exit(1)


app.command(data_app, name="data", help="List or fetch the corpora that are known by name.")


@data_app.command(name="list")
def list_data(*, data_folder: Annotated[Path | None, arg(name="data")] = None) -> None:
    """The corpora known by name, and where each was found.

    Args:
        data_folder: Folder to look in (or set NUMDNC_DATA).

    """
    for corpus in data.list_corpora(data_folder):
        found = corpus.path or f"not here; `{console.command()} data fetch {corpus.name}`"
        console.say(f"{corpus.name:14s} {corpus.size:>12,} bytes  {corpus.description}\n{'':14s} {found}")


@data_app.command(name="fetch")
def fetch_data(
    name: Positional[str], *, data_folder: Annotated[Path | None, arg(name="data")] = None
) -> None:
    """Download a corpus and check its SHA-256.

    Args:
        name: One that `numdnc data list` shows.
        data_folder: Folder to put it in (or set NUMDNC_DATA; default: a cache folder of yours).

    """
    with console.download_bar() as progress:
        path = data.fetch(name, data_folder, progress)
    console.say(f"{name} is at {path}")


def _train(run: Run, task: TextTask, folder: RunFolder, minutes: float, sample_every: int) -> None:
    program, place = console.command(), shlex.quote(str(folder.path))

    def sample_sometimes(iteration: int) -> None:
        reports = iteration // run.training.report_every
        if sample_every > 0 and (reports % sample_every == 0 or iteration == run.target):
            rng = np.random.default_rng([run.training.seed, iteration])
            prime = _default_prime(task.vocabulary)
            written = sample(
                run.forward, task.vocabulary, length=SAMPLE_LENGTH, prime=prime, temperature=0.8, rng=rng
            )
            console.say("----\n" + console.printable("".join(written)) + "\n----")

    with console.stop_on_signals() as interrupted:
        events = train(run, task, folder, minutes=minutes, interrupted=interrupted)
        finished = console.show_training(
            events, unit=task.unit, target=run.target, start=run.iteration, on_report=sample_sometimes
        )
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
    wanted = run.task["corpus"] if corpus is None else corpus
    try:
        found = data.load(wanted, data_folder)
    except UserError as error:
        hint = "" if corpus else " If the run's text has moved, say with --corpus where it lies now."
        raise UserError(f"{error}{hint}") from None
    digest = hashlib.sha256(found.data).hexdigest()
    if digest != run.task["sha256"]:
        raise UserError(
            f"the corpus must be the one the run was started with (SHA-256 {run.task['sha256'][:12]}..), "
            f"got another at {wanted} ({digest[:12]}..). Give the old one with --corpus."
        )
    return TextTask(found, TextSettings(**run.task["settings"]), run.training.seed)


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


def main() -> None:
    """Run a command; errors that the user can mend become one line and exit code 2."""
    console.never_fail_to_encode()
    try:
        # At these sizes a second BLAS thread gains nothing, and loses much where the cores are shared.
        with threadpool_limits(limits=1, user_api="blas"):
            app.cli(prog="numdnc", description=DESCRIPTION)
        sys.stdout.flush()
    except UserError as error:
        console.fail(str(error))
    except MemoryError as error:
        console.fail(f"the model must fit into memory, got: {error}. Lower its sizes.")
    except KeyboardInterrupt:
        print("\nstopped at once; the last checkpoint is whole", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output (such as `head`) has closed it; say nothing more to it, not at exit either.
        console.drop_output()
        sys.exit(0)
    except OSError as error:
        console.drop_output()
        console.fail(
            f"files and output must be usable, got: {error}. Check the disk and where the output goes."
        )
